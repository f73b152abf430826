"""The affine part as steps of a recipe: published constants where they lie in the interval, else the shortest numbers that do."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PreprocError
from ...steps import PRESETS, UNITS, ChannelAffine, FromPixels, Normalize, Rescale, Statistics, Step, check
from ..solving import Affine, Solved

Array = NDArray[np.float64]
_ORDERS, _GREY = {"RGB": (0, 1, 2), "BGR": (2, 1, 0)}, (0,)
_OTHERS = (("rescaled to -1..1", 1 / 127.5, -1.0), ("divided by 256", 1 / 256, 0.0), ("(x - 128) / 128", 1 / 128, -1.0))
BECAUSE = "solved from pictures and their tensors by preproc diagnose"
_LEVELS = np.array([0.0, 255.0])
"""Where two lines are farthest from one another."""


@dataclass(frozen=True)
class Constants:
    """color: of the tensor's channels, RGB, BGR or GRAY.  steps: behind the geometry.  name: of what was recognized.  off: how far the
    steps are from the solved line at most, in grey levels.  within: how far they may be.  presets: all that lie in the
    interval.  each: whether every picture has constants of its own."""

    color: str
    steps: tuple[Step, ...]
    name: str
    off: float
    within: float
    presets: tuple[str, ...]
    each: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"color": self.color, "name": self.name, "off_levels": self.off, "within_levels": self.within, "presets": list(self.presets)}

    def lines(self, solved: Solved) -> list[str]:
        """For people: mean and std of the tensor's channels in grey levels, with their intervals."""
        affine = solved.affine
        order = "one channel" if len(affine.order) == 1 else "channels " + "".join("RGB"[channel] for channel in affine.order)
        if self.each:
            return [f"{self.name}; {order}"]
        told = [f"{self.name}; {order}; within {self.within:.2g} grey levels of the solved line"]
        mean_within = solved.offset_within / np.abs(affine.scale)
        std_within = solved.scale_within / affine.scale**2
        told.append(f"mean {_spread(affine.mean, mean_within)}, std {_spread(affine.std, std_within)} in grey levels")
        others = [name for name in self.presets if name not in self.name]
        return [*told, f"presets that lie in the interval, too: {', '.join(others)}"] if others else told


_NOTHING = 1e-3
"""Grey levels: what is smaller, and than its interval, too, is told as 0."""


def _spread(values: Array, within: Array) -> str:
    told = np.where(np.abs(values) <= np.clip(within, _NOTHING / 100, _NOTHING), 0.0, values)
    return "[" + ", ".join(f"{value:.6g} ± {width:.2g}" for value, width in zip(told, within, strict=True)) + "]"


def constants_of(solved: Solved, front: Sequence[Step], *, precision: float) -> Constants:
    """front: the steps before, from the pixels on; none where no recipe says them.  precision: what the tensors are rounded by, in grey
    levels."""
    affine = solved.affine
    within = solved.within + precision
    color = color_of(affine)
    front = front or (FromPixels(layout="NHWC", color=color, to=color),)
    has_name = affine.order in (*_ORDERS.values(), _GREY)
    presets = tuple(name for name, steps in _published(color) if has_name and _off(steps, affine, color) <= within)
    options = list(_options(affine, color)) if has_name else []
    near = sorted((off, place) for place, (_, steps) in enumerate(options) if (off := _off(steps, affine, color)) <= within)
    named = [both for both in near if both[1] < _named(options)]
    for _, place in (*named, *sorted(near, key=lambda both: both[1])):
        name, steps = options[place]
        if _allowed((*front, *steps)):
            return Constants(color, tuple(steps), name, _off(steps, affine, color), within, presets)
    plain = _plain(affine, color)
    return Constants(color, (plain,), "numbers as they were solved", _off([plain], affine, color), within, presets)


def color_of(affine: Affine) -> str:
    """Of the tensor's channels; RGB for an order that has no name."""
    return "GRAY" if affine.order == _GREY else "BGR" if affine.order == _ORDERS["BGR"] else "RGB"


def _order(color: str, channels: int) -> tuple[int, ...]:
    return _ORDERS[color] if channels == 3 else _GREY


def _allowed(sequence: Sequence[Step]) -> bool:
    try:
        check(sequence)
    except PreprocError:
        return False
    return True


def _named(options: Sequence[tuple[str, Sequence[Step]]]) -> int:
    """How many of the options have a name of their own; they stand first."""
    return sum(not name.startswith("solved") for name, _ in options)


def _options(affine: Affine, color: str) -> Iterator[tuple[str, Sequence[Step]]]:
    yield "none: grey levels 0..255", []
    yield "rescaled to 0..1", [Rescale()]
    yield from ((f"preset {name}", steps) for name, steps in _published(color))
    yield from ((name, [Rescale(scale=scale, offset=offset)]) for name, scale, offset in _OTHERS)
    for digits in range(10):
        for unit in ("0-1", "0-255"):
            yield from _rounded(affine, unit, digits)


def _published(color: str) -> Iterator[tuple[str, list[Step]]]:
    for name, known in PRESETS.items():
        if len(known.mean) == (1 if color == "GRAY" else 3):
            yield name, _normalized(known, color, f"preset {name}")


def _normalized(known: Statistics, color: str, origin: str | None) -> list[Step]:
    first: list[Step] = [Rescale()] if known.unit == "0-1" else []
    made = Normalize.of(known, color=color, origin=origin or "preproc diagnose", constants_because=None if origin else BECAUSE)
    return [*first, made]


def _rounded(affine: Affine, unit: str, digits: int) -> Iterator[tuple[str, list[Step]]]:
    """Mean and std with so many digits, in that unit."""
    if not (affine.scale > 0).all():
        return
    top = UNITS[unit]
    mean, std = (tuple(round(float(value) * top / 255, digits) for value in values) for values in (affine.mean, affine.std))
    if min(std) > 0:
        color = color_of(affine)
        yield (
            f"solved, {digits} decimal{'' if digits == 1 else 's'} in {unit}",
            _normalized(Statistics(mean, std, unit, color, "preproc diagnose"), color, None),
        )


def _digits(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}") if abs(value) > 1e-12 else 0.0


def _plain(affine: Affine, color: str) -> Step:
    """A matrix, which also says orders that have no name, and negative scales."""
    named = _order(color, len(affine.order))
    matrix = np.zeros((len(named), len(named)))
    for channel, read in enumerate(affine.order):
        matrix[channel, named.index(read)] = affine.scale[channel]
    rounded = tuple(tuple(_digits(value, 10) for value in row) for row in matrix.tolist())
    return ChannelAffine(matrix=rounded, offset=tuple(_digits(value, 10) for value in affine.offset.tolist()))


def _off(steps: Sequence[Step], affine: Affine, color: str) -> float:
    """How far the steps are from the solved line between black and white, in grey levels."""
    named = _order(color, len(affine.order))
    matrix, offset = np.eye(len(named))[list(named)], np.zeros(len(named))
    for step in steps:
        own = step.affine(len(named))
        if own is None:
            return math.inf
        matrix, offset = own.matrix @ matrix, own.matrix @ offset + own.offset
    scale = matrix[range(len(named)), affine.order]
    if np.count_nonzero(matrix) != np.count_nonzero(scale):
        return math.inf
    ends = np.outer(_LEVELS, scale - affine.scale) + (offset - affine.offset)
    return float((np.abs(ends) / np.abs(affine.scale)).max())
