"""Quantized operators: what is an integer stays one, scales are the numbers that the file has."""

from collections.abc import Mapping

import numpy as np

from .moving import along
from .pointwise import Form, along_channels, dtype_of, sigmoid
from .reading import Array, Node
from .windows import convolved


def _beside(node: Node, values: Array, x: Array) -> Array:
    """A scale or zero point beside x: a number, one for each place on an axis, or one for each block of such."""
    if values.size == 1:
        return values.reshape(())
    axis, block = node.get("axis", 1), node.get("block_size", 0)
    return np.repeat(values, block, axis=axis).take(range(x.shape[axis]), axis=axis) if block else along(values, x.ndim, axis)


def rounded(x: Array, scale: Array, zero: Array | int, dtype: np.dtype[np.generic]) -> Array:
    """Half to even, then saturated."""
    limits = np.iinfo(dtype.type)  # type: ignore[type-var]
    return np.asarray(np.clip(np.rint(x / scale) + np.asarray(zero, np.float64), limits.min, limits.max).astype(dtype))


def _quantize(node: Node, x: Array, scale: Array, zero: Array | None = None) -> Array:
    if node.get("precision", 0) not in (0, 1, 11):
        raise node.refuse("divides in less than float32")
    return rounded(x, _beside(node, scale, x), 0 if zero is None else _beside(node, zero, x), _quantized_dtype(node, zero))


def _unrounded(node: Node, x: Array, scale: Array, zero: Array | None = None) -> Array:
    """No integer, but within its limits: a quantizer leaves a ReLU out where saturation is one."""
    limits = np.iinfo(_quantized_dtype(node, zero).type)  # type: ignore[type-var]
    exact = x / _beside(node, scale, x) + (0 if zero is None else _beside(node, zero, x).astype(np.float64))
    return np.asarray(np.clip(exact, limits.min, limits.max))


def _quantized_dtype(node: Node, zero: Array | None) -> np.dtype[np.generic]:
    told = node.get("output_dtype", 0)
    return zero.dtype if zero is not None else dtype_of(node, told) if told else np.dtype(np.uint8)


def _dequantize(node: Node, x: Array, scale: Array, zero: Array | None = None) -> Array:
    less = 0 if zero is None else _beside(node, zero, x).astype(np.float64)
    return np.asarray((x.astype(np.float64) - less) * _beside(node, scale, x))


def dynamic(x: Array) -> tuple[Array, Array, Array]:
    """DynamicQuantizeLinear: uint8, scale, zero point."""
    low, high = min(0.0, float(x.min())), max(0.0, float(x.max()))
    scale = np.array((high - low) / 255 if high > low else 1 / 255)
    zero = np.clip(np.rint(-low / scale), 0, 255)
    return rounded(x, scale, zero, np.dtype(np.uint8)), scale, np.asarray(zero, np.uint8)


def _less(x: Array, zero: Array | None, axis: int) -> Array:
    """Minus its zero point, in float64, in which products of such integers and their sums are exact up to 2^53."""
    if zero is None:
        return x.astype(np.float64)
    return x.astype(np.float64) - (
        along(zero, x.ndim, axis) if zero.ndim == 1 and zero.size > 1 else zero.reshape(-1)[0].astype(np.float64)
    )


def _matmul_integer(_: Node, a: Array, b: Array, a_zero: Array | None = None, b_zero: Array | None = None) -> Array:
    return np.asarray(np.matmul(_less(a, a_zero, -2), _less(b, b_zero, -1)).astype(np.int32))


def _conv_integer(node: Node, x: Array, w: Array, x_zero: Array | None = None, w_zero: Array | None = None) -> Array:
    """Padded with the zero point."""
    return convolved(node, _less(x, x_zero, 1), _less(w, w_zero, 0)).astype(np.int32)


def _qlinear_conv(
    node: Node, x: Array, xs: Array, xz: Array, w: Array, ws: Array, wz: Array, ys: Array, yz: Array, bias: Array | None = None
) -> Array:
    sums = convolved(node, _less(x, xz, 1), _less(w, wz, 0))
    sums = sums if bias is None else sums + along_channels(bias, sums)
    return rounded(sums, ys / (xs * (along_channels(ws, sums) if ws.size > 1 else ws)), yz, yz.dtype)


def _qlinear_matmul(_: Node, a: Array, a_s: Array, az: Array, b: Array, b_s: Array, bz: Array, ys: Array, yz: Array) -> Array:
    rows = along(a_s, a.ndim, -2) if a_s.ndim == 1 and a_s.size > 1 else a_s
    return rounded(np.matmul(_less(a, az, -2), _less(b, bz, -1)), ys / (rows * b_s), yz, yz.dtype)


def _whole(x: Array, scale: Array, zero: Array | None) -> Array:
    return _less(x, zero, 0) * scale


def _again(y: Array, scale: Array, zero: Array | None) -> Array:
    return rounded(y, scale, 0 if zero is None else zero, np.dtype(np.uint8) if zero is None else zero.dtype)


def _qlinear_two(function: Form) -> Form:
    def two(_: Node, a: Array, a_s: Array, az: Array, b: Array, b_s: Array, bz: Array, ys: Array, yz: Array | None = None) -> Array:
        return _again(function(_whole(a, a_s, az), _whole(b, b_s, bz)), ys, yz)

    return two


def _qlinear_one(function: Form) -> Form:
    def one(node: Node, x: Array, xs: Array, xz: Array, ys: Array, yz: Array | None = None) -> Array:
        return _again(function(node, _whole(x, xs, xz)), ys, yz)

    return one


def _global_average(node: Node, x: Array) -> Array:
    if node.get("channels_last", 0):
        raise node.refuse("has its channels last")
    return np.asarray(x.mean(axis=tuple(range(2, x.ndim)), keepdims=True))


def _qlinear_concat(node: Node, ys: Array, yz: Array, *parts: Array) -> Array:
    whole = [_whole(*parts[at : at + 3]) for at in range(0, len(parts), 3)]
    return _again(np.concatenate(whole, axis=node.get("axis")), ys, yz)


INTEGERS: Mapping[str, Form] = {
    "ConvInteger": _conv_integer,
    "DequantizeLinear": _dequantize,
    "DynamicQuantizeLinear": lambda _, x: dynamic(x),
    "MatMulInteger": _matmul_integer,
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
    "QuantizeLinear": _quantize,
    "com.microsoft:DequantizeLinear": _dequantize,
    "com.microsoft:QLinearAdd": _qlinear_two(np.add),
    "com.microsoft:QLinearConcat": _qlinear_concat,
    "com.microsoft:QLinearGlobalAveragePool": _qlinear_one(_global_average),
    "com.microsoft:QLinearLeakyRelu": _qlinear_one(lambda node, x: np.where(x < 0, node.get("alpha", 0.01) * x, x)),
    "com.microsoft:QLinearMul": _qlinear_two(np.multiply),
    "com.microsoft:QLinearSigmoid": _qlinear_one(lambda _, x: sigmoid(x)),
    "com.microsoft:QuantizeLinear": _quantize,
}

UNROUNDED: Mapping[str, Form] = {"QuantizeLinear": _unrounded, "com.microsoft:QuantizeLinear": _unrounded}
"""The forms that do not round."""
ROUNDING = frozenset(INTEGERS) - {*UNROUNDED, "DequantizeLinear", "com.microsoft:DequantizeLinear"}
"""Those that have none such."""
