"""Operators that move values, or make them: shapes, slices, gathers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .pointwise import Form, dtype_of
from .reading import Array, Node


def widened(x: Array) -> Array:
    """float32, float16 and bfloat16 as float64; what is no float as it is."""
    return x.astype(np.float64) if x.dtype.kind == "f" or x.dtype.name == "bfloat16" else x


def _constant(node: Node) -> Array:
    if "value" in node.attributes:
        return widened(node.get("value"))
    for name, dtype in (("value_float", np.float64), ("value_floats", np.float64), ("value_int", np.int64), ("value_ints", np.int64)):
        if name in node.attributes:
            return np.asarray(node.get(name), dtype)
    raise node.refuse("is no tensor of numbers")


def _constant_of_shape(node: Node, shape: Array) -> Array:
    value = widened(np.asarray(node.get("value", np.zeros(1, np.float32))))
    return np.full(tuple(shape), value.reshape(-1)[0], value.dtype)


def _shape(node: Node, x: Array) -> Array:
    return np.array(x.shape[node.get("start", 0) : node.get("end")], np.int64)


def _reshape(node: Node, x: Array, shape: Array | None = None) -> Array:
    asked = list(node.get("shape", shape))
    return x.reshape([x.shape[at] if size == 0 and not node.get("allowzero", 0) else int(size) for at, size in enumerate(asked)])


def _flatten(node: Node, x: Array) -> Array:
    axis = node.get("axis", 1)
    rows = int(np.prod(x.shape[: axis if axis >= 0 else axis + x.ndim]))
    return x.reshape(rows, x.size // rows if rows else 0)


def _squeeze(node: Node, x: Array, axes: Array | None = None) -> Array:
    chosen = node.get("axes", axes)
    return x.squeeze(None if chosen is None else tuple(int(axis) for axis in np.atleast_1d(chosen)))


def _unsqueeze(node: Node, x: Array, axes: Array | None = None) -> Array:
    return np.expand_dims(x, tuple(int(axis) for axis in np.atleast_1d(node.get("axes", axes))))


def _labels(node: Node) -> list[Any]:
    return list(node.get("classlabels_strings", None) or node.get("classlabels_int64s", []))


def _split_to_sequence(node: Node, x: Array, sizes: Array | None = None) -> list[Array]:
    """Parts of one, whose axis goes unless keepdims; of so many, the last perhaps smaller; or of these sizes."""
    axis = node.get("axis", 0)
    side = x.shape[axis]
    if sizes is None:
        parts = np.split(x, side, axis) if side else []
        return parts if node.get("keepdims", 1) else [part.squeeze(axis) for part in parts]
    ends = np.cumsum(sizes) if np.ndim(sizes) else np.arange(int(sizes), side + int(sizes), int(sizes))
    return np.split(x, ends[:-1].tolist(), axis)


def _split(node: Node, x: Array, sizes: Array | None = None) -> tuple[Array, ...]:
    axis, asked = node.get("axis", 0), node.get("split", sizes)
    parts = len(node.outputs)
    if asked is None:
        each = -(-x.shape[axis] // parts)
        asked = [each] * (parts - 1) + [x.shape[axis] - each * (parts - 1)]
    return tuple(np.split(x, np.cumsum(asked)[:-1], axis=axis))


def _slice(node: Node, x: Array, *told: Array | None) -> Array:
    starts, ends, axes, steps = (*told, *[None] * (4 - len(told))) if told else (*map(node.get, ("starts", "ends", "axes")), None)
    assert starts is not None
    assert ends is not None
    index = [slice(None)] * x.ndim
    for at, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis, step = at if axes is None else int(axes[at]), 1 if steps is None else int(steps[at])
        start, end, size = int(start), int(end), x.shape[axis]
        stop = None if step < 0 and end < -size else end
        index[axis] = slice(start, stop, step)
    return x[tuple(index)]


def _gather(node: Node, x: Array, index: Array) -> Array:
    return np.take(x, index, axis=node.get("axis", 0))


def _inside(index: Array, size: int) -> Array:
    return np.where(index < 0, index + size, index)


def _gather_elements(node: Node, x: Array, index: Array) -> Array:
    axis = node.get("axis", 0)
    return x[_places(x, index, axis)]


def _places(x: Array, index: Array, axis: int) -> tuple[Array, ...]:
    places: list[Array] = list(np.indices(index.shape, sparse=True))
    places[axis] = _inside(index, x.shape[axis])
    return tuple(places)


def _gather_nd(node: Node, x: Array, index: Array) -> Array:
    if node.get("batch_dims", 0):
        raise node.refuse("gathers batch by batch")
    return np.asarray(x[tuple(np.moveaxis(index, -1, 0))])


def _scatter_elements(node: Node, x: Array, index: Array, updates: Array) -> Array:
    return _written(node, x, _places(x, index, node.get("axis", 0)), updates)


def _scatter_nd(node: Node, x: Array, index: Array, updates: Array) -> Array:
    return _written(node, x, tuple(np.moveaxis(index, -1, 0)), updates)


def _written(node: Node, x: Array, places: tuple[Array, ...], updates: Array) -> Array:
    result, how = x.copy(), node.get("reduction", "none")
    if how == "none":
        result[places] = updates
    elif how == "add":
        np.add.at(result, places, updates)
    else:
        raise node.refuse(f"reduces by {how}")
    return result


def _expand(_: Node, x: Array, shape: Array) -> Array:
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(shape)))


def _pad(node: Node, x: Array, pads: Array | None = None, value: Array | None = None, axes: Array | None = None) -> Array:
    """Negative pads crop."""
    told, mode = list(node.get("pads", pads)), node.get("mode", "constant")
    chosen = list(range(x.ndim)) if axes is None else [int(axis) % x.ndim for axis in axes]
    before, after = np.zeros(x.ndim, int), np.zeros(x.ndim, int)
    before[chosen], after[chosen] = told[: len(chosen)], told[len(chosen) :]
    x = x[tuple(slice(max(0, -b), size - max(0, -a)) for b, a, size in zip(before, after, x.shape, strict=True))]
    around = [(max(0, b), max(0, a)) for b, a in zip(before, after, strict=True)]
    if mode == "constant":
        fill = node.get("value", 0.0) if value is None or value.size == 0 else value.reshape(-1)[0]
        return np.pad(x, around, constant_values=fill)
    how: Any = mode
    return np.pad(x, around, mode=how)


def _depth_to_space(node: Node, x: Array) -> Array:
    n, c, h, w = x.shape
    b = node.get("blocksize")
    if node.get("mode", "DCR") == "DCR":
        return x.reshape(n, b, b, c // b**2, h, w).transpose(0, 3, 4, 1, 5, 2).reshape(n, c // b**2, h * b, w * b)
    return x.reshape(n, c // b**2, b, b, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, c // b**2, h * b, w * b)


def _space_to_depth(node: Node, x: Array) -> Array:
    if node.get("mode", "DCR") != "DCR":
        raise node.refuse("has another order")
    n, c, h, w = x.shape
    b = node.get("blocksize")
    return x.reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4).reshape(n, c * b * b, h // b, w // b)


def _range(_: Node, start: Array, limit: Array, delta: Array) -> Array:
    first, last, step = (value.reshape(-1)[0] for value in (start, limit, delta))
    return np.asarray(first + np.arange(max(0, int(np.ceil((last - first) / step)))) * step, start.dtype)


def _one_hot(node: Node, index: Array, depth: Array, values: Array) -> Array:
    classes = np.arange(int(depth.reshape(-1)[0]))
    axis = node.get("axis", -1)
    hot = np.expand_dims(_inside(index, len(classes)), axis) == along(classes, index.ndim + 1, axis)
    return np.asarray(np.where(hot, values[1], values[0]))


def along(values: Array, ndim: int, axis: int) -> Array:
    """(n,) as an array of `ndim` axes, n at one of them."""
    shape = [1] * ndim
    shape[axis] = -1
    return values.reshape(shape)


def _trilu(node: Node, x: Array, k: Array | None = None) -> Array:
    offset = 0 if k is None else int(k.reshape(-1)[0])
    return np.triu(x, offset) if node.get("upper", 1) else np.tril(x, offset)


def _eye_like(node: Node, x: Array) -> Array:
    dtype = dtype_of(node, node.get("dtype")) if "dtype" in node.attributes else x.dtype
    return np.eye(x.shape[0], x.shape[1], k=node.get("k", 0), dtype=dtype)


MOVING: Mapping[str, Form] = {
    "Compress": lambda node, x, kept: np.compress(kept, x, axis=node.get("axis")),
    "Concat": lambda node, *values: np.concatenate(values, axis=node.get("axis", 1)),
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "DepthToSpace": _depth_to_space,
    "Expand": _expand,
    "EyeLike": _eye_like,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "NonZero": lambda _, x: np.array(np.nonzero(x), np.int64),
    "OneHot": _one_hot,
    "Pad": _pad,
    "Range": _range,
    "Reshape": _reshape,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "Shape": _shape,
    "Size": lambda _, x: np.array(x.size, np.int64),
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "ai.onnx.ml:ArrayFeatureExtractor": lambda _node, x, places: x[..., places.reshape(-1)].reshape(*(x.shape[:-1] or (1,)), -1),
    "ai.onnx.ml:ZipMap": lambda node, x: [dict(zip(_labels(node), row, strict=True)) for row in np.atleast_2d(x)],
    "SequenceAt": lambda _node, held, position: held[int(position)],
    "SequenceConstruct": lambda _node, *items: list(items),
    "Split": _split,
    "SplitToSequence": _split_to_sequence,
    "Squeeze": _squeeze,
    "Tile": lambda _, x, repeats: np.tile(x, tuple(repeats)),
    "Transpose": lambda node, x: x.transpose(node.get("perm")),
    "Trilu": _trilu,
    "Unsqueeze": _unsqueeze,
}
