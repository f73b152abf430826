"""The input of a graph that takes the picture, and what its shape says."""

from dataclasses import dataclass

import onnx_ir as ir

from ..errors import PreprocError
from ..recipe import PixelsSpec

FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)
CHANNELS = (1, 3, 4)
"""Channel counts by which a layout is told from a static shape."""


@dataclass(frozen=True)
class Picture:
    """layout: NCHW, or NHWC if the last dimension looks like channels and the second does not.  batch, height, width, channels: None
    where they are free."""

    value: ir.Value
    layout: str
    batch: int | None
    channels: int | None
    height: int | None
    width: int | None

    @property
    def size(self) -> tuple[int, int] | None:
        return None if self.height is None or self.width is None else (self.height, self.width)

    @property
    def axis(self) -> int:
        """Of the channels."""
        return self.layout.index("C")

    def check_fits(self, pixels: PixelsSpec, *, channels: int) -> None:
        """Raises PreprocError unless the model takes what the steps make of these pixels: `channels` channels, and their size and batch."""
        name = self.value.name
        if self.channels not in (None, channels):
            raise PreprocError(f"expected a model that takes {channels} channels, as the steps make, got {self.channels} in {name}")
        if self.batch != pixels.batch:
            raise PreprocError(f"expected a model with {pixels.batch or 'a free'} batch, got {self.batch or 'a free one'} in {name}")
        for side, want, have in zip(("height", "width"), pixels.size or (None, None), (self.height, self.width), strict=True):
            if have not in (None, want):
                raise PreprocError(f"[pixels] size: expected {side} {have}, which the model's input {name} has, got {want or 'dynamic'}")


def picture_input(model: ir.Model) -> Picture:
    """The one input, (N, C, H, W) or (N, H, W, C) float. Raises PreprocError with what the model has instead."""
    inputs = [value for value in model.graph.inputs if value.name not in model.graph.initializers]
    listed = ", ".join(f"{value.name}: {value.dtype} {value.shape}" for value in inputs) or "none"
    if len(inputs) != 1:
        raise PreprocError(f"expected a model with one input, a float picture (N, C, H, W), got: {listed}")
    (value,) = inputs
    if value.dtype in (ir.DataType.UINT8, ir.DataType.UINT16):
        raise PreprocError(f"expected a model that takes floats, got one that takes raw pixels already: {listed}")
    if value.dtype not in FLOATS or value.shape is None or len(value.shape) != 4:
        raise PreprocError(f"expected a model with one input, a float picture (N, C, H, W), got: {listed}")
    if value.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16):
        raise PreprocError(
            f"expected a model in float32 or float64, got {value.name} in {value.dtype}: its own rounding would hide the errors "
            "that are looked for; attach to the float32 file and convert then"
        )
    batch, second, third, last = (side if isinstance(side, int) and side > 0 else None for side in value.shape)
    if last in CHANNELS and second not in CHANNELS:
        return Picture(value, "NHWC", batch, last, second, third)
    return Picture(value, "NCHW", batch, second, third, last)
