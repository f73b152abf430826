"""Steps that move pixels: resizes, crops and pads. They work on integer grey levels, and so stand directly behind from_pixels."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import PreprocError
from .base import Step, ValueRange

Size = tuple[int, int]
"""(height, width)"""
MOST_SIDE = 1 << 15
"""Of a picture: the arithmetic on sizes is exact far beyond."""


@dataclass(frozen=True, kw_only=True)
class Geometry(Step):
    """A step that changes height and width, and treats every channel alike."""

    def affine(self, channels: int) -> None:  # noqa: ARG002
        return None

    def output_size(self, size: Size) -> Size:
        """(height, width) of what it makes of a picture of that size. Raises PreprocError where that would have no pixels."""
        raise NotImplementedError

    def fixed_size(self) -> Size | None:
        """(height, width) of what it makes of any picture, or None where that depends on the picture."""
        return None

    def value_range(self, incoming: ValueRange) -> ValueRange:
        """Grey levels stay where they are; what fills a border comes with its own."""
        fill = getattr(self, "fill", None)
        if fill is None:
            return incoming
        if not incoming.spans(0, 255):
            raise PreprocError(f"{self.name}: expected 8-bit grey levels, 0..255, in which its fill is told, got {incoming}")
        return ValueRange(tuple(min(low, fill) for low in incoming.low), tuple(max(high, fill) for high in incoming.high))


def output_size(steps: Iterable[Step], size: Size | None) -> Size | None:
    """(height, width) behind the steps of a picture of that size; None where the size is free and stays so."""
    for step in steps:
        if isinstance(step, Geometry):
            size = step.fixed_size() if size is None else step.output_size(size)
    return size


def set_side(step: Step, field: str) -> None:
    value = getattr(step, field)
    if not is_whole(value) or not 0 < value <= MOST_SIDE:
        raise PreprocError(f"{step.name}: expected {field} to be a number of pixels, 1 to {MOST_SIDE}, got {value!r}")


def set_size(step: Step, field: str) -> None:
    """One number becomes two. Raises PreprocError."""
    value = getattr(step, field)
    sides = (value, value) if is_whole(value) else tuple(value) if isinstance(value, (list, tuple)) else ()
    if len(sides) != 2 or not all(is_whole(side) and 0 < side <= MOST_SIDE for side in sides):
        raise PreprocError(f"{step.name}: expected {field} to be one number of pixels or [height, width], 1 to {MOST_SIDE}, got {value!r}")
    object.__setattr__(step, field, sides)


def set_fill(step: Step) -> None:
    fill = getattr(step, "fill")  # noqa: B009 - of the steps that have one
    if not is_whole(fill) or not 0 <= fill <= 255:
        raise PreprocError(f"{step.name}: expected fill to be a grey level, 0 to 255, got {fill!r}")


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
