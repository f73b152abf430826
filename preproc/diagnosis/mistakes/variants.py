"""The preprocessings that people use, and those that they use by mistake: candidates of a diagnosis, variants of an experiment.

All constants are those of steps.PRESETS; nothing is checked for units, for a mistake is a candidate, too.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ...steps import (
    COLORS,
    PIXEL_DTYPES,
    PRESETS,
    UNITS,
    Affine,
    FromPixels,
    Geometry,
    LocalResponseNorm,
    MinMaxNormalize,
    Rescale,
    Standardize,
    Statistics,
    Step,
    compose,
    constants_steps,
)
from .values import DOUBLED, NOT_RESCALED, RESCALED_BEFORE, RESCALED_TWICE, how_often

_NAMES = {DOUBLED: "twice", NOT_RESCALED: "not rescaled", RESCALED_TWICE: "rescaled twice", RESCALED_BEFORE: "rescaled"}
_OTHER = {"RGB": "BGR", "BGR": "RGB"}
OWN = "recipe"
"""The name of the steps that are asked for."""


_Map = tuple[tuple[Step, ...], Affine | None]


@dataclass(frozen=True)
class Variant:
    """steps: a whole pipeline, a FromPixels first, then the geometry that was asked for.  what: it in words.  mistake: whether nobody means
    it: constants twice, without their rescale, in the other channels' order, or the other colour order of what was asked for."""

    name: str
    steps: tuple[Step, ...]
    what: str
    mistake: bool = False


@dataclass(frozen=True)
class _Values:
    """Steps behind the geometry.  color: the order that the network has then.  told, mistake: as Variant's."""

    name: str
    steps: tuple[Step, ...]
    color: str
    told: str
    mistake: bool = False


def variants(asked: Sequence[Step] | None, channels: int = 3, *, own: bool = True) -> tuple[Variant, ...]:
    """Every way once, mistakes last: what does the same to pixels as one before it is left out.

    asked: a recipe's steps, whose FromPixels and geometry all have; they are the first variant, called "recipe". None: RGB pixels
    (N, H, W, C), or grey ones for one channel, as they are.  channels: of the network.  own: whether what is asked for is a variant; else
    it is only what pixels there are and how they are moved.
    """
    return _variants(() if asked is None else tuple(asked), channels, own)


@functools.lru_cache(maxsize=8)
def _variants(asked: tuple[Step, ...], channels: int, own: bool) -> tuple[Variant, ...]:
    """Once, for each is compared with every other one."""
    first = next((step for step in asked if isinstance(step, FromPixels)), None) or _pixels(channels)
    channels = len(COLORS[first.to]) or channels
    geometry = tuple(step for step in asked if isinstance(step, Geometry))
    found: list[tuple[Variant, Affine | tuple[Step, ...]]] = []
    for values in sorted((*_own(asked if own else (), first), *_known(first, channels)), key=lambda values: values.mistake):
        selected = replace(first, to=values.color)
        effect = _effect((selected, *values.steps), first.channels() or channels)
        if not any(_same(effect, other) for _, other in found):
            found.append((Variant(values.name, (selected, *geometry, *values.steps), values.told, values.mistake), effect))
    return tuple(variant for variant, _ in found)


def _pixels(channels: int) -> FromPixels:
    color = {1: "GRAY", 3: "RGB"}.get(channels, "ANY")
    return FromPixels(layout="NHWC", color=color, to=color)


def _own(asked: Sequence[Step], first: FromPixels) -> Iterator[_Values]:
    if not asked:
        return
    values = tuple(step for step in asked if not isinstance(step, (FromPixels, Geometry)))
    yield _Values(OWN, values, first.to, "what the recipe says")
    for name, steps, told in _mistakes(values, PIXEL_DTYPES[first.pixel_dtype]):
        yield _Values(f"{OWN}, {name}", steps, first.to, f"what the recipe says, {told}", mistake=True)
    if (other := _other(first)) is not None:
        yield _Values(f"{OWN}, {other}", values, other, f"what the recipe says, on {other} channels", mistake=True)


def _known(first: FromPixels, channels: int) -> Iterator[_Values]:
    """What does not depend on a recipe, in both colour orders where the pixels have two."""
    orders = list(filter(None, (first.to, _other(first))))
    for color in sorted(orders, reverse=True):  # RGB in front of BGR
        behind = f", {color}" if len(orders) > 1 else ""
        for name, steps, told in _per_picture():
            yield _Values(f"{name}{behind}", steps, color, told)
        for name, steps, told in _units(PIXEL_DTYPES[first.pixel_dtype]):
            yield _Values(f"{name}{behind}", steps, color, told)
            for mistake, wrong, said in _mistakes(steps, PIXEL_DTYPES[first.pixel_dtype]):
                yield _Values(f"{name}{behind}, {mistake}", wrong, color, f"{told}, {said}", mistake=True)
    for name, known in _presets(channels, first.pixel_dtype):
        for color in sorted(orders, key=lambda color: color != known.color):
            yield from _of_preset(name, known, color, first)


def _presets(channels: int, pixel_dtype: str) -> Iterator[tuple[str, Statistics]]:
    """Those that such pixels can have, with the names of all that have the same constants."""
    alike: dict[tuple[object, ...], list[str]] = {}
    for name, known in PRESETS.items():
        if len(known.mean) == channels and UNITS[known.unit] in (1.0, PIXEL_DTYPES[pixel_dtype]):
            alike.setdefault((known.mean, known.std, known.unit), []).append(name)
    for names in alike.values():
        yield " or ".join(names), PRESETS[names[0]]


def _of_preset(name: str, known: Statistics, color: str, first: FromPixels) -> Iterator[_Values]:
    """Its constants where their channels are, the same by mistake, and in the other order of channels."""
    behind = f", {color}" if _other(first) else ""
    right = tuple(constants_steps(known, color=color, origin=f"preset {name}", pixel_dtype=first.pixel_dtype))
    told = f"the constants of {name} on {color} channels"
    yield _Values(f"{name}{behind}", right, color, told)
    for mistake, steps, said in _mistakes(right, PIXEL_DTYPES[first.pixel_dtype]):
        yield _Values(f"{name}{behind}, {mistake}", steps, color, f"{told}, {said}", mistake=True)
    other = _OTHER.get(color)
    if other is not None and len(known.mean) == len(COLORS[other]):
        wrong = tuple(constants_steps(known, color=other, origin=f"preset {name}", pixel_dtype=first.pixel_dtype))
        said = f"the constants of {name} in the order of {other}, on {color} channels"
        yield _Values(f"{name}{behind}, constants of {other}", wrong, color, said, mistake=True)


def _mistakes(values: tuple[Step, ...], top: float) -> Iterator[tuple[str, tuple[Step, ...], str]]:
    """Name, steps and words of what happens to steps that normalize; nothing where each picture's own numbers undo it."""
    if any(isinstance(step, (MinMaxNormalize, Standardize)) for step in values):
        return
    for mistake in how_often(values, top):
        assert isinstance(mistake.values, tuple)
        yield _NAMES[mistake.name], mistake.values, mistake.words


def _units(top: float) -> Iterator[tuple[str, tuple[Step, ...], str]]:
    """top: the largest grey level."""
    yield "0-1", (Rescale(scale=1 / top),), f"grey levels over {top:g}"
    yield f"0-{top:g}", (), "grey levels as they are"


def _per_picture() -> Iterator[tuple[str, tuple[Step, ...], str]]:
    yield "min-max", (MinMaxNormalize(),), "each picture's own range to 0..1"
    yield "per picture", (Standardize(),), "each picture's own mean and std"
    yield "per picture and channel", (Standardize(per="channel"),), "each channel's own mean and std in each picture"
    krizhevsky = LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0)
    yield "LRN", (krizhevsky,), "local response normalization of grey levels, with the constants of Krizhevsky et al. (2012)"


def _other(first: FromPixels) -> str | None:
    """The other order of three colours, if the pixels can be had in two."""
    other = _OTHER.get(first.to)
    return other if other is not None and (first.channels() or 0) >= 3 else None


def _effect(steps: tuple[Step, ...], channels: int) -> Affine | tuple[Step, ...]:
    """The map of channels that they are, or they themselves."""
    return compose(steps, channels) or steps


def _same(one: Affine | tuple[Step, ...], other: Affine | tuple[Step, ...]) -> bool:
    return one.close_to(other) if isinstance(one, Affine) and isinstance(other, Affine) else one == other
