"""What torch.export's operators do to the picture's numbers: each by its name. Those that only move them are in moves.py."""

from collections.abc import Callable
from typing import Any

from torch import fx

from ...errors import NotFoldableError
from .. import Tracked, added
from .mixing import MIXING
from .moves import MOVES, Made
from .values import Values, arguments_of


def _same(walk: Values, node: fx.Node) -> Tracked:
    source = node.args[0]
    if isinstance(source, fx.Node) and source.meta["val"].dtype != node.meta["val"].dtype:
        raise NotFoldableError(f"the input is cast to {node.meta['val'].dtype} before the first convolution", name="fold-dtype")
    return walk.of(source)


def _addcmul(walk: Values, node: fx.Node) -> Tracked:
    arguments = arguments_of(node)
    offset, left, right = arguments["self"], arguments["tensor1"], arguments["tensor2"]
    x, factor = (left, right) if left in walk.tracked else (right, left)
    return walk.of(x).then(walk.constant(factor) * arguments.get("value", 1), walk.constant(offset))


def _pad(walk: Values, node: fx.Node) -> Tracked:
    arguments = arguments_of(node)
    given, source = arguments["pad" if "pad" in arguments else "padding"], walk.of(node.args[0])
    pairs = list(zip(given[::2], given[1::2], strict=True))[::-1]  # from the last axis on
    pads = [(0, 0)] * (source.rank - len(pairs)) + pairs
    copies = "constant" not in str(node.target) and arguments.get("mode", "reflect" if "padding" in arguments else "constant") != "constant"
    return source.padded(pads, None if copies else arguments.get("value") or 0.0)


def _batch_norm(walk: Values, node: fx.Node) -> Tracked:
    arguments = arguments_of(node)
    source = walk.of(arguments["input"])
    if arguments.get("training"):
        raise NotFoldableError("a BatchNorm in training mode reads the input", name="fold-not-affine")
    weight, bias = (
        default if arguments[key] is None else walk.constant(arguments[key]) for key, default in (("weight", 1.0), ("bias", 0.0))
    )
    mean, variance = walk.constant(arguments["running_mean"]), walk.constant(arguments["running_var"])
    return source.batch_norm(scale=weight, bias=bias, mean=mean, variance=variance, epsilon=arguments["eps"])


def _scaled(apply: Callable[[Tracked, Any], Tracked]) -> Any:
    """Products and quotients with a constant behind, or on both sides."""

    def rule(walk: Values, node: fx.Node) -> Tracked:
        left, right = node.args[:2]
        if node.kwargs.get("rounding_mode"):
            raise NotFoldableError(f"{node.target} rounds the input", name="fold-not-affine")
        if left in walk.tracked and right in walk.tracked:
            raise NotFoldableError(f"the input is combined with itself by {node.target}, which is not affine", name="fold-computed-value")
        if left in walk.tracked:
            return apply(walk.of(left), walk.constant(right))
        if apply is Tracked.over:
            raise NotFoldableError(f"a constant is divided by the input ({node.target})", name="fold-not-affine")
        return apply(walk.of(right), walk.constant(left))

    return rule


def _summed(*signs: float) -> Any:
    """What is added, the first and the second times these, the second times alpha, too."""

    def rule(walk: Values, node: fx.Node) -> Tracked:
        factors = signs[0], signs[1] * arguments_of(node).get("alpha", 1)
        terms = list(zip(node.args[:2], factors, strict=True))
        read = [(walk.of(value), factor) for value, factor in terms if value in walk.tracked]
        if len(read) == 2:
            return added(read[0][0].times(factors[0]), *read[1])
        constant = next(walk.constant(value) * factor for value, factor in terms if value not in walk.tracked)
        return read[0][0].times(read[0][1]).plus(constant)

    return rule


RULES: dict[str, Callable[[Values, fx.Node], Made]] = {
    **MOVES,
    **MIXING,
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
    "aten.addcmul.default": _addcmul,
    "aten.pad.default": _pad,
    "aten.constant_pad_nd.default": _pad,
    "aten.batch_norm.default": _batch_norm,
    "aten._native_batch_norm_legit_no_training.default": _batch_norm,
    "aten.reflection_pad2d.default": _pad,
    "aten.replication_pad2d.default": _pad,
    **dict.fromkeys(("aten.mul.Tensor", "aten.mul.Scalar"), _scaled(Tracked.times)),
    **dict.fromkeys(("aten.div.Tensor", "aten.div.Scalar", "aten.div.Tensor_mode"), _scaled(Tracked.over)),
    **dict.fromkeys(("aten.add.Tensor", "aten.add.Scalar"), _summed(1.0, 1.0)),
    **dict.fromkeys(("aten.sub.Tensor", "aten.sub.Scalar"), _summed(1.0, -1.0)),
    **dict.fromkeys(("aten.rsub.Tensor", "aten.rsub.Scalar"), _summed(-1.0, 1.0)),
    "aten.neg.default": lambda walk, node: walk.of(node.args[0]).times(-1.0),
}
