"""From the caller's axes to (N, C, H, W), on which the steps' nodes work, and from there to the model's: one picture without a batch, a
batch, or a batch of frames."""

import numpy as np
import onnx_ir as ir

from ..sources import PixelsSpec
from ..steps import YUV, Sides
from .builder import Builder
from .frame import Numbers, Side


def entering(b: Builder, value: ir.Value, pixels: PixelsSpec) -> ir.Value:
    """The pixels as a batch of pictures, in their layout: one without a batch gets one, frames become pictures."""
    match pixels.axes:
        case "":
            return b.on_axes("Unsqueeze", value, [0])
        case "NT":
            return _reshaped(b, value, [-1, *_told(b, value, sides_of_one(pixels), 2)])
    return value


def sides_of_one(pixels: PixelsSpec) -> list[int | None]:
    """Of one picture as it lies in the pixels; None where a side is free."""
    height, width = pixels.size
    values = YUV[pixels.color].values if pixels.color in YUV else pixels.channels
    sides = {"C": int(values), "H": height, "W": width}
    if pixels.layout == "NHW" and height is not None:  # with the chroma below
        sides["H"] = int(height * values)
    return [sides[axis] for axis in pixels.layout[1:]]


def leaving(b: Builder, value: ir.Value, pixels: PixelsSpec, given: ir.Value, *, size: Sides, layout: str) -> ir.Value:
    """What the steps made of the pixels `given`, (N, C, H, W), as a model of that layout takes it. size: its (height, width), None
    for a side that is free."""
    match pixels.axes:
        case "":
            value = b.on_axes("Squeeze", value, [0])
        case "NT":
            frames = _told(b, given, [pixels.frames], 1)
            own = _told(b, value, [b.channels, *size], 1)
            value = _reshaped(b, value, [-1, *frames, *own])
    order = [f"{pixels.axes}CHW".index(axis) for axis in layout]
    return value if order == sorted(order) else b.add("Transpose", value, perm=order)


def _told(b: Builder, value: ir.Value, sides: list[int | None], first: int) -> list[Side]:
    """The sides, those that are free from the value's own shape, of which they are the axes from `first` on."""
    if None not in sides:
        return [side for side in sides if side is not None]
    shape = b.add("Shape", value)
    return [b.add("Gather", shape, np.array([first + place], np.int64)) if side is None else side for place, side in enumerate(sides)]


def _reshaped(b: Builder, value: ir.Value, sides: list[Side]) -> ir.Value:
    return b.add("Reshape", value, Numbers(b).vector(sides))
