"""Resize and Upsample, axis by axis, as weights of the values that each new one reads."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from .pointwise import Form
from .reading import Array, Node

_PLACES: Mapping[str, Callable[[Array, float, int, int], Array]] = {
    "half_pixel": lambda at, scale, _, __: (at + 0.5) / scale - 0.5,
    "pytorch_half_pixel": lambda at, scale, _, new: (at + 0.5) / scale - 0.5 if new > 1 else np.zeros(1),
    "half_pixel_symmetric": lambda at, scale, old, new: old / 2 * (1 - new / (scale * old)) + (at + 0.5) / scale - 0.5,
    "align_corners": lambda at, _, old, new: at * (old - 1) / (new - 1) if new > 1 else np.zeros(1),
    "asymmetric": lambda at, scale, _, __: at / scale,
    "tf_half_pixel_for_nn": lambda at, scale, _, __: (at + 0.5) / scale,
}
"""Where a new pixel is among the old ones: of (its number, new / old, old, new)."""
_ROUNDED: Mapping[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _resize(node: Node, x: Array, *told: Array | None) -> Array:
    """In opset 10 the scales come first; roi, scales, sizes from opset 11 on."""
    if node.opset < 11:
        return _upsample(node, x, *told)
    scales, sizes = [*told, None, None][1:3]
    axes = [int(axis) % x.ndim for axis in node.get("axes", range(x.ndim))]
    if sizes is not None and sizes.size:
        new, factors = _sizes(node, [x.shape[axis] for axis in axes], [int(size) for size in sizes])
    else:
        assert scales is not None
        factors = [float(scale) for scale in scales]
        new = [math.floor(x.shape[axis] * factor) for axis, factor in zip(axes, factors, strict=True)]
    for axis, size, factor in zip(axes, new, factors, strict=True):
        if factor != 1 or size != x.shape[axis]:
            x = _along(x, axis, *_weights(node, x.shape[axis], size, factor))
    return x


def _sizes(node: Node, old: Sequence[int], asked: list[int]) -> tuple[list[int], list[float]]:
    factors = [size / before for size, before in zip(asked, old, strict=True)]
    policy = node.get("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return asked, factors
    one = min(factors) if policy == "not_larger" else max(factors)
    return [math.floor(one * before + 0.5) for before in old], [one] * len(old)


def _upsample(node: Node, x: Array, scales: Array | None = None) -> Array:
    """Upsample, and Resize of opset 10."""
    for axis, factor in enumerate(node.get("scales", scales)):
        if factor != 1:
            new = math.floor(x.shape[axis] * factor)
            at = np.arange(new) / float(factor)
            x = _along(x, axis, *(_two(at) if node.get("mode", "nearest") == "linear" else (np.floor(at)[:, None], np.ones((new, 1)))))
    return x


def _weights(node: Node, old: int, new: int, scale: float) -> tuple[Array, Array]:
    """Of each new pixel the old ones that it reads, (new, taps), which may lie outside; and what it takes of each."""
    told, mode = node.get("coordinate_transformation_mode", "half_pixel"), node.get("mode", "nearest")
    if told not in _PLACES:
        raise node.refuse(f"places its pixels by {told}")
    at = np.asarray(_PLACES[told](np.arange(new, dtype=np.float64), scale, old, new))
    if mode == "nearest":
        return _ROUNDED[node.get("nearest_mode", "round_prefer_floor")](at)[:, None], np.ones((new, 1))
    a = node.get("cubic_coeff_a", -0.75)
    kernel: Callable[[Array], Array] = _triangle if mode == "linear" else lambda x: _cubic(x, a)
    support, narrow = (1 if mode == "linear" else 2), min(scale, 1.0) if node.get("antialias", 0) else 1.0
    first = np.floor(at) - math.ceil(support / narrow) + 1
    index = first[:, None] + np.arange(2 * math.ceil(support / narrow))
    weights = kernel((index - at[:, None]) * narrow)
    if node.get("exclude_outside", 0):
        weights = weights * ((index >= 0) & (index < old))
    return index, weights / weights.sum(axis=1, keepdims=True)


def _two(at: Array) -> tuple[Array, Array]:
    index = np.floor(at)[:, None] + np.arange(2)
    return index, _triangle(index - at[:, None])


def _triangle(x: Array) -> Array:
    return np.asarray(np.maximum(0, 1 - np.abs(x)))


def _cubic(x: Array, a: float) -> Array:
    x = np.abs(x)
    inner, outer = ((a + 2) * x - (a + 3)) * x * x + 1, ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, inner, np.where(x < 2, outer, 0.0))


def _along(x: Array, axis: int, index: Array, weights: Array) -> Array:
    """What lies outside is the border's value."""
    inside = np.clip(index, 0, x.shape[axis] - 1).astype(np.intp)
    if weights.shape[1] == 1:
        return np.take(x, inside[:, 0], axis=axis)
    y = np.moveaxis(x, axis, -1)
    result = sum(np.take(y, inside[:, tap], axis=-1) * weights[:, tap] for tap in range(weights.shape[1]))
    return np.moveaxis(np.asarray(result), -1, axis)


RESIZING: Mapping[str, Form] = {"Resize": _resize, "Upsample": _upsample}
