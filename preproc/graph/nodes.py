"""Each step as ONNX nodes, written from the formulas."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ..errors import PreprocError
from ..steps import (
    YUV,
    Affine,
    ChannelAffine,
    FromPixels,
    Geometry,
    LocalResponseNorm,
    MinMaxNormalize,
    MinMaxScale,
    Normalize,
    Rescale,
    Sides,
    Standardize,
    Step,
    collapse_steps,
)
from .builder import Builder, Moved
from .crops import geometry
from .raising import NEWEST, OLDEST
from .video import from_yuv


def build(builder: Builder, steps: Sequence[Step], value: ir.Value) -> ir.Value:
    """Appends the nodes of all steps behind `value` and returns the last one's output. What moves pixels comes first: it treats all
    channels alike, so that their selection may as well follow."""
    moving = [step for step in steps if isinstance(step, Geometry)]
    first = steps[0] if steps else None
    if moving:
        if not isinstance(first, FromPixels):
            raise PreprocError(f"expected steps that start at pixels (from_pixels), got {moving[0].name} without", name="no-from-pixels")
        layout, dtype = first.layout, ir.DataType.UINT8
        if first.moves_planes:
            value = from_yuv(builder, first, value, moving)
        else:
            if first.color in YUV:
                value, layout, dtype = from_yuv(builder, first, value), "NCHW", builder.dtype
            value = geometry(builder, moving, value, layout=layout, dtype=dtype, size=builder.size)
        builder.moved = Moved(str(value.name), builder.dtype, channels=builder.channels if first.color in YUV else None)
    for step in steps:
        if not isinstance(step, Geometry):
            builder.step = step.name
            value = _NODES[type(step)](builder, step, value)
    return value


def _from_pixels(b: Builder, step: FromPixels, x: ir.Value) -> ir.Value:
    """The cast, NHWC to NCHW, and the colour order: BGR to RGB is a Gather of the channels, or part of the fold (FromPixels.affine).

    The cast is first, for TensorRT takes uint8 into nothing else. Moved as uint8, in ONNX Runtime on one thread, these two and a Sub take
    1.03, 0.85 and 0.75 of the time at batch 1, 8 and 32 of 224x224; but a folded mobilenet_v3_small as a whole 1.0, 1.04 and 0.97.
    """
    if step.color in YUV:
        if b.moved is None:
            x = from_yuv(b, step, x)
            b.moved = Moved(str(x.name), b.dtype, channels=b.channels)
        converting = step.affine(step.channels() or 3) if step.conversion == "linear" else None
        return x if converting is None else _affine(b, converting, x)
    if b.moved is None:  # else they are floats (N, C, H, W) already
        x = b.add("Cast", x, to=b.dtype)
        if step.layout == "NHWC":
            x = b.add("Transpose", x, perm=[0, 3, 1, 2])
    if step.color == step.to:
        return x
    selection = step.selection()
    b.channels = len(selection)
    return b.add("Gather", x, np.array(selection, np.int64), axis=1)


def _rescale(b: Builder, step: Rescale, x: ir.Value) -> ir.Value:
    x = b.add("Mul", x, b.floats(step.scale))
    return b.add("Add", x, b.floats(step.offset)) if step.offset else x


def _normalize(b: Builder, step: Normalize, x: ir.Value) -> ir.Value:
    return b.add("Div", b.add("Sub", x, b.per_channel(step.mean)), b.per_channel(step.std))


def _min_max_scale(b: Builder, step: MinMaxScale, x: ir.Value) -> ir.Value:
    line = step.line(len(step.low))
    y = b.add("Add", b.add("Mul", x, b.per_channel(line.matrix.diagonal())), b.per_channel(line.offset))
    if not step.clip:
        return y
    low, high = map(b.floats, step.out)
    if b.opset < 12:  # ONNX Runtime's Clip takes no float64 there
        return b.add("Min", b.add("Max", y, low), high)
    return b.add("Clip", y, low, high)


def _axes(per: str) -> list[int]:
    return [1, 2, 3] if per == "image" else [2, 3]


def _min_max_normalize(b: Builder, step: MinMaxNormalize, x: ir.Value) -> ir.Value:
    low, high = b.reduce("ReduceMin", x, _axes(step.per)), b.reduce("ReduceMax", x, _axes(step.per))
    span = b.add("Sub", high, low)
    divisor = b.add("Where", b.add("Greater", span, b.floats(0)), span, b.floats(1))
    share = b.add("Div", b.add("Sub", x, low), divisor)
    return b.add("Add", b.add("Mul", share, b.floats(step.out[1] - step.out[0])), b.floats(step.out[0]))


def _standardize(b: Builder, step: Standardize, x: ir.Value) -> ir.Value:
    """The mean is taken twice, as in the layer. n is a sum of ones: shape arithmetic would leave the device."""
    axes = _axes(step.per)
    centred = b.add("Sub", x, b.reduce("ReduceMean", x, axes))
    centred = b.add("Sub", centred, b.reduce("ReduceMean", centred, axes))
    squares = b.reduce("ReduceSum", b.add("Mul", centred, centred), axes)
    first = _first(b, x)
    ones = b.add("Add", b.add("Mul", first, b.floats(0)), b.floats(1))
    count = b.reduce("ReduceSum", ones, axes)
    freedom = b.add("Max", b.add("Sub", count, b.floats(step.correction)), b.floats(1))
    std = b.add("Sqrt", b.add("Div", squares, freedom))
    least = b.add("Reciprocal", b.add("Sqrt", count)) if step.min_std is None else b.floats(step.min_std)
    return b.add("Div", centred, b.add("Max", std, least))


def _first(b: Builder, x: ir.Value) -> ir.Value:
    """The first picture of a batch, or none of none: no Gather, which would fail there."""
    if b.opset < 10:
        return b.add("Slice", x, starts=[0], ends=[1], axes=[0])
    if b.opset == 10:  # ONNX Runtime takes a Slice's shape for its input's there
        return b.add("Compress", x, np.array([True]), axis=0)
    return b.add("Slice", x, *(np.array([number], np.int64) for number in (0, 1, 0)))


def _channel_affine(b: Builder, step: ChannelAffine, x: ir.Value) -> ir.Value:
    return _affine(b, step.affine(step.channels()), x)


def _affine(b: Builder, affine: Affine, x: ir.Value) -> ir.Value:
    b.channels = affine.channels_out
    if not affine.is_monomial:
        return b.add("Conv", x, b.floats(affine.matrix)[:, :, None, None], b.floats(affine.offset))
    index = np.argmax(affine.matrix != 0, axis=1)
    scale = affine.matrix[np.arange(len(index)), index]
    if not affine.is_diagonal:
        x = b.add("Gather", x, index.astype(np.int64), axis=1)
    once = affine.rounded_once()
    if once is not None:
        mean, std = once
        x = b.add("Sub", x, b.per_channel(mean)) if mean.any() else x
        return b.add("Div", x, b.per_channel(std))
    if (scale != 1).any():
        x = b.add("Mul", x, b.per_channel(scale))
    if affine.offset.any():
        x = b.add("Add", x, b.per_channel(affine.offset))
    return x


def _local_response_norm(b: Builder, step: LocalResponseNorm, x: ir.Value) -> ir.Value:
    """ONNX's LRN operator is slower, and differs for even sizes: its window is the mirror image of torch's."""
    squares = b.add("Mul", x, x)
    if step.region == "channels":
        c = np.arange(b.channels)
        distance = c[None, :] - c[:, None]  # of the channel that is read from the channel that is written
        band = (distance >= -(step.size // 2)) & (distance <= (step.size - 1) // 2)
        scale = b.floats(band * (step.alpha / step.size))[:, :, None, None]
        t = b.add("Conv", squares, scale, b.floats(np.full(b.channels, step.k)))
    else:
        half = step.size // 2
        mean = b.add("AveragePool", squares, kernel_shape=[step.size] * 2, pads=[half] * 4, strides=[1, 1], count_include_pad=1)
        t = b.add("Add", b.add("Mul", mean, b.floats(step.alpha)), b.floats(step.k))
    return b.add("Div", x, _power(b, t, step.beta))


def _power(b: Builder, t: ir.Value, beta: float) -> ir.Value:
    """t^beta, without the slow Pow where square roots do."""
    if beta == 1:
        return t
    if beta not in (0.5, 0.75):
        return b.add("Pow", t, b.floats(beta))
    root = b.add("Sqrt", t)
    return root if beta == 0.5 else b.add("Mul", root, b.add("Sqrt", root))


_NODES: dict[type[Step], Callable[[Builder, Any, ir.Value], ir.Value]] = {
    FromPixels: _from_pixels,
    Rescale: _rescale,
    Normalize: _normalize,
    MinMaxScale: _min_max_scale,
    MinMaxNormalize: _min_max_normalize,
    Standardize: _standardize,
    ChannelAffine: _channel_affine,
    LocalResponseNorm: _local_response_norm,
}


def needed_opset(opset: int, dtype: ir.DataType, steps: Sequence[Step], *, channels: int, size: Sides) -> tuple[int, str]:
    """The oldest opset, from `opset` on, that has nodes for these steps, and the step that an older one has none for: what attach() would
    miss, before anything else is done.

    dtype: of the model's floats.  channels, size: of the pixels, as Builder's. Raises PreprocError where the steps are not for pixels of
    this size, and for an opset in which nothing broadcasts.
    """
    left, step = collapse_steps(steps, channels), ""
    while True:
        builder = Builder(dtype, channels, opset=opset, size=size)
        try:
            build(builder, left, ir.Value(name="pixels"))
        except PreprocError as error:
            if error.name != "opset-too-old" or opset < OLDEST or opset >= NEWEST:
                raise
            opset, step = opset + 1, builder.step
        else:
            return opset, step


def append_channel(b: Builder, constant: float, x: ir.Value) -> ir.Value:
    """A further channel that holds `constant` everywhere: a Pad of the channel axis."""
    b.channels += 1
    return b.add("Pad", x, np.array([0, 0, 0, 0, 0, 1, 0, 0], np.int64), b.floats(constant), mode="constant")


def pixel_dtype(name: str) -> ir.DataType:
    try:
        return {"uint8": ir.DataType.UINT8, "uint16": ir.DataType.UINT16}[name]
    except KeyError as error:
        raise PreprocError(f"expected pixels of uint8 or uint16, got {name!r}", name="pixel-dtype") from error
