"""Mistakes in what is done to grey levels: constants, their units, and how often they are applied."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...oracle import reference
from ...steps import ChannelAffine, MinMaxNormalize, MinMaxScale, Normalize, Rescale, Standardize, Step, compose
from ..geometry import REC_601, REC_709
from .mistake import Array, Mistake

Numbers = NDArray[np.float64]
_PURPOSE = "a mistake, made on purpose"
DOUBLED, NOT_RESCALED = "normalization doubled", "rescale missing"
RESCALED_TWICE, RESCALED_BEFORE = "rescaled twice", "rescaled before"
WEIGHTS = {
    "Rec. 601": REC_601,
    "Rec. 709": REC_709,
    "the plain average": (1 / 3, 1 / 3, 1 / 3),
    "Rec. 601 in the other order": REC_601[::-1],
}
"""Of the network's channels, for one grey."""
BLACK, WHITE = 16.0, 235.0
"""Of video: the grey levels that 0 and 255 have in limited range (ITU-R BT.601)."""


def values_mistakes(values: Sequence[Step], channels: int, top: float) -> Iterator[Mistake]:
    """What is done wrong behind the geometry, the known ones first. top: the largest grey level of the pixels."""
    values = tuple(values)
    mixing, rest = mixed(values)
    if mixing:
        yield from _mixed(mixing, rest, top)
        return
    misapplied = list(how_often(values, top))
    yield from misapplied
    if all(mistake.values != (*values, *values) for mistake in misapplied):
        yield Mistake("all steps doubled", "all steps applied twice", values=(*values, *values))
    yield _cast(tuple(step for step in values if isinstance(step, Rescale)), values, top)
    yield from _ranges(values, top)
    whole = compose(values, channels)
    known = whole.mean_and_std() if whole is not None and whole.is_diagonal else None
    if known is not None and (known[1] > 0).all():
        yield from _constants(known[0] / top, known[1] / top, top)


def mixed(values: Sequence[Step]) -> tuple[tuple[ChannelAffine, ...], tuple[Step, ...]]:
    """The step that mixes the colours to one grey, put in front, and the rest; none where there is none, or where it cannot stand there."""
    place = next((place for place, step in enumerate(values) if isinstance(step, ChannelAffine)), len(values))
    for step in values[place : place + 1]:
        assert isinstance(step, ChannelAffine)
        linear = not any(step.offset) and all(isinstance(each, Rescale) and not each.offset for each in values[:place])
        if linear and step.channels() > 1 and len(set(step.matrix)) == 1:
            return (step,), (*values[:place], *values[place + 1 :])
    return (), tuple(values)


def _mixed(mixing: tuple[ChannelAffine, ...], rest: tuple[Step, ...], top: float) -> Iterator[Mistake]:
    """Other weights, and what is done wrong behind them."""
    own, rows = np.array(mixing[0].matrix[0]), len(mixing[0].matrix)
    for name, weights in WEIGHTS.items():
        other = np.array(weights) * own.sum()
        if len(own) == len(other) and not np.allclose(own, other, rtol=1e-6):
            step = replace(mixing[0], matrix=(tuple(other.tolist()),) * rows)
            yield Mistake(f"grey by {name}", f"made grey by {name}'s weights in place of {_told(own)}", values=(step, *rest))
    for mistake in values_mistakes(rest, rows, top):
        yield replace(mistake, values=_behind(mixing[0], mistake.values))


def _behind(first: Step, values: tuple[Step, ...] | Callable[[Array], Array] | None) -> tuple[Step, ...] | Callable[[Array], Array] | None:
    if callable(values):
        return lambda levels: values(reference.apply([first], levels))
    return None if values is None else (first, *values)


def how_often(values: tuple[Step, ...], top: float) -> Iterator[Mistake]:
    """The steps more often, or less, than once; the first two, which may make no difference, always. top: the largest grey level."""
    normalized = tuple(step for step in values if isinstance(step, (Normalize, MinMaxNormalize, Standardize)))
    scales = tuple(step for step in values if isinstance(step, (Rescale, MinMaxScale)))
    yield Mistake(DOUBLED, "normalized twice", values=(*values, *normalized))
    without = tuple(step for step in values if step not in scales)
    yield Mistake(NOT_RESCALED, f"not rescaled: the constants are applied to grey levels of 0..{top:g}", values=without)
    if scales:
        yield Mistake(RESCALED_TWICE, "rescaled twice", values=(*scales, *values))
    else:
        told = "rescaled to 0-1 before, which the constants are not for"
        yield Mistake(RESCALED_BEFORE, told, values=(Rescale(scale=1 / top), *values))


def _cast(scales: tuple[Step, ...], values: tuple[Step, ...], top: float) -> Mistake:
    rest = tuple(step for step in values if step not in scales)
    words = "cast to whole numbers behind the rescale to 0-1: white is 1, all else 0"
    return Mistake("cast to whole numbers", words, values=lambda levels: reference.apply(rest, np.floor(levels / top)))


def _ranges(values: tuple[Step, ...], top: float) -> Iterator[Mistake]:
    """Full range taken for limited, and the other way round."""
    black, width = BLACK / 255 * top, (WHITE - BLACK) / 255
    squeezed = (Rescale(scale=width, offset=black), *values)
    yield Mistake("limited range", "grey levels squeezed to 16..235, video's limited range", values=squeezed)

    def stretched(levels: Array) -> Array:
        return reference.apply(values, np.clip(np.floor((levels - black) / width + 0.5), 0, top))

    yield Mistake("range stretched", "grey levels of 16..235 stretched to 0..255, as of limited range", values=stretched)


def _constants(mean: Numbers, std: Numbers, top: float) -> Iterator[Mistake]:
    """Of what comes to y = (x - mean) / std. mean, std: of full brightness, one of each per channel."""
    averaged, same = np.full_like(std, std.mean()), np.full_like(mean, mean.mean())
    m, s = _told(mean), _told(std)
    nothing = np.zeros_like(mean)

    def made(name: str, words: str, mean: Numbers, std: Numbers) -> Mistake:
        """mean, std: in grey levels."""
        return Mistake(name, words, values=(_normalize(mean, std),))

    x, d, levels = mean * top, std * top, f"0..{top:g}"
    yield made("averaged std", f"one std for all channels, {averaged[0]:.4g}, the average of {s}", x, averaged * top)
    yield made(
        "averaged mean and std", f"one mean and one std for all channels, {same[0]:.4g} and {averaged[0]:.4g}", same * top, averaged * top
    )
    yield made("std applied as variance", f"std applied as variance: divided by the root of {s}", x, np.sqrt(std) * top)
    yield made(
        "std of 0-255 applied as variance", f"std applied as variance: divided by the root of {_told(d)}, in grey levels", x, np.sqrt(d)
    )
    yield made("divided by the variance", f"divided by the variance, the square of {s}", x, std**2 * top)
    yield made("variance of 0-255", f"divided by the variance in grey levels, the square of {_told(d)}", x, d**2)
    yield made("multiplied by std", f"multiplied by the std {s} in place of divided", x, top / std)
    yield made("multiplied by std of 0-255", f"multiplied by the std {_told(d)}, in grey levels, in place of divided", x, 1 / d)
    yield made("norm of 0-1 on 0-255", f"grey levels of {levels} minus the mean of 0-1, {m}, multiplied by the std {s}", mean, 1 / std)
    yield made("mean of 0-1 on 0-255", f"the mean of 0-1, {m}, subtracted from grey levels of {levels}", mean, d)
    yield made("mean of 0-255 on 0-1", f"the mean of {levels}, {_told(x)}, subtracted from values of 0-1", x * top, d)
    yield made("std of 0-1 on 0-255", f"grey levels divided by the std of 0-1, {s}", x, std)
    yield made("mean missing", f"the mean {m} not subtracted", nothing, d)
    yield made("std missing", f"not divided by the std {s}", x, np.full_like(std, top))
    yield made("normalization missing", "not normalized: values of 0-1", nothing, np.full_like(std, top))
    yield made("grey levels as they are", f"neither rescaled nor normalized: grey levels of {levels}", nothing, np.ones_like(std))
    yield made("mean added", f"the mean {m} added in place of subtracted", -x, d)
    yield made("mean behind std", f"the mean {m} subtracted behind the division by the std, and so not divided", x * std, d)
    yield made(
        "constants in the other order",
        f"means and stds in the other order of channels, {_told(mean[::-1])} and {_told(std[::-1])}",
        x[::-1],
        d[::-1],
    )
    if (mean > 0).all():
        yield made("mean for std", f"divided by the mean {m} in place of the std", x, x)
        yield made("mean and std exchanged", f"mean and std exchanged: minus {s}, divided by {m}", d, x)


def _normalize(mean: Numbers, std: Numbers) -> Normalize:
    return Normalize(mean=tuple(mean.tolist()), std=tuple(std.tolist()), unit="0-255", constants_because=_PURPOSE)


def _told(numbers: Numbers) -> str:
    return "[" + ", ".join(f"{number + 0.0:.4g}" for number in numbers) + "]"
