"""What torch.export's operators that move numbers do to places and channels: each by its name."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import fx

from ...errors import NotFoldableError
from .. import Tracked, concatenate
from .values import Values, arguments_of

Made = Tracked | tuple[Tracked, ...]


def shape_of(node: Any) -> tuple[int, ...]:
    return tuple(int(side) for side in node.meta["val"].shape)


def axis_of(node: fx.Node, axis: int) -> int:
    return axis % len(shape_of(node.args[0]))


def _slice(walk: Values, node: fx.Node) -> Tracked:
    arguments = arguments_of(node)
    axis = axis_of(node, arguments.get("dim", 0))
    return walk.of(node.args[0]).slice(axis, arguments.get("start"), arguments.get("end"), arguments.get("step", 1))


def _select(walk: Values, node: fx.Node) -> Tracked:
    _, axis, index = node.args
    return walk.of(node.args[0]).gather(axis_of(node, axis), np.array(index))  # type: ignore[arg-type]


def _index(walk: Values, node: fx.Node) -> Tracked:
    """x[:, [2, 1, 0]]."""
    indices = node.args[1]
    chosen = [(axis, index) for axis, index in enumerate(indices) if index is not None]  # type: ignore[arg-type]
    if len(chosen) != 1:
        raise NotFoldableError("the input is indexed along several axes before the first convolution", name="fold-moved-pixels")
    ((axis, index),) = chosen
    return walk.of(node.args[0]).gather(axis, walk.constant(index).astype(np.int64))


def _index_select(walk: Values, node: fx.Node) -> Tracked:
    _, axis, index = node.args
    return walk.of(node.args[0]).gather(axis_of(node, axis), walk.constant(index).astype(np.int64))  # type: ignore[arg-type]


def _flip(walk: Values, node: fx.Node) -> Tracked:
    source = walk.of(node.args[0])
    for axis in arguments_of(node)["dims"]:
        source = source.slice(axis_of(node, axis), None, None, -1)
    return source


def _roll(walk: Values, node: fx.Node) -> Tracked:
    source, arguments = walk.of(node.args[0]), arguments_of(node)
    for axis, shift in zip(arguments.get("dims", ()), arguments["shifts"], strict=True):
        axis = axis_of(node, axis)
        cut = -shift % source.shape[axis]
        source = concatenate([source.slice(axis, cut, None, 1), source.slice(axis, None, cut, 1)], axis) if cut else source
    return source


def _cat(walk: Values, node: fx.Node) -> Tracked:
    arguments = arguments_of(node)
    return concatenate([walk.of(part) for part in arguments["tensors"]], arguments.get("dim", 0) % len(shape_of(node)))


def _stack(walk: Values, node: fx.Node) -> Tracked:
    arguments = arguments_of(node)
    axis = arguments.get("dim", 0) % len(shape_of(node))
    return concatenate([walk.of(part).unsqueeze(axis) for part in arguments["tensors"]], axis)


def _parts(walk: Values, node: fx.Node) -> tuple[Tracked, ...]:
    """chunk, split, unbind: several slices, whose sides the graph tells."""
    source, arguments = walk.of(node.args[0]), arguments_of(node)
    axis, shapes = axis_of(node, arguments.get("dim", 0)), [tuple(part.shape) for part in node.meta["val"]]
    if len(shapes[0]) < source.rank:
        return tuple(source.gather(axis, np.array(turn)) for turn in range(len(shapes)))
    ends = np.cumsum([int(shape[axis]) for shape in shapes]).tolist()
    return tuple(source.slice(axis, start, end, 1) for start, end in zip([0, *ends], ends, strict=False))


def _permute(walk: Values, node: fx.Node) -> Tracked:
    order = arguments_of(node)["dims"]
    return walk.of(node.args[0]).permute([axis % len(order) for axis in order])


def _transpose(walk: Values, node: fx.Node) -> Tracked:
    source, (one, other) = walk.of(node.args[0]), [axis_of(node, axis) for axis in node.args[1:]]  # type: ignore[arg-type]
    order = list(range(source.rank))
    order[one], order[other] = other, one
    return source.permute(order)


def _movedim(walk: Values, node: fx.Node) -> Tracked:
    source, (starts, ends) = walk.of(node.args[0]), [_axes(node, axes) for axes in node.args[1:]]
    order = [axis for axis in range(source.rank) if axis not in starts]
    for end, start in sorted(zip(ends, starts, strict=True)):
        order.insert(end, start)
    return source.permute(order)


def _axes(node: fx.Node, axes: Any) -> list[int]:
    return [axis_of(node, axis) for axis in (axes if isinstance(axes, Sequence) else [axes])]


def _turned(walk: Values, node: fx.Node) -> Tracked:
    source = walk.of(node.args[0])
    return source.permute(range(source.rank)[::-1])


def _reshape(walk: Values, node: fx.Node) -> Tracked:
    """Whatever only changes the shape, which the graph tells."""
    return walk.of(node.args[0]).reshape(shape_of(node))


def _flatten(walk: Values, node: fx.Node) -> Tracked:
    source, arguments = walk.of(node.args[0]), arguments_of(node)
    first, last = axis_of(node, arguments.get("start_dim", 0)), axis_of(node, arguments.get("end_dim", -1))
    return source.reshape([*source.shape[:first], math.prod(source.shape[first : last + 1]), *source.shape[last + 1 :]])


def _unflatten(walk: Values, node: fx.Node) -> Tracked:
    source, axis = walk.of(node.args[0]), axis_of(node, arguments_of(node)["dim"])
    parts = [int(side) for side in arguments_of(node)["sizes"]]
    told = math.prod(side for side in parts if side != -1)
    sides = [source.shape[axis] // told if side == -1 else side for side in parts]
    return source.reshape([*source.shape[:axis], *sides, *source.shape[axis + 1 :]])


def _squeeze(walk: Values, node: fx.Node) -> Tracked:
    source = walk.of(node.args[0])
    axes = _axes(node, node.args[1]) if len(node.args) > 1 else range(source.rank)
    for axis in sorted(axes, reverse=True):
        source = source.squeeze(axis) if source.shape[axis] == 1 else source
    return source


def _unsqueeze(walk: Values, node: fx.Node) -> Tracked:
    return walk.of(node.args[0]).unsqueeze(arguments_of(node)["dim"] % len(shape_of(node)))


def _pixel_unshuffle(walk: Values, node: fx.Node) -> Tracked:
    source, side = walk.of(node.args[0]), int(node.args[1])  # type: ignore[arg-type]
    *front, channels, height, width = source.shape
    rank = len(front)
    split = source.reshape([*front, channels, height // side, side, width // side, side])
    turned = split.permute([*range(rank), rank, rank + 2, rank + 4, rank + 1, rank + 3])
    return turned.reshape([*front, channels * side * side, height // side, width // side])


def _unfold(walk: Values, node: fx.Node) -> Tracked:
    _, axis, size, step = node.args
    return walk.of(node.args[0]).windows(axis_of(node, axis), size, step)  # type: ignore[arg-type]


def _im2col(walk: Values, node: fx.Node) -> Tracked:
    """torch.nn.Unfold: (N, C, H, W) -> (N, C kernel_height kernel_width, L)."""
    arguments = arguments_of(node)
    kernel, dilation, padding, stride = (arguments[name] for name in ("kernel_size", "dilation", "padding", "stride"))
    source = walk.of(node.args[0]).padded([(0, 0), (0, 0), *((pad, pad) for pad in padding)], 0.0)
    for axis in (0, 1):
        source = source.windows(2 + axis, kernel[axis], stride[axis], dilation[axis])
    return source.permute([0, 1, 4, 5, 2, 3]).reshape(shape_of(node))


def _getitem(walk: Values, node: fx.Node) -> Tracked:
    """Of what an operator with several results gives."""
    made: Made = walk.tracked[node.args[0]]
    return made[int(node.args[1])] if isinstance(made, tuple) else made  # type: ignore[arg-type]


MOVES: dict[str, Callable[[Values, fx.Node], Made]] = {
    "aten.slice.Tensor": _slice,
    "aten.select.int": _select,
    "aten.index.Tensor": _index,
    "aten.index_select.default": _index_select,
    "aten.flip.default": _flip,
    "aten.roll.default": _roll,
    "aten.cat.default": _cat,
    "aten.stack.default": _stack,
    **dict.fromkeys(
        (
            "aten.chunk.default",
            "aten.split.Tensor",
            "aten.split.sizes",
            "aten.split_with_sizes.default",
            "aten.unbind.int",
            "aten.unsafe_chunk.default",
            "aten.unsafe_split.Tensor",
        ),
        _parts,
    ),
    "aten.permute.default": _permute,
    "aten.transpose.int": _transpose,
    **dict.fromkeys(("aten.movedim.int", "aten.movedim.intlist"), _movedim),
    **dict.fromkeys(("aten.t.default", "aten.numpy_T.default", "aten.mT.default"), _turned),
    **dict.fromkeys(
        (
            "aten.view.default",
            "aten.reshape.default",
            "aten._unsafe_view.default",
        ),
        _reshape,
    ),
    "aten.flatten.using_ints": _flatten,
    "aten.unflatten.int": _unflatten,
    **dict.fromkeys(("aten.squeeze.default", "aten.squeeze.dim", "aten.squeeze.dims"), _squeeze),
    "aten.unsqueeze.default": _unsqueeze,
    "aten.pixel_unshuffle.default": _pixel_unshuffle,
    "aten.unfold.default": _unfold,
    "aten.im2col.default": _im2col,
    "<built-in function getitem>": _getitem,
}
