"""Resizes as ONNX nodes: Resize nodes where they come near enough to Pillow, integers in float64 or int64 otherwise."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..steps import Resampling, Resize
from .builder import Builder
from .frame import Frame, Numbers, Side, counted, limit, ratio
from .resize_exact import exact_resize

LINEAR_BITS = 11
"""Of OpenCV's: INTER_RESIZE_COEF_BITS."""
HALF = 0.5 + 2.0**-16
"""What rounds a float32 resize half up: exact halves, frequent where sides are halved, may come out a rounding of float32 below."""


def new_sides(frame: Frame, step: Resize) -> tuple[Side, Side]:
    """As torchvision's _compute_resized_output_size."""
    if not isinstance(step.size, int):
        return step.size
    if isinstance(frame.height, int) and isinstance(frame.width, int):
        return step.output_size((frame.height, frame.width))
    n = Numbers(frame.b)
    short = n.do("Min", frame.height, frame.width)
    height, width = (n.do("Div", n.do("Mul", side, step.size), short) for side in (frame.height, frame.width))
    if step.max_size is None:
        return height, width
    long = n.do("Max", height, width)
    less = n.do("Min", n.do("Div", step.max_size * step.size, long), step.size)
    long = n.do("Min", long, step.max_size)
    tall = frame.b.add("Greater", n.value(frame.height), n.value(frame.width))
    sides = n.value(long), n.value(less)
    return frame.b.add("Where", tall, *sides), frame.b.add("Where", tall, *sides[::-1])


def resample(frame: Frame, step: Resampling, height: Side, width: Side) -> Frame:
    if (frame.height, frame.width) == (height, width):
        return frame
    if step.interpolation == "nearest":
        value = frame.value
        for axis, old, new in zip(frame.axes, (frame.height, frame.width), (height, width), strict=True):
            value = frame.b.add("Gather", value, _nearest(frame.b, old, new), axis=axis)
        return frame.into(value, height, width)
    if not step.antialias:
        return frame.into(_linear(frame, height, width), height, width, ir.DataType.FLOAT)
    if step.form == "exact":
        return exact_resize(frame, step, height, width)
    return _fast(frame, step, height, width)


def _first_height(frame: Frame, step: Resampling, height: Side, width: Side) -> Side:
    """The new height where Pillow's vertical pass comes first, else the picture's own."""
    if step.pillow != 13:
        return frame.height
    n = Numbers(frame.b)
    down, across = n.do("Sub", frame.height, height), n.do("Sub", frame.width, width)
    bound = n.do("Max", n.do("Mul", across, 2), 0)
    if isinstance(down, int) and isinstance(bound, int):
        return height if down > bound else frame.height
    rows = frame.b.add("Greater", n.value(down), n.value(bound))
    return frame.b.add("Where", rows, n.value(height), n.value(frame.height))


def _fast(frame: Frame, step: Resampling, height: Side, width: Side) -> Frame:
    """Resize nodes; for floats one. Bicubic is one node on uint8, which ONNX Runtime rounds as Pillow does: the columns first, then the
    rows; and in front of that one for the rows alone where Pillow may begin with them, which leaves them as they are where it does not.

    Bilinear is not, for the CUDA provider's kernel for uint8 computes a part of the picture only where that is made lower, and reads
    beyond its memory where there are several (onnxruntime #25264, mended for bicubic). It is a node in float32 for each pass.
    """
    if not step.rounds:
        mode = {"mode": "linear"} if step.interpolation == "bilinear" else {"mode": "cubic", "cubic_coeff_a": -0.5}
        return _resize(_planes(frame, ir.DataType.FLOAT), height, width, **mode)
    first = _first_height(frame, step, height, width)
    if step.interpolation == "bilinear":
        return _bilinear(frame, first, height, width)
    frame = _planes(frame, ir.DataType.UINT8)
    frame = _resize(frame, first, frame.width, mode="cubic", cubic_coeff_a=-0.5)
    return _resize(frame, height, width, mode="cubic", cubic_coeff_a=-0.5)


def _bilinear(frame: Frame, first: Side, height: Side, width: Side) -> Frame:
    """first: as _first_height() has it. Where that is known only when it runs, the pictures take one of two ways, and none the other."""
    if first is frame.height or isinstance(first, int):
        return _passes(frame, height, width, rows_first=first != frame.height)
    b, n, axis = frame.b, Numbers(frame.b), np.array([frame.layout.index("N")], np.int64)
    count = b.add("Gather", b.add("Shape", frame.value), axis)
    taken = n.do("Mul", n.do("Min", n.do("Sub", frame.height, first), 1), count)  # all or none: rows go first only where some go
    none = np.array([0], np.int64)
    ways = [
        _passes(replace(frame, value=b.add("Slice", frame.value, start, end, axis)), height, width, rows_first=rows_first)
        for start, end, rows_first in ((none, n.value(taken), True), (n.value(taken), count, False))
    ]
    together = b.add("Concat", *(way.value for way in ways), axis=ways[0].layout.index("N"))
    return replace(ways[0], value=together)


def _passes(frame: Frame, height: Side, width: Side, *, rows_first: bool) -> Frame:
    """One axis after the other, rounded half up behind each, as Pillow does."""
    frame = _planes(frame, ir.DataType.FLOAT)
    for new in ((height, frame.width) if rows_first else (frame.height, width), (height, width)):
        resized = _resize(frame, *new, mode="linear")
        if resized is not frame:
            half_up = frame.b.add("Floor", frame.b.add("Add", resized.value, np.array(HALF, np.float32)))
            frame = resized.into(half_up, *new)
    return frame


def _resize(frame: Frame, height: Side, width: Side, **mode: Any) -> Frame:
    """An antialiased Resize node on planes, or none where the size stays."""
    if (frame.height, frame.width) == (height, width):
        return frame
    sizes = Numbers(frame.b).vector([height, width])
    settings = {"antialias": 1, "exclude_outside": 1, "axes": list(frame.axes)}
    return frame.into(frame.b.add("Resize", frame.value, None, None, sizes, **settings, **mode), height, width)


def _planes(frame: Frame, dtype: ir.DataType) -> Frame:
    """Height and width last, as the CUDA provider's Resize wants them.

    (C, N, H, W), for behind a Transpose to (N, C, H, W) ONNX Runtime's optimizer exchanges the two nodes on a CPU, and forgets the axes.
    It also moves the Transpose behind the cast, where it has four times the bytes: not if there is a fifth dimension.
    """
    if frame.layout != "NHWC":
        return frame.cast(dtype)
    frame = frame.transposed("CNHW")
    if frame.dtype == dtype:
        return frame
    five = replace(frame, value=frame.b.add("Reshape", frame.value, np.array([0, 0, 0, 0, 1], np.int64))).cast(dtype)
    return replace(five, value=frame.b.add("Reshape", five.value, np.array([0, 0, 0, 0], np.int64)))


def _linear(frame: Frame, height: Side, width: Side) -> ir.Value:
    """Two taps with weights of 11 bits and one rounding, as OpenCV's INTER_LINEAR, in int32; float32."""
    b, value = frame.b, frame.b.add("Cast", frame.value, to=ir.DataType.INT32)
    for axis, old, new in reversed(list(zip(frame.axes, (frame.height, frame.width), (height, width), strict=True))):
        left, right, share = _taps(b, old, new)
        shape = np.array([-1] + [1] * (3 - axis), np.int64)
        weights = [b.add("Reshape", part, shape) for part in (b.add("Sub", np.array(1 << LINEAR_BITS, np.int32), share), share)]
        read = [b.add("Gather", value, at, axis=axis) for at in (left, right)]
        value = b.add("Add", *(b.add("Mul", x, weight) for x, weight in zip(read, weights, strict=True)))
    rounded = b.add("Add", value, np.array(1 << 2 * LINEAR_BITS - 1, np.int32))
    return b.add("Cast", b.add("Div", rounded, np.array(1 << 2 * LINEAR_BITS, np.int32)), to=ir.DataType.FLOAT)


def _taps(b: Builder, old: Side, new: Side) -> tuple[ir.Value, ir.Value, ir.Value]:
    """The positions left and right of each new pixel, and the right one's weight."""
    n, number = Numbers(b), np.float64
    middle = b.add("Add", b.add("Cast", counted(b, new), to=ir.DataType.DOUBLE), np.array(0.5, number))
    at = b.add("Sub", b.add("Mul", middle, ratio(b, old, new)), np.array(0.5, number))
    low = b.add("Floor", at)
    parts = b.add("Mul", b.add("Sub", at, low), np.array(1 << LINEAR_BITS, number))
    share = b.add("Cast", b.add("Floor", b.add("Add", parts, np.array(0.5, number))), to=ir.DataType.INT32)
    start = b.add("Cast", low, to=ir.DataType.INT64)
    last, zero = n.value(n.do("Sub", old, 1)), np.array(0, np.int64)
    left, right = (limit(b, "Min", limit(b, "Max", x, zero), last) for x in (start, b.add("Add", start, np.array(1, np.int64))))
    return left, right, share


def _nearest(b: Builder, old: Side, new: Side) -> ir.Value | NDArray[np.int64]:
    """The positions that Pillow's NEAREST reads: the scale added up in float64, rounding errors included."""
    if isinstance(old, int) and isinstance(new, int):
        scale = old / new
        return np.minimum(np.cumsum([scale * 0.5] + [scale] * (new - 1)).astype(np.int64), old - 1)
    half = b.add("Where", b.add("Equal", counted(b, new), np.array(0, np.int64)), np.array(0.5, np.float64), np.array(1, np.float64))
    at = b.add("CumSum", b.add("Mul", half, ratio(b, old, new)), np.array(0, np.int64))
    n = Numbers(b)
    return limit(b, "Min", b.add("Cast", at, to=ir.DataType.INT64), n.value(n.do("Sub", old, 1)))
