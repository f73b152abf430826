"""Pixels of Y, U and V as ONNX nodes: a picture (N, 3, H, W), in which each pixel has a U and a V of its own, or luma and chroma apart.

What only moves bytes is done to bytes, and repeating chroma with them (a Resize of uint8 took a thirtieth of the time of an Expand between
two Reshapes, ONNX Runtime, CPU).
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..steps import SHIFT, YUV, FromPixels, Geometry, Sides, chroma_moves, phases, to_rgb_in_integers
from .builder import Builder
from .crops import moved
from .frame import Numbers, Side

END = np.array([np.iinfo(np.int64).max])
_BLACK, _WHITE = 0.0, 255.0


def from_yuv(b: Builder, step: FromPixels, x: ir.Value, moves: Sequence[Geometry] = ()) -> ir.Value:
    """(N, 3, H, W) in the builder's dtype, of uint8 as the step's colour lies in memory: Y, U and V, or, with rgb8, whole levels of the
    channels that the step says; of luma alone (N, 1, H, W). A linear conversion is an affine map, and no part of this. moves: of Y, see
    steps.chroma_moves()."""
    if step.of_luma:
        b.channels = 1
        luma = _luma(b, step, x)
        return b.add("Cast", _in_floats(b, luma, moves, b.size) if moves else luma, to=b.dtype)
    luma, chroma = luma_and_chroma(b, step, x, moves)
    b.channels = 3
    order = [letter for letter in "".join(YUV[step.color].planes[step.layout]) if letter != "Y"]
    chroma = _spread(b, step, chroma)
    if order[0] == "V":
        chroma = b.add("Gather", chroma, np.array([1, 0]), axis=1)
    if step.chroma == "bilinear" and not moves:  # floats
        luma = b.add("Cast", luma, to=ir.DataType.FLOAT)
    planes = b.add("Concat", luma, chroma, axis=1)
    return b.add("Cast", _in_integers(b, step, planes) if step.conversion == "rgb8" else planes, to=b.dtype)


def picture_size(b: Builder, step: FromPixels, x: ir.Value) -> tuple[Side, Side]:
    """(height, width) of the picture: numbers, or read from the pixels' shape where they are free."""
    shape = None if None not in b.size else b.add("Shape", x)
    rows, columns = (1, 2) if step.layout != "NCHW" else (2, 3)
    found = [
        side if side is not None else b.add("Gather", shape, np.array([axis])) for side, axis in zip(b.size, (rows, columns), strict=True)
    ]
    if step.layout == "NHW" and b.size[0] is None:  # with the chroma below
        n = Numbers(b)
        found[0] = n.do("Mul", n.do("Div", found[0], 3), 2)
    return found[0], found[1]


def _luma(b: Builder, step: FromPixels, x: ir.Value) -> ir.Value:
    """(N, 1, H, W) of Y."""
    if step.layout == "NHW":
        height, _ = picture_size(b, step, x)
        return b.on_axes("Unsqueeze", b.add("Slice", x, np.array([0]), Numbers(b).vector([height]), np.array([1])), [1])
    x = b.add("Transpose", x, perm=[0, 3, 1, 2]) if step.layout == "NHWC" else x
    at = YUV[step.color].planes[step.layout][0].index("Y")
    return _cut(b, x, 1, at, at + 1)


def luma_and_chroma(b: Builder, step: FromPixels, x: ir.Value, moves: Sequence[Geometry] = ()) -> tuple[ir.Value, ir.Value]:
    """(N, 1, H, W) of luma and (N, 2, h, w) of chroma, in the order in which they lie: both uint8, or, where steps move them, in float32,
    which every provider resizes. moves: of luma, see steps.chroma_moves()."""
    luma, chroma = _as_they_lie(b, step, x)
    if not moves:
        return luma, chroma
    height, width = b.size
    rows, columns = YUV[step.color].block
    shared: Sides = (None if height is None else height // rows, None if width is None else width // columns)
    b.channels = 1
    luma = _in_floats(b, luma, moves, b.size)
    b.channels = 2
    return luma, _in_floats(b, chroma, chroma_moves(step, moves, b.size), shared)


def _as_they_lie(b: Builder, step: FromPixels, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """As luma_and_chroma(), uint8."""
    planes, n = YUV[step.color].planes[step.layout], Numbers(b)
    if step.layout == "NHW":
        height, _ = picture_size(b, step, x)
        luma = b.add("Slice", x, np.array([0]), n.vector([height]), np.array([1]))
        below = b.add("Slice", x, n.vector([height]), END, np.array([1]))
        chroma = _pairs(b, below) if len(planes) == 2 else b.add("Reshape", below, n.vector([0, 2, n.do("Div", height, 2), -1]))
        return b.on_axes("Unsqueeze", luma, [1]), chroma
    if YUV[step.color].block == (1, 1):
        x = b.add("Transpose", x, perm=[0, 3, 1, 2]) if step.layout == "NHWC" else x
        return _cut(b, x, 1, 0, 1), _cut(b, x, 1, 1, 3)
    at = planes[0].index("Y")
    return b.add("Transpose", _cut(b, x, 3, at, at + 1), perm=[0, 3, 1, 2]), _pairs(b, _cut(b, x, 3, 1 - at, 2 - at))


def _in_floats(b: Builder, plane: ir.Value, moves: Sequence[Geometry], size: Sides) -> ir.Value:
    return moved(b, moves, plane, layout="NCHW", dtype=ir.DataType.UINT8, size=size).cast(ir.DataType.FLOAT).transposed("NCHW").value


def _cut(b: Builder, x: ir.Value, axis: int, start: int, end: int) -> ir.Value:
    return b.add("Slice", x, *(np.array([number]) for number in (start, end, axis)))


def _pairs(b: Builder, x: ir.Value) -> ir.Value:
    """(N, h, 2w), or with an axis of one more, in turns -> (N, 2, h, w)."""
    return b.add("Transpose", b.add("Reshape", x, np.array([0, 0, -1, 2])), perm=[0, 3, 1, 2])


def _spread(b: Builder, step: FromPixels, chroma: ir.Value) -> ir.Value:
    """For each pixel, as phases() says: what a Resize does that takes the nearest, or that is linear and has the first sample of a side at
    its first pixel, or in the middle of its pixels."""
    sides = YUV[step.color].block
    if sides == (1, 1):
        return chroma
    if step.chroma == "replicate":
        return _resized(b, chroma, sides, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    chroma = b.add("Cast", chroma, to=ir.DataType.FLOAT)
    for axis, weights in enumerate(phases(sides, step.chroma, step.siting)):
        if len(weights) > 1:
            where = "asymmetric" if (0.0, 1.0, 0.0) in weights else "half_pixel"
            factors = [len(weights) if other == axis else 1 for other in range(2)]
            chroma = _resized(b, chroma, factors, mode="linear", coordinate_transformation_mode=where)
    return chroma


def _resized(b: Builder, x: ir.Value, factors: Sequence[int], **how: str) -> ir.Value:
    return b.add("Resize", x, b.constant(np.zeros(0, np.float32)), np.array([1, 1, *factors], np.float32), **how)


def _in_integers(b: Builder, step: FromPixels, x: ir.Value) -> ir.Value:
    """steps.to_rgb_in_integers(): (N, 3, H, W) uint8 -> (N, 3, H, W) float32 of 0..255. What is negative becomes 0, so that a division
    which rounds it up does no harm."""
    rows, zeros = to_rgb_in_integers(str(step.matrix), str(step.range))
    columns = np.array([rows["RGB".index(channel)] for channel in step.to], np.int32).T.reshape(3, 1, 3, 1, 1)
    total: ir.Value | np.ndarray = np.full((1, 1, 1, 1), 1 << (SHIFT - 1), np.int32)
    levels = b.add("Sub", b.add("Cast", x, to=ir.DataType.FLOAT), np.array(zeros, np.float32).reshape(1, 3, 1, 1))
    for channel in range(3):
        part = _cut(b, levels, 1, channel, channel + 1)
        whole = b.add("Cast", b.add("Relu", part) if channel == 0 else part, to=ir.DataType.INT32)
        total = b.add("Add", b.add("Mul", whole, columns[channel]), total)
    levels = b.add("Cast", b.add("Div", total, np.array(1 << SHIFT, np.int32)), to=ir.DataType.FLOAT)
    return b.add("Min", b.add("Max", levels, np.array(_BLACK, np.float32)), np.array(_WHITE, np.float32))
