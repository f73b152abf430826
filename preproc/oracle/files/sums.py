"""Products and sums: matrices, reductions, the largest of many."""

from collections.abc import Callable, Mapping

import numpy as np

from .moving import along
from .pointwise import Form
from .reading import Array, Node


def _gemm(node: Node, a: Array, b: Array, c: Array | None = None) -> Array:
    a, b = a.T if node.get("transA", 0) else a, b.T if node.get("transB", 0) else b
    y = np.asarray(node.get("alpha", 1.0) * (a @ b))
    return y if c is None else y + node.get("beta", 1.0) * c


def _axes(node: Node, x: Array, told: Array | None) -> tuple[int, ...] | None:
    """None: nothing is to be done."""
    chosen = node.get("axes", told)
    if chosen is None or len(chosen) == 0:
        return None if node.get("noop_with_empty_axes", 0) else tuple(range(x.ndim))
    return tuple(int(axis) for axis in chosen)


def _reduce(function: Callable[..., Array]) -> Form:
    def reduce(node: Node, x: Array, axes: Array | None = None) -> Array:
        chosen = _axes(node, x, axes)
        return x if chosen is None else np.asarray(function(x, axis=chosen, keepdims=bool(node.get("keepdims", 1))), x.dtype)

    return reduce


def _log_sum_exp(x: Array, axis: tuple[int, ...], *, keepdims: bool) -> Array:
    most = x.max(axis=axis, keepdims=True)
    y = np.asarray(np.log(np.exp(x - most).sum(axis=axis, keepdims=True)) + most)
    return y if keepdims else y.squeeze(axis)


def _arg(function: Callable[..., Array]) -> Form:
    def arg(node: Node, x: Array) -> Array:
        axis, keep = node.get("axis", 0), bool(node.get("keepdims", 1))
        if not node.get("select_last_index", 0):
            return np.asarray(function(x, axis=axis, keepdims=keep), np.int64)
        return np.asarray(x.shape[axis] - 1 - function(np.flip(x, axis), axis=axis, keepdims=keep), np.int64)

    return arg


def _top_k(node: Node, x: Array, k: Array | None = None) -> tuple[Array, Array]:
    """Of equal values the first ones."""
    axis, count = node.get("axis", -1), int(node.get("k") if k is None else k.reshape(-1)[0])
    signed = x if x.dtype.kind == "f" else x.astype(np.int64)
    order = np.argsort(-signed if node.get("largest", 1) else signed, axis=axis, kind="stable")
    index = np.take(order, np.arange(count), axis=axis)
    return np.take_along_axis(x, index, axis=axis), index.astype(np.int64)


def _cumulative(node: Node, x: Array, axis: Array) -> Array:
    at = int(axis.reshape(-1)[0])
    y = np.flip(x, at) if node.get("reverse", 0) else x
    y = np.cumsum(y, axis=at, dtype=x.dtype) - (y if node.get("exclusive", 0) else 0)
    return np.flip(y, at) if node.get("reverse", 0) else y


def _fused_matmul(node: Node, a: Array, b: Array) -> Array:
    if node.get("transBatchA", 0) or node.get("transBatchB", 0):
        raise node.refuse("transposes batches")
    a, b = np.swapaxes(a, -1, -2) if node.get("transA", 0) else a, np.swapaxes(b, -1, -2) if node.get("transB", 0) else b
    return np.asarray(node.get("alpha", 1.0) * (a @ b))


def _non_max_suppression(
    node: Node, boxes: Array, scores: Array, most: Array | None = None, overlap: Array | None = None, least: Array | None = None
) -> Array:
    """boxes: (N, boxes, 4).  scores: (N, classes, boxes).  Rows of (picture, class, box); of equal scores the first box."""
    limit = 0 if most is None else int(most.reshape(-1)[0])
    threshold = 0.0 if overlap is None else float(overlap.reshape(-1)[0])
    found: list[tuple[int, int, int]] = []
    for picture, kind in np.ndindex(*scores.shape[:2]):
        of = scores[picture, kind]
        order = np.argsort(-of, kind="stable")
        order = order if least is None else order[of[order] > float(least.reshape(-1)[0])]
        corners = _corners(boxes[picture], centred=bool(node.get("center_point_box", 0)))[order]
        found += [(picture, kind, int(order[at])) for at in _kept(corners, limit, threshold)]
    return np.array(found, np.int64).reshape(-1, 3)


def _kept(corners: Array, limit: int, threshold: float) -> list[int]:
    """Of boxes, the best first, so many at most that overlap by no more with one that is kept before."""
    left, kept = np.ones(len(corners), bool), list[int]()
    first, last = corners[:, 0], corners[:, 2]
    for at in range(len(corners)):
        if len(kept) >= limit:
            break
        if left[at]:
            kept.append(at)
            rest = slice(at + 1, None)
            near = at + 1 + np.flatnonzero(left[rest] & (first[rest] < last[at]) & (last[rest] > first[at]))
            left[near] = _overlap(corners[at], corners[near]) <= threshold
    return kept


def _corners(boxes: Array, *, centred: bool) -> Array:
    if centred:
        return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
    return np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1)


def _overlap(one: Array, others: Array) -> Array:
    """Intersection over union, 0 of what has no area."""
    inside = np.clip(np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2]), 0, None).prod(axis=1)
    union = (one[2:] - one[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - inside
    return np.where(union > 0, inside / np.where(union > 0, union, 1), 0)


def _global(function: Callable[..., Array]) -> Form:
    return lambda _, x: function(x, axis=tuple(range(2, x.ndim)), keepdims=True)


def _hardmax(node: Node, x: Array) -> Array:
    if node.opset < 13:
        raise node.refuse("is of an opset before 13")
    axis = node.get("axis", -1)
    return np.asarray(along(np.arange(x.shape[axis]), x.ndim, axis) == x.argmax(axis=axis, keepdims=True), np.float64)


SUMS: Mapping[str, Form] = {
    "ArgMax": _arg(np.argmax),
    "ArgMin": _arg(np.argmin),
    "CumSum": _cumulative,
    "Einsum": lambda node, *values: np.einsum(node.get("equation"), *values, optimize=True),
    "Gemm": _gemm,
    "GlobalAveragePool": _global(np.mean),
    "GlobalMaxPool": _global(np.max),
    "Hardmax": _hardmax,
    "MatMul": lambda _, a, b: np.matmul(a, b),
    "NonMaxSuppression": _non_max_suppression,
    "ReduceL1": _reduce(lambda x, **how: np.abs(x).sum(**how)),
    "ReduceL2": _reduce(lambda x, **how: np.sqrt((x * x).sum(**how))),
    "ReduceLogSum": _reduce(lambda x, **how: np.log(x.sum(**how))),
    "ReduceLogSumExp": _reduce(_log_sum_exp),
    "ReduceMax": _reduce(np.max),
    "ReduceMean": _reduce(np.mean),
    "ReduceMin": _reduce(np.min),
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "ReduceSumSquare": _reduce(lambda x, **how: (x * x).sum(**how)),
    "TopK": _top_k,
    "com.microsoft:FusedMatMul": _fused_matmul,
}
