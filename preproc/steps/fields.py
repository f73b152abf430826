"""The checks that steps make of their own constants: what is right becomes plain floats and tuples, what is not raises PreprocError."""

import math
from typing import Any

from ..errors import PreprocError

MOST_SIDE = 1 << 15
"""Of a picture: the arithmetic on sizes is exact far beyond."""


def check_count(name: str, expected: int, got: int) -> None:
    if expected != got:
        raise PreprocError(f"{name}: expected {expected} channels, as many as it has constants, got {got}", name="channel-mismatch")


def set_number(step: Any, field: str) -> None:
    value = getattr(step, field)
    if not _is_number(value):
        raise PreprocError(f"{step.name}: expected {field} to be a finite number, got {value!r}", name="step-value")
    object.__setattr__(step, field, float(value))


def set_numbers(step: Any, field: str) -> None:
    values = getattr(step, field)
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__") or any(isinstance(value, (str, bool)) for value in values):
        raise PreprocError(f"{step.name}: expected {field} to be a list of numbers, one per channel, got {values!r}", name="step-value")
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError, OverflowError) as error:
        raise PreprocError(
            f"{step.name}: expected {field} to be a list of numbers, one per channel, got {values!r}", name="step-value"
        ) from error
    if not numbers or not all(map(math.isfinite, numbers)):
        raise PreprocError(f"{step.name}: expected {field} to be finite numbers, one per channel, got {list(numbers)}", name="step-value")
    object.__setattr__(step, field, numbers)


def set_out(step: Any) -> None:
    set_numbers(step, "out")
    out = step.out
    if len(out) != 2 or out[0] >= out[1]:
        raise PreprocError(f"{step.name}: expected out to be two numbers, low < high, got {list(out)}", name="step-value")


def set_side(step: Any, field: str) -> None:
    value = getattr(step, field)
    if not is_whole(value) or not 0 < value <= MOST_SIDE:
        raise PreprocError(f"{step.name}: expected {field} to be a number of pixels, 1 to {MOST_SIDE}, got {value!r}", name="step-value")


def set_size(step: Any, field: str) -> None:
    """One number becomes two. Raises PreprocError."""
    value = getattr(step, field)
    sides = (value, value) if is_whole(value) else tuple(value) if isinstance(value, (list, tuple)) else ()
    if len(sides) != 2 or not all(is_whole(side) and 0 < side <= MOST_SIDE for side in sides):
        raise PreprocError(
            f"{step.name}: expected {field} to be one number of pixels or [height, width], 1 to {MOST_SIDE}, got {value!r}",
            name="step-value",
        )
    object.__setattr__(step, field, sides)


def set_fill(step: Any) -> None:
    fill = getattr(step, "fill")  # noqa: B009 - of the steps that have one
    if not is_whole(fill) or not 0 <= fill <= 255:
        raise PreprocError(f"{step.name}: expected fill to be a grey level, 0 to 255, got {fill!r}", name="step-value")


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False
