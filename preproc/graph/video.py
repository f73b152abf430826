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
from .frame import Numbers, Side, sides_of

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
    height, width = sides_of(b, x, 2 if step.layout == "NCHW" else 1, b.size)
    if step.layout == "NHW" and b.size[0] is None:  # with the chroma below
        n = Numbers(b)
        height = n.do("Mul", n.do("Div", n.do("Add", height, 2), 3), 2)
    return height, width


def _in_blocks(b: Builder, step: FromPixels, x: ir.Value) -> tuple[ir.Value, Side, Side]:
    """Where pixels share chroma, (N, 3, H/2, W/2, 2), of which the last third is chroma, or of packed ones (N, H, W/2, 2, 2), whose last
    axis is of a pixel's luma and chroma; and H and W. A Reshape to them fails for other sizes, for free sides are rounded up to whole
    blocks: only a size without a cut one has as many values. That holds as well where a runtime puts -1 for the one side that is free.
    Without it planes of another size would be read, and luma and chroma of different sizes added where one of them has a single row."""
    n, (height, width) = Numbers(b), picture_size(b, step, x)
    across = n.do("Div", n.do("Add", width, 1), 2)
    shape = [0, 3, n.do("Div", height, 2), across, 2] if step.layout == "NHW" else [0, 0, across, 2, 2]
    return b.add("Reshape", x, n.vector(shape)), height, n.do("Mul", across, 2)


def _luma(b: Builder, step: FromPixels, x: ir.Value) -> ir.Value:
    """(N, 1, H, W) of Y."""
    if YUV[step.color].block != (1, 1):
        return _luma_of(b, step, *_in_blocks(b, step, x))
    x = b.add("Transpose", x, perm=[0, 3, 1, 2]) if step.layout == "NHWC" else x
    return _cut(b, x, 1, 0, 1)


def _luma_of(b: Builder, step: FromPixels, blocks: ir.Value, height: Side, width: Side) -> ir.Value:
    """As _luma(), of what _in_blocks() returns."""
    at = YUV[step.color].planes[step.layout][0].index("Y")
    luma = _cut(b, blocks, 1, 0, 2) if step.layout == "NHW" else _cut(b, blocks, 4, at, at + 1)
    return b.add("Reshape", luma, Numbers(b).vector([0, 1, height, width]))


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
    if YUV[step.color].block == (1, 1):
        x = b.add("Transpose", x, perm=[0, 3, 1, 2]) if step.layout == "NHWC" else x
        return _cut(b, x, 1, 0, 1), _cut(b, x, 1, 1, 3)
    blocks, height, width = _in_blocks(b, step, x)
    luma, planes, n = _luma_of(b, step, blocks, height, width), YUV[step.color].planes[step.layout], Numbers(b)
    if len(planes) == 3:
        shape = n.vector([0, 2, n.do("Div", height, 2), n.do("Div", width, 2)])
        return luma, b.add("Reshape", _cut(b, blocks, 1, 2, 3), shape)
    axis, at = (1, 2) if step.layout == "NHW" else (4, 1 - planes[0].index("Y"))
    pairs = b.on_axes("Squeeze", _cut(b, blocks, axis, at, at + 1), [axis])  # (N, h, w, 2)
    return luma, b.add("Transpose", pairs, perm=[0, 3, 1, 2])


def _in_floats(b: Builder, plane: ir.Value, moves: Sequence[Geometry], size: Sides) -> ir.Value:
    return moved(b, moves, plane, layout="NCHW", dtype=ir.DataType.UINT8, size=size).cast(ir.DataType.FLOAT).transposed("NCHW").value


def _cut(b: Builder, x: ir.Value, axis: int, start: int, end: int) -> ir.Value:
    return b.add("Slice", x, *(np.array([number]) for number in (start, end, axis)))


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
