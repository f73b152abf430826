"""What an ordered list of steps means: read from tables, checked for units, composed."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

from ..errors import PreprocError, did_you_mean
from .affine import Affine
from .base import Step, ValueRange
from .constants import ChannelAffine, MinMaxScale, Normalize, Rescale
from .crops import CenterCrop, Pad
from .geometry import Geometry, Sides, Size
from .per_image import LocalResponseNorm, MinMaxNormalize, Standardize
from .pixels import PIXEL_DTYPES, FromPixels
from .planes import check_moves, chroma_moves
from .presets import UNITS, Statistics
from .resize import Letterbox, Resampling, Resize, with_pillow

_GEOMETRY = (Resize, CenterCrop, Letterbox, Pad)
_VALUES = (Rescale, Normalize, MinMaxScale, MinMaxNormalize, Standardize, ChannelAffine, LocalResponseNorm)
_ALL = (FromPixels, *_GEOMETRY, *_VALUES)
STEPS: Mapping[str, type[Step]] = {step.name: step for step in _ALL}
"""Every step by the name that a recipe gives it."""


def parse(table: Mapping[str, Any], *, pillow: int | None = None) -> Step:
    """A step from its table, as in a recipe or a contract. Raises PreprocError; unknown names get a 'did you mean'.

    pillow: whose order of passes a resize has that names none, 12 or 13; None: that of the Pillow which is installed.
    """
    name = table.get("step")
    if not isinstance(name, str) or name not in STEPS:
        raise PreprocError(
            f"expected step to be one of {', '.join(STEPS)}, got {name!r}{did_you_mean(str(name), STEPS)}", name="unknown-choice"
        )
    kind = STEPS[name]
    fields = {field.name: field for field in dataclasses.fields(kind)}
    given = {key: value for key, value in table.items() if key != "step"}
    for key in given:
        if key not in fields:
            raise PreprocError(
                f"{name}: expected one of {', '.join(fields) or 'no keys'}, got {key!r}{did_you_mean(key, fields)}", name="unknown-key"
            )
    missing = [key for key, field in fields.items() if field.default is dataclasses.MISSING and key not in given]
    if missing:
        raise PreprocError(f"{name}: expected {' and '.join(missing)}, got nothing: there is no default", name="missing-key")
    return kind(**given) if given.get("pillow") is not None else with_pillow([kind(**given)], pillow)[0]


def as_steps(given: object) -> tuple[Step, ...]:
    """The steps of a Pipeline, of a layer or step, or of any sequence of these. Raises PreprocError for anything else."""
    step = getattr(given, "step", given)
    if isinstance(step, Step):
        return (step,)
    if callable(getattr(given, "steps", None)):  # by what it has: a Pipeline is torch's
        given = given.steps()  # type: ignore[attr-defined]
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise PreprocError(f"expected a Pipeline, or layers or steps of preproc, got {type(given).__name__}", name="wrong-object")
    return tuple(found for item in given for found in as_steps(item))


def divided(sequence: Sequence[Step]) -> tuple[FromPixels, Sequence[Step], Sequence[Step]]:
    """The first step, it and those that move pixels, and the others. Raises PreprocError for steps that do not start at pixels."""
    first = sequence[0]
    if not isinstance(first, FromPixels):
        raise PreprocError(f"expected steps that start at pixels (from_pixels), got {first.name} first", name="no-from-pixels")
    front = [step for step in sequence if step is first or isinstance(step, Geometry)]
    return first, front, sequence[len(front) :]


def are_whole(sequence: Iterable[Step]) -> bool:
    """Whether they leave whole grey levels: pixels, selected and moved, and resized only with rounding."""
    return all(isinstance(step, (FromPixels, Geometry)) and getattr(step, "rounds", True) for step in sequence)


@overload
def output_size(steps: Sequence[Step], size: Size) -> Size: ...
@overload
def output_size(steps: Sequence[Step], size: Sides) -> Sides: ...
def output_size(steps: Sequence[Step], size: Sides) -> Sides:
    """(height, width) behind the steps of a picture of that size; None where a side is free, and stays so. Raises PreprocError where a step
    leaves no pixels, and where one moves planes of Y, U and V and cuts what they share, see chroma_moves()."""
    first = steps[0] if steps else None
    if isinstance(first, FromPixels) and first.moves_planes:
        chroma_moves(first, (step for step in steps if isinstance(step, Geometry)), size)
    for step in steps:
        if isinstance(step, Geometry):
            size = step.sides_behind(size)
    return size


def channels_in(steps: Sequence[Step]) -> int | None:
    """How many channels the input of the steps has: what the first step that tells says."""
    return next((count for step in steps if (count := step.channels()) is not None), None)


def channels_out(steps: Iterable[Step], channels: int) -> int:
    """How many channels the steps leave of `channels`."""
    for step in steps:
        affine = step.affine(channels)
        channels = channels if affine is None else affine.channels_out
    return channels


def check(steps: Sequence[Step], *, channels: int | None = None) -> ValueRange | None:
    """Walks the value interval through the steps, from the pixels on, and returns the last one.

    Without a FromPixels at the front the interval starts where the first step that has a unit expects it to; None if none has
    one. channels: how many the pixels have, where no step says so. Raises PreprocError naming the step that does not fit.
    """
    _check_order(steps)
    count = channels_in(steps) or channels or 1
    values: ValueRange | None = None
    if steps and isinstance(steps[0], FromPixels):
        top = PIXEL_DTYPES[steps[0].pixel_dtype]
        values = ValueRange((0.0,) * count, (top,) * count)
    for position, step in enumerate(steps, start=1):
        if values is None:
            expected = _expects(step)
            values = None if expected is None else ValueRange((0.0,) * count, (expected,) * count)
        try:
            values = values and step.value_range(values)
        except PreprocError as error:
            raise PreprocError(f"step {position} ({step.name}): {error}") from error
    return values


def _check_order(steps: Sequence[Step]) -> None:
    for position, step in enumerate(steps[1:], start=2):
        if isinstance(step, FromPixels):
            raise PreprocError(f"step {position} (from_pixels): expected it first and once, got it behind other steps", name="step-order")
        if isinstance(step, Geometry) and isinstance(steps[0], FromPixels) and steps[0].moves_planes:
            try:
                check_moves(steps[0], step)
            except PreprocError as error:
                raise PreprocError(f"step {position} ({step.name}): {error}") from error
    values_at = next((position for position, step in enumerate(steps) if isinstance(step, _VALUES)), len(steps))
    for position, step in enumerate(steps[values_at:], start=values_at + 1):
        if isinstance(step, Geometry):
            raise PreprocError(
                f"step {position} ({step.name}): expected it on grey levels, in front of {steps[values_at].name}, got it behind: pictures "
                "are resized, cropped and padded first, as Pillow does it",
                name="step-order",
            )
    floats_at = next((position for position, step in enumerate(steps) if isinstance(step, Resampling) and not step.rounds), len(steps))
    for position, step in enumerate(steps[floats_at:], start=floats_at + 1):
        if isinstance(step, Resampling) and step.rounds and step.interpolation != "nearest":
            raise PreprocError(
                f'step {position} ({step.name}): expected whole grey levels, got what a resize with torch = "float32" makes',
                name="step-order",
            )


def _expects(step: Step) -> float | None:
    """The largest value that a step of a pipeline on floats is made for, where it tells."""
    if isinstance(step, Normalize) and step.unit is not None:
        return UNITS[step.unit]
    return 1 / abs(step.scale) if isinstance(step, Rescale) and abs(step.scale) < 0.02 else None


def compose(steps: Iterable[Step], channels: int) -> Affine | None:
    """The affine steps as one map, or None if one of them is not affine."""
    whole = Affine.identity(channels)
    for step in steps:
        affine = step.affine(whole.channels_out)
        if affine is None:
            return None
        whole = whole.then(affine)
    return whole


def constants_steps(known: Statistics, *, color: str, origin: str, pixel_dtype: str, constants_because: str | None = None) -> list[Step]:
    """The steps that bring grey levels to the unit of `known`, and normalize: for a model of the colour order `color`."""
    if known.unit == "0-1":
        first: list[Step] = [Rescale(scale=1 / PIXEL_DTYPES[pixel_dtype])]
    elif UNITS[known.unit] == PIXEL_DTYPES[pixel_dtype]:
        first = []
    else:
        raise PreprocError(
            f"expected {pixel_dtype} pixels for constants in 0-1 or 0-{PIXEL_DTYPES[pixel_dtype]:g}, got constants in {known.unit}",
            name="unit-mismatch",
        )
    order = None if color == "ANY" else color
    return [*first, Normalize.of(known, color=order, origin=origin, constants_because=constants_because)]
