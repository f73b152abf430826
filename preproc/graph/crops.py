"""Crops, pads and resizes as ONNX nodes on grey levels, in front of everything else.

Sizes are numbers where the pixels' size is known, else int64 nodes on the picture's own shape. A picture keeps the pixels' layout and
dtype as long as it can, for uint8 is small and a crop leaves less to cast. But every node has to have a kernel in ONNX Runtime's CUDA
provider as well (tests/cuda_kernels.json), where nothing pads uint8 or resizes (N, H, W, C) of it; float32 holds grey levels exactly.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..errors import PreprocError
from ..steps import CenterCrop, Geometry, Letterbox, Pad, Resize, Sides
from .builder import Builder
from .frame import Frame, Numbers, Side, sides_of
from .resize import new_sides, resample


def geometry(b: Builder, steps: Sequence[Geometry], pixels: ir.Value, *, layout: str, dtype: ir.DataType, size: Sides) -> ir.Value:
    """The nodes of the steps, from whole levels of that dtype to grey levels (N, C, H, W) in the builder's. size: of the pixels, None where
    a side is free."""
    return moved(b, steps, pixels, layout=layout, dtype=dtype, size=size).cast(b.dtype).transposed("NCHW").value


def moved(b: Builder, steps: Sequence[Geometry], pixels: ir.Value, *, layout: str, dtype: ir.DataType, size: Sides) -> Frame:
    """As geometry(), in a layout and a dtype that are the steps' own."""
    height, width = sides_of(b, pixels, layout.index("H"), size)
    frame = Frame(b, pixels, layout, dtype, height, width)
    for step in steps:
        b.step = step.name
        match step:
            case Resize():
                frame = resample(frame, step, *new_sides(frame, step))
            case CenterCrop():
                frame = _center_crop(frame, step)
            case Pad():
                left, top, right, bottom = step.padding
                frame = _pad(frame, (top, left, bottom, right), step.fill)
            case Letterbox():
                frame = _letterbox(frame, step)
            case _:
                raise PreprocError(f"expected a step that ONNX nodes are known for, got {step.name}", name="steps-cannot-say")
    return frame


def _letterbox(frame: Frame, step: Letterbox) -> Frame:
    if isinstance(frame.height, int) and isinstance(frame.width, int):
        inner: tuple[Side, Side] = step.inner_size((frame.height, frame.width))
    else:
        n, (most_height, most_width) = Numbers(frame.b), step.size
        height = n.do("Min", n.scaled(frame.height, most_width, frame.width), most_height)
        width = n.do("Min", n.scaled(frame.width, most_height, frame.height), most_width)
        inner = n.do("Max", height, 1), n.do("Max", width, 1)
    frame = resample(frame, step, *inner)
    n, sides = Numbers(frame.b), []
    for most, side in zip(step.size, (frame.height, frame.width), strict=True):
        before = n.do("Div", n.do("Sub", most, side), 2)
        sides.append((before, n.do("Sub", n.do("Sub", most, side), before)))
    (top, bottom), (left, right) = sides
    padded = _pad(frame, (top, left, bottom, right), step.fill)
    return padded.into(padded.value, *step.size)


def _center_crop(frame: Frame, step: CenterCrop) -> Frame:
    """Cut before it is padded, which is the same, for no axis is both."""
    n, starts, ends, left = Numbers(frame.b), [], [], []
    for new, side in zip(step.size, (frame.height, frame.width), strict=True):
        over = n.do("Max", n.do("Sub", side, new), 0)
        odd = n.do("Mod", n.do("Div", over, 2), 2) if step.rounding == "half_even" else 0
        starts.append(n.do("Div", n.do("Add", over, odd), 2))
        left.append(n.do("Sub", side, over))
        ends.append(n.do("Add", starts[-1], left[-1]))
    height, width = left
    if (frame.height, frame.width) != (height, width):
        cut = frame.b.add("Slice", frame.value, n.vector(starts), n.vector(ends), np.array(frame.axes, np.int64))
        frame = frame.into(cut, height, width)
    more = [n.do("Sub", new, side) for new, side in zip(step.size, left, strict=True)]
    before = [n.do("Div", n.do("Add", side, int(step.rounding == "floor")), 2) for side in more]
    top, left_side, bottom, right = *before, *(n.do("Sub", side, half) for side, half in zip(more, before, strict=True))
    padded = _pad(frame, (top, left_side, bottom, right), step.fill)
    return padded.into(padded.value, *step.size)


def _pad(frame: Frame, sides: Sequence[Side], fill: int) -> Frame:
    """sides: top, left, bottom, right. In float32: CUDA's Pad takes no integers."""
    if all(isinstance(side, int) and side == 0 for side in sides):
        return frame
    frame = frame.cast(ir.DataType.FLOAT)
    n, (rows, columns) = Numbers(frame.b), frame.axes
    where: list[Side] = [0] * 8
    for axis, side in zip((rows, columns, 4 + rows, 4 + columns), sides, strict=True):
        where[axis] = side
    padded = frame.b.add("Pad", frame.value, n.vector(where), np.array(fill, np.float32), mode="constant")
    height = n.do("Add", n.do("Add", frame.height, sides[0]), sides[2])
    return frame.into(padded, height, n.do("Add", n.do("Add", frame.width, sides[1]), sides[3]))
