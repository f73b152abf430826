"""What torch.export's operators do to channels: each by its name."""

from collections.abc import Callable
from typing import Any

from torch import fx

from ...errors import NotFoldableError
from .. import Tracked, concatenate
from .values import Values, arguments_of


def _same(walk: Values, node: fx.Node) -> Tracked:
    source = node.args[0]
    if isinstance(source, fx.Node) and source.meta["val"].dtype != node.meta["val"].dtype:
        raise NotFoldableError(f"the input is cast to {node.meta['val'].dtype} before the first convolution", name="fold-dtype")
    return walk.of(source)


def _axis(node: fx.Node, axis: int) -> int:
    return axis % len(node.args[0].meta["val"].shape)  # type: ignore[union-attr]


def _slice(walk: Values, node: fx.Node) -> Tracked:
    arguments = arguments_of(node)
    axis = _axis(node, arguments.get("dim", 0))
    length = node.args[0].meta["val"].shape[axis]  # type: ignore[union-attr]
    rows = range(length)[slice(arguments.get("start"), arguments.get("end"), arguments.get("step", 1))]
    source = walk.of(node.args[0])
    return source if len(rows) == length and axis != source.axis else source.take(axis, rows)


def _select(walk: Values, node: fx.Node) -> Tracked:
    _, axis, index = node.args
    return walk.of(node.args[0]).select(_axis(node, axis), index)  # type: ignore[arg-type]


def _unsqueeze(walk: Values, node: fx.Node) -> Tracked:
    return walk.of(node.args[0]).unsqueeze(arguments_of(node)["dim"] % len(node.meta["val"].shape))


def _index(walk: Values, node: fx.Node) -> Tracked:
    """x[:, [2, 1, 0]]."""
    indices = node.args[1]
    chosen = [(axis, index) for axis, index in enumerate(indices) if index is not None]  # type: ignore[arg-type]
    if len(chosen) != 1:
        raise NotFoldableError("the input is indexed along several axes before the first convolution", name="fold-moved-pixels")
    ((axis, index),) = chosen
    rows = walk.constant(index)
    if rows.ndim != 1:
        raise NotFoldableError("the input is indexed with a table before the first convolution", name="fold-moved-pixels")
    return walk.of(node.args[0]).take(axis, [int(row) for row in rows])


def _flip(walk: Values, node: fx.Node) -> Tracked:
    source, (axis, *more) = walk.of(node.args[0]), arguments_of(node)["dims"]
    if more:
        raise NotFoldableError("the picture is flipped along several axes before the first convolution", name="fold-moved-pixels")
    return source.take(_axis(node, axis), range(source.map.channels_out)[::-1])


def _addcmul(walk: Values, node: fx.Node) -> Tracked:
    arguments = arguments_of(node)
    offset, left, right = arguments["self"], arguments["tensor1"], arguments["tensor2"]
    x, factor = (left, right) if left in walk.tracked else (right, left)
    return walk.of(x).then(walk.constant(factor) * arguments.get("value", 1), walk.constant(offset))


def _cat(walk: Values, node: fx.Node) -> Tracked:
    arguments = arguments_of(node)
    return concatenate([walk.of(part) for part in arguments["tensors"]], arguments.get("dim", 0) % len(node.meta["val"].shape))


def _permute(walk: Values, node: fx.Node) -> Tracked:
    order = arguments_of(node)["dims"]
    return walk.of(node.args[0]).permute([axis % len(order) for axis in order])


def _pad(walk: Values, node: fx.Node) -> Tracked:
    arguments = arguments_of(node)
    pads, source = arguments["pad"], walk.of(node.args[0])
    if not any(pads):
        return source
    if any(pads[4:]) or source.axis != 1 or source.rank != 4:
        raise NotFoldableError("channels are padded before the first convolution", name="fold-padding")
    if arguments.get("mode", "constant") != "constant":
        return source
    return source.padded(arguments.get("value") or 0.0)


def _batch_norm(walk: Values, node: fx.Node) -> Tracked:
    arguments = arguments_of(node)
    source = walk.of(arguments["input"])
    if arguments.get("training"):
        raise NotFoldableError("a BatchNorm in training mode reads the input", name="fold-not-affine")
    if source.axis != 1:
        raise NotFoldableError("a BatchNorm reads the input along another axis than its channels", name="fold-not-affine")
    weight, bias = (
        default if arguments[key] is None else walk.constant(arguments[key]) for key, default in (("weight", 1.0), ("bias", 0.0))
    )
    mean, variance = walk.constant(arguments["running_mean"]), walk.constant(arguments["running_var"])
    return source.batch_norm(scale=weight, bias=bias, mean=mean, variance=variance, epsilon=arguments["eps"])


def _arithmetic(apply: Callable[[Tracked, Any], Tracked], *, swapped: Callable[[Tracked, Any], Tracked] | None = None) -> Any:
    def rule(walk: Values, node: fx.Node) -> Tracked:
        left, right = node.args[:2]
        if node.kwargs.get("alpha", 1) != 1 or node.kwargs.get("rounding_mode"):
            raise NotFoldableError(f"{node.target} reads the input with options", name="fold-not-affine")
        if left in walk.tracked and right in walk.tracked:
            raise NotFoldableError("the input is combined with itself before the first convolution", name="fold-computed-value")
        if left in walk.tracked:
            return apply(walk.of(left), walk.constant(right))
        if swapped is None:
            raise NotFoldableError(f"a constant is divided by the input ({node.target})", name="fold-not-affine")
        return swapped(walk.of(right), walk.constant(left))

    return rule


RULES: dict[str, Callable[[Values, fx.Node], Tracked]] = {
    **dict.fromkeys(
        (
            "aten.alias.default",
            "aten.clone.default",
            "aten.contiguous.default",
            "aten.detach.default",
            "aten.detach_.default",
            "aten.lift_fresh_copy.default",
            "aten.to.dtype",
            "aten.to.device",
            "aten.to.dtype_layout",
            "aten._to_copy.default",
            "aten.dropout.default",
        ),
        _same,
    ),
    "aten.slice.Tensor": _slice,
    "aten.select.int": _select,
    "aten.unsqueeze.default": _unsqueeze,
    "aten.index.Tensor": _index,
    "aten.flip.default": _flip,
    "aten.addcmul.default": _addcmul,
    "aten.cat.default": _cat,
    "aten.permute.default": _permute,
    "aten.pad.default": _pad,
    "aten.constant_pad_nd.default": _pad,
    "aten.batch_norm.default": _batch_norm,
    "aten._native_batch_norm_legit_no_training.default": _batch_norm,
    "<built-in function getitem>": lambda walk, node: walk.of(node.args[0]),  # of the tuple that the line above gives
    "aten.reflection_pad2d.default": _same,
    "aten.replication_pad2d.default": _same,
    **dict.fromkeys(("aten.mul.Tensor", "aten.mul.Scalar"), _arithmetic(Tracked.times, swapped=Tracked.times)),
    **dict.fromkeys(("aten.add.Tensor", "aten.add.Scalar"), _arithmetic(Tracked.plus, swapped=Tracked.plus)),
    **dict.fromkeys(("aten.sub.Tensor", "aten.sub.Scalar"), _arithmetic(Tracked.minus, swapped=Tracked.taken_from)),
    "aten.rsub.Scalar": _arithmetic(Tracked.taken_from),
    **dict.fromkeys(("aten.div.Tensor", "aten.div.Scalar"), _arithmetic(Tracked.over)),
}
