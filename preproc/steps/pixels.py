"""Integer pixels: their layouts, colour orders and depths, and the step that reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import PreprocError, check_choice
from .affine import Affine
from .base import Step

COLORS: Mapping[str, tuple[str, ...]] = {
    "RGB": ("R", "G", "B"),
    "BGR": ("B", "G", "R"),
    "RGBA": ("R", "G", "B", "A"),
    "BGRA": ("B", "G", "R", "A"),
    "GRAY": ("Y",),
    "ANY": (),
}
"""Colour orders and the channels in them. ANY: any number of channels, never reordered."""

LAYOUTS = ("NHWC", "NCHW")
NETWORK_LAYOUTS = ("NCHW", "NHWC", "CHW", "HWC", "NTCHW", "NCTHW", "NTHWC")
"""What an .onnx file's picture may be: a batch of pictures, one without a batch, or a batch of T frames each."""
PIXEL_DTYPES: Mapping[str, float] = {"uint8": 255.0, "uint16": 65535.0}
"""Pixel dtypes and their largest grey level."""


@dataclass(frozen=True, kw_only=True)
class FromPixels(Step):
    """Integer pixels to float (N, C, H, W) in grey levels, in the backbone's colour order.

    layout: NHWC or NCHW.  color: the order the pixels have.  to: the order the backbone wants.
    pixel_dtype: uint8 or uint16.
    """

    name: ClassVar[str] = "from_pixels"
    layout: str
    color: str = "RGB"
    to: str = "RGB"
    pixel_dtype: str = "uint8"

    def __post_init__(self) -> None:
        check_choice("layout", self.layout, LAYOUTS)
        check_choice("color", self.color, COLORS)
        check_choice("to", self.to, COLORS)
        check_choice("pixel_dtype", self.pixel_dtype, PIXEL_DTYPES)
        self.selection()

    def selection(self) -> tuple[int, ...]:
        """For each channel the backbone wants, the index of the pixels' channel that it reads; () for ANY."""
        have, want = COLORS[self.color], COLORS[self.to]
        if self.color == self.to:
            return tuple(range(len(have)))
        if self.color == "GRAY" and want and "A" not in want:
            return (0,) * len(want)
        if not have or not set(want) <= set(have) or not want:
            raise PreprocError(
                f"expected pixels from which {self.to} can be taken, got {self.color}: "
                + (
                    "name both colour orders, or set both to ANY"
                    if "ANY" in (self.color, self.to)
                    else "convert them first (a ChannelAffine can mix colours)"
                ),
                name="color-mismatch",
            )
        return tuple(have.index(channel) for channel in want)

    def channels(self) -> int | None:
        return len(COLORS[self.color]) or None

    def affine(self, channels: int) -> Affine:
        if self.color == "ANY":
            return Affine.identity(channels)
        if channels != self.channels():
            raise PreprocError(f"expected {self.channels()} channels ({self.color}), got {channels}", name="channel-mismatch")
        rows = self.selection()
        return Affine(np.eye(channels)[list(rows)], np.zeros(len(rows)))
