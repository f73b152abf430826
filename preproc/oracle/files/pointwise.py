"""Operators that treat each value by itself, or normalize along axes."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from .erf import erf
from .reading import Array, Node

Form = Callable[..., Any]
"""form(node, *inputs) -> its output, or a tuple of them. Floats are float64."""


def sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, small) / (1 + small))


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _gelu(node: Node, x: Array) -> Array:
    if node.get("approximate", "none") == "tanh":
        return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))
    return np.asarray(0.5 * x * (1 + erf(x / math.sqrt(2))))


def _divide(_: Node, x: Array, y: Array) -> Array:
    """Of integers toward zero."""
    if x.dtype.kind == "f":
        return x / y
    quotient = np.floor_divide(x, y)
    return np.asarray(quotient + ((np.remainder(x, y) != 0) & ((x < 0) ^ (y < 0))), x.dtype)


def _power(_: Node, x: Array, y: Array) -> Array:
    return np.power(x.astype(np.float64), y).astype(x.dtype)


def _clip(node: Node, x: Array, low: Array | None = None, high: Array | None = None) -> Array:
    low, high = node.get("min", low), node.get("max", high)
    x = x if low is None else np.maximum(x, np.asarray(low, x.dtype))
    return x if high is None else np.minimum(x, np.asarray(high, x.dtype))


def dtype_of(node: Node, number: int) -> np.dtype[Any]:
    """The dtype in which we compute what a file calls by this number: its floats are float64, those of 16 bits among them."""
    if number in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16):
        return np.dtype(np.float64)
    dtype = helper.tensor_dtype_to_np_dtype(number)
    if dtype.kind not in "biu":
        raise node.refuse(f"makes {TensorProto.DataType.Name(number).lower()} of its values, which the file rounds itself")
    return dtype


def _cast(node: Node, x: Array) -> Array:
    if x.dtype.kind not in "fbiu":
        raise node.refuse(f"reads {x.dtype}")
    return x.astype(dtype_of(node, node.get("to")))


def _softmax(node: Node, x: Array) -> Array:
    """Before opset 13 over all axes from the named one on."""
    axis = node.get("axis", 1 if node.opset < 13 else -1)
    axes = tuple(range(axis % x.ndim, x.ndim)) if node.opset < 13 else axis
    powers = np.exp(x - x.max(axis=axes, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axes, keepdims=True))


def _log_softmax(node: Node, x: Array) -> Array:
    axis = node.get("axis", 1 if node.opset < 13 else -1)
    axes = tuple(range(axis % x.ndim, x.ndim)) if node.opset < 13 else axis
    less = x - x.max(axis=axes, keepdims=True)
    return np.asarray(less - np.log(np.exp(less).sum(axis=axes, keepdims=True)))


def along_channels(values: Array, x: Array) -> Array:
    """(C,) beside x: (N, C, ...)."""
    return values.reshape(-1, *[1] * (x.ndim - 2))


def _batch_normalization(node: Node, x: Array, scale: Array, bias: Array, mean: Array, var: Array) -> Array:
    if node.get("training_mode", 0) or not node.get("spatial", 1) or len(node.outputs) > 1:
        raise node.refuse("is one for training")
    factor = scale / np.sqrt(var + node.get("epsilon", 1e-5))
    return x * along_channels(factor, x) + along_channels(bias - mean * factor, x)


def _normalized(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    less = x - x.mean(axis=axes, keepdims=True)
    return np.asarray(less / np.sqrt((less * less).mean(axis=axes, keepdims=True) + epsilon))


def _layer_normalization(node: Node, x: Array, scale: Array, bias: Array | None = None, epsilon: float = 1e-5) -> Array:
    if len([name for name in node.outputs if name]) > 1:
        raise node.refuse("answers its statistics")
    y = _normalized(x, tuple(range(node.get("axis", -1) % x.ndim, x.ndim)), node.get("epsilon", epsilon)) * scale
    return y if bias is None else y + bias


def _instance_normalization(node: Node, x: Array, scale: Array, bias: Array) -> Array:
    y = _normalized(x, tuple(range(2, x.ndim)), node.get("epsilon", 1e-5))
    return y * along_channels(scale, x) + along_channels(bias, x)


def _group_normalization(node: Node, x: Array, scale: Array, bias: Array) -> Array:
    """Before opset 21 scale and bias are one per group."""
    groups = node.get("num_groups")
    parts = x.reshape(len(x), groups, -1)
    y = _normalized(parts, (2,), node.get("epsilon", 1e-5)).reshape(x.shape)
    if node.opset < 21:
        scale, bias = (np.repeat(values, x.shape[1] // groups) for values in (scale, bias))
    return y * along_channels(scale, x) + along_channels(bias, x)


def _lrn(node: Node, x: Array) -> Array:
    size, total, squares = node.get("size"), np.zeros_like(x), x * x
    for c in range(x.shape[1]):
        total[:, c] = squares[:, max(0, c - (size - 1) // 2) : c + size // 2 + 1].sum(axis=1)
    return np.asarray(x / (node.get("bias", 1.0) + node.get("alpha", 1e-4) / size * total) ** node.get("beta", 0.75))


def _lp_normalization(node: Node, x: Array) -> Array:
    return np.asarray(x / np.linalg.norm(x, node.get("p", 2), axis=node.get("axis", -1), keepdims=True))


def _dropout(node: Node, x: Array, ratio: Array | None = None, training: Array | None = None) -> tuple[Array, ...]:  # noqa: ARG001
    if training is not None and training.any():
        raise node.refuse("is one for training")
    return (x, np.ones(x.shape, bool))[: len(node.outputs)]


def _modulo(node: Node, x: Array, y: Array) -> Array:
    return np.asarray(np.fmod(x, y) if node.get("fmod", 0) else np.mod(x, y))


def _mean(_: Node, *values: Array) -> Array:
    return np.asarray(sum(values[1:], values[0]) / len(values))


def _reduced(function: Callable[..., Any]) -> Form:
    def fold(_: Node, *values: Array) -> Array:
        result = values[0]
        for value in values[1:]:
            result = function(result, value)
        return result

    return fold


def _each(function: Callable[..., Any]) -> Form:
    return lambda _, *values: function(*values)


def _skip_layer_normalization(
    node: Node, x: Array, skip: Array, scale: Array, shift: Array | None = None, bias: Array | None = None
) -> Array:
    return _layer_normalization(node, x + skip if bias is None else x + skip + bias, scale, shift, 1e-12)


_NUMPY = {
    **{
        name: getattr(np, name.lower())
        for name in ("Abs", "Sin", "Cos", "Tan", "Sinh", "Cosh", "Tanh", "Exp", "Log", "Sqrt", "Sign", "Floor")
    },
    **{"Asin": np.arcsin, "Acos": np.arccos, "Atan": np.arctan, "Asinh": np.arcsinh, "Acosh": np.arccosh, "Atanh": np.arctanh},
    **{"Ceil": np.ceil, "Round": np.rint, "Neg": np.negative, "IsNaN": np.isnan, "Not": np.logical_not, "Reciprocal": lambda x: 1 / x},
    **{"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "And": np.logical_and, "Or": np.logical_or, "Xor": np.logical_xor},
    **{"Equal": np.equal, "Greater": np.greater, "Less": np.less, "GreaterOrEqual": np.greater_equal, "LessOrEqual": np.less_equal},
    **{"Where": np.where, "Identity": lambda x: x, "Relu": lambda x: np.maximum(x, 0), "Sigmoid": sigmoid, "Softplus": _softplus},
    **{"Softsign": lambda x: x / (1 + np.abs(x)), "Mish": lambda x: x * np.tanh(_softplus(x)), "Erf": erf},
    **{"HardSwish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1), "PRelu": lambda x, slope: np.where(x < 0, slope * x, x)},
}
POINTWISE: Mapping[str, Form] = {name: _each(function) for name, function in _NUMPY.items()} | {
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "CastLike": lambda _, x, like: x.astype(like.dtype),
    "Celu": lambda node, x: np.maximum(x, 0) + np.minimum(0, node.get("alpha", 1.0) * np.expm1(x / node.get("alpha", 1.0))),
    "Clip": _clip,
    "Div": _divide,
    "Dropout": _dropout,
    "Elu": lambda node, x: np.where(x < 0, node.get("alpha", 1.0) * np.expm1(np.minimum(x, 0)), x),
    "Gelu": _gelu,
    "GroupNormalization": _group_normalization,
    "HardSigmoid": lambda node, x: np.clip(node.get("alpha", 0.2) * x + node.get("beta", 0.5), 0, 1),
    "InstanceNormalization": _instance_normalization,
    "IsInf": lambda node, x: np.isinf(x) & (((x > 0) & node.get("detect_positive", 1)) | ((x < 0) & node.get("detect_negative", 1))) > 0,
    "LRN": _lrn,
    "LayerNormalization": _layer_normalization,
    "LeakyRelu": lambda node, x: np.where(x < 0, node.get("alpha", 0.01) * x, x),
    "LogSoftmax": _log_softmax,
    "LpNormalization": _lp_normalization,
    "Max": _reduced(np.maximum),
    "Mean": _mean,
    "Min": _reduced(np.minimum),
    "Mod": _modulo,
    "Pow": _power,
    "Selu": lambda node, x: (
        node.get("gamma", 1.0507010221481323) * np.where(x < 0, node.get("alpha", 1.6732631921768188) * np.expm1(np.minimum(x, 0)), x)
    ),
    "Softmax": _softmax,
    "Sum": _reduced(np.add),
    "Swish": lambda node, x: x * sigmoid(node.get("alpha", 1.0) * x),
    "ThresholdedRelu": lambda node, x: np.where(x > node.get("alpha", 1.0), x, 0.0),
    "com.microsoft:BiasGelu": lambda node, x, bias: _gelu(node, x + bias),
    "com.microsoft:Gelu": _gelu,
    "com.microsoft:QuickGelu": lambda node, x: x * sigmoid(node.get("alpha", 1.702) * x),
    "com.microsoft:SkipLayerNormalization": _skip_layer_normalization,
}
