"""Steps that move pixels: resizes, crops and pads. They work on integer grey levels, and so stand directly behind from_pixels."""

from dataclasses import dataclass

from ..errors import PreprocError
from .base import Step, ValueRange

Size = tuple[int, int]
"""(height, width)"""
Sides = tuple[int | None, int | None]
"""(height, width), None where a side is free."""


@dataclass(frozen=True, kw_only=True)
class Geometry(Step):
    """A step that changes height and width, and treats every channel alike."""

    def affine(self, channels: int) -> None:  # noqa: ARG002
        return None

    def output_size(self, size: Size) -> Size:
        """(height, width) of what it makes of a picture of that size. Raises PreprocError where that would have no pixels."""
        raise NotImplementedError

    def output_sides(self, sides: Sides) -> Sides:  # noqa: ARG002
        """As output_size(), where one side is free, or both."""
        return None, None

    def sides_behind(self, sides: Sides) -> Sides:
        """Of either kind."""
        both = known(sides)
        return self.output_sides(sides) if both is None else self.output_size(both)

    def value_range(self, incoming: ValueRange) -> ValueRange:
        """Grey levels stay where they are; what fills a border comes with its own."""
        fill = getattr(self, "fill", None)
        if fill is None:
            return incoming
        if not incoming.spans(0, 255):
            raise PreprocError(
                f"{self.name}: expected 8-bit grey levels, 0..255, in which its fill is told, got {incoming}", name="grey-levels-needed"
            )
        return ValueRange(tuple(min(low, fill) for low in incoming.low), tuple(max(high, fill) for high in incoming.high))


def known(sides: Sides) -> Size | None:
    """Both sides, if none is free."""
    height, width = sides
    return None if height is None or width is None else (height, width)
