"""Crops and pads."""

from dataclasses import dataclass
from typing import ClassVar

from ..errors import PreprocError, check_choice
from .fields import MOST_SIDE, is_whole, set_fill, set_size
from .geometry import Geometry, Sides, Size

ROUNDINGS = ("half_even", "floor", "trunc")
"""Of the half pixel where a crop starts, or its border."""


@dataclass(frozen=True, kw_only=True)
class CenterCrop(Geometry):
    """torchvision.transforms.CenterCrop on a PIL image: the middle, and where the picture is smaller, a border of `fill`.

    size: (height, width), or one number for both.  rounding: of half a pixel, "half_even" (torchvision: where half of one is to be cut
    off; half of one too few is a smaller border in front), "floor" (Hugging Face with Pillow: always towards the front) or "trunc" (Hugging
    Face on tensors: always the smaller half in front).
    """

    name: ClassVar[str] = "center_crop"
    size: Size
    fill: int = 0
    rounding: str = "half_even"

    def __post_init__(self) -> None:
        set_size(self, "size")
        set_fill(self)
        check_choice("rounding", self.rounding, ROUNDINGS)

    def output_size(self, size: Size) -> Size:  # noqa: ARG002
        return self.size

    def output_sides(self, sides: Sides) -> Sides:  # noqa: ARG002
        return self.size


@dataclass(frozen=True, kw_only=True)
class Pad(Geometry):
    """torchvision.transforms.Pad on a PIL image, with a constant.

    padding: left, top, right, bottom; one number for all four, or two: left and right, top and bottom.  fill: the grey level.
    """

    name: ClassVar[str] = "pad"
    padding: tuple[int, int, int, int]
    fill: int = 0

    def __post_init__(self) -> None:
        given = (self.padding,) if isinstance(self.padding, int) else tuple(self.padding)
        if len(given) not in (1, 2, 4) or not all(is_whole(side) and 0 <= side <= MOST_SIDE for side in given):
            raise PreprocError(
                f"pad: expected 1, 2 or 4 numbers of pixels, left, top, right, bottom, got {self.padding!r}", name="step-value"
            )
        object.__setattr__(self, "padding", (given * 4)[:4])
        set_fill(self)

    def output_size(self, size: Size) -> Size:
        left, top, right, bottom = self.padding
        return size[0] + top + bottom, size[1] + left + right

    def output_sides(self, sides: Sides) -> Sides:
        (height, width), (left, top, right, bottom) = sides, self.padding
        return None if height is None else height + top + bottom, None if width is None else width + left + right
