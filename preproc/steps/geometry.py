"""Steps that move pixels: resizes, crops and pads. They work on integer grey levels, and so stand directly behind from_pixels."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import PreprocError
from .base import Step, ValueRange

Size = tuple[int, int]
"""(height, width)"""


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
            raise PreprocError(
                f"{self.name}: expected 8-bit grey levels, 0..255, in which its fill is told, got {incoming}", name="grey-levels-needed"
            )
        return ValueRange(tuple(min(low, fill) for low in incoming.low), tuple(max(high, fill) for high in incoming.high))


def output_size(steps: Iterable[Step], size: Size | None) -> Size | None:
    """(height, width) behind the steps of a picture of that size; None where the size is free and stays so."""
    for step in steps:
        if isinstance(step, Geometry):
            size = step.fixed_size() if size is None else step.output_size(size)
    return size
