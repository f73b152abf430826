"""Finding the convolutions that read a torch backbone's input, in torch.export's graph."""

import copy
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from .affine import Affine
from .errors import NotFoldableError, PreprocError
from .tracing import reason, unheard
from .tracking import Reader, Tracked, Trail, concatenate


def first_convolutions(backbone: nn.Module, example: Tensor) -> list[Reader]:
    """The convolutions that read the values of the backbone's input, found in torch.export's graph.

    example: (N, C, H, W) float, model-ready.  Raises NotFoldableError with the reason if anything else reads them.
    """
    walk = _walk(backbone, example)
    walk.check()
    return walk.readers


def _walk(backbone: nn.Module, example: Tensor) -> "_Walk":
    if len(example) < 2:
        example = example.expand(2, *example.shape[1:])
    try:
        with torch.no_grad(), warnings.catch_warnings(), unheard():
            warnings.simplefilter("ignore")  # whatever the backbone warns about, it says again when it runs
            exported = torch.export.export(copy.deepcopy(backbone).eval() if backbone.training else backbone, (example,), strict=False)
    except Exception as error:  # torch.export raises whatever the model's code meets; it all means the same here
        raise NotFoldableError(f"torch.export cannot read the backbone: {reason(error)}", name="fold-untraceable") from error
    walk = _Walk(exported, example.shape[1])
    if walk.met_written:  # rare, and as slow as the export: the same graph without operations that write into their arguments
        walk = _Walk(exported.run_decompositions({}), example.shape[1])
    return walk


def _writes(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable and str(node.target) != "aten.detach_.default"


def _written(nodes: Iterable[fx.Node]) -> set[fx.Node]:
    """Everything that an operation writes into (mul_, copy_, ...), and what it is a view of."""
    written = set[fx.Node]()
    for node in nodes:
        waiting = [node] if _writes(node) else []
        while waiting:
            current = waiting.pop()
            aliased = [_arguments(current).get(argument.name) for argument in current.target._schema.arguments if _aliases(argument)]  # type: ignore[union-attr]
            for value in tree_leaves(aliased):
                if isinstance(value, fx.Node) and value not in written:
                    written.add(value)
                    waiting += [value] if hasattr(value.target, "_schema") else []
    return written


def _aliases(argument: Any) -> bool:
    """Whether an output is a view of this argument, or it is written into. Lists of tensors (_foreach_add_) say nothing: they count."""
    return argument.alias_info is not None or "List[Tensor]" in str(argument.type)


class _Walk(Trail):
    """Translates torch.export's operators into Tracked's, from the input to the convolutions.

    met_written: whether a value on the way is one that an operation writes into, so that this walk proves nothing.
    """

    def __init__(self, exported: torch.export.ExportedProgram, channels: int) -> None:
        super().__init__()
        signature, nodes = exported.graph_signature, exported.graph_module.graph.nodes
        named = dict(signature.inputs_to_parameters) | dict(signature.inputs_to_buffers) | dict(signature.inputs_to_lifted_tensor_constants)
        changed = set(signature.buffers_to_mutate.values())
        self.constants: dict[str, str] = {name: target for name, target in named.items() if target not in changed}
        self.values: dict[str, Any] = {**exported.state_dict, **exported.constants}
        self.written, self.met_written = _written(nodes), False
        self.evaluated: dict[fx.Node, Any] = {}
        (image,) = signature.user_inputs[:1]
        for node in nodes:
            if node.op == "placeholder" and node.name == image:
                self.tracked[node] = Tracked(Affine.identity(channels))
            elif any(source in self.tracked for source in node.all_input_nodes):
                self.met_written |= any(source in self.written for source in node.all_input_nodes)
                self.visit(node)

    def visit(self, node: fx.Node) -> None:
        try:
            self._visit(node)
        except PreprocError as error:
            self.refusals.append(error if isinstance(error, NotFoldableError) else NotFoldableError(str(error), name=error.name))

    def _visit(self, node: fx.Node) -> None:
        if node.op == "output":
            raise NotFoldableError("the backbone returns its input", name="fold-not-convolution")
        name = str(node.target)
        if name.startswith(("aten.sym_size", "aten._assert_tensor_metadata", "aten.sym_numel")):
            return
        if name.startswith("aten.conv2d"):
            self.readers.append(self._reader(node))
            return
        rule = _RULES.get(name)
        if rule is None:
            raise NotFoldableError(f"{name} reads the input, which is not a convolution", name="fold-not-convolution")
        self.tracked[node] = rule(self, node)

    def of(self, node: Any) -> Tracked:
        if node not in self.tracked:
            raise NotFoldableError("the input is combined with a computed value before the first convolution", name="fold-computed-value")
        return self.tracked[node]

    def constant(self, value: Any) -> Any:
        """A Python number, or the values of a node that depends on parameters, buffers and constants only."""
        if isinstance(value, (int, float)):
            return float(value)
        found = self._evaluate(value)
        if not isinstance(found, Tensor):
            raise NotFoldableError("the input is combined with a computed value before the first convolution", name="fold-computed-value")
        return found.detach().double().cpu().numpy()

    def _evaluate(self, value: Any) -> Any:
        """What an argument of a node holds, if it does not depend on the input; else an fx.Node is left in it."""
        if not isinstance(value, fx.Node):
            return value
        self.met_written |= value in self.written
        if value not in self.evaluated:
            self.evaluated[value] = self._compute(value)
        return self.evaluated[value]

    def _compute(self, value: fx.Node) -> Any:
        if value.name in self.constants:
            return self.values[self.constants[value.name]]
        random = torch.Tag.nondeterministic_seeded in getattr(value.target, "tags", ())
        if value.op != "call_function" or value in self.tracked or random or _writes(value):
            return value
        arguments = fx.node.map_arg((value.args, value.kwargs), self._evaluate)
        if any(isinstance(leaf, fx.Node) for leaf in tree_leaves(arguments)):
            return value
        with torch.no_grad():
            return value.target(*arguments[0], **arguments[1])  # type: ignore[operator]

    def _reader(self, node: fx.Node) -> Reader:
        arguments = _arguments(node)
        weight, bias = self._parameter(arguments["weight"], "weight"), arguments.get("bias")
        padding = arguments.get("padding", 0)
        kernel = self.values[weight].shape[2:]
        if isinstance(padding, str):
            pads_zero = padding == "same" and max(kernel) > 1
        else:
            pads_zero = max(padding if isinstance(padding, (list, tuple)) else [padding]) > 0
        return Reader.of(
            self.of(arguments["input"]),
            weight=weight,
            bias=None if bias is None else self._parameter(bias, "bias"),
            groups=arguments.get("groups", 1),
            pads_zero=pads_zero,
        )

    def _parameter(self, node: Any, word: str) -> str:
        if not isinstance(node, fx.Node) or node.name not in self.constants:
            raise NotFoldableError(f"the {word} of the first convolution is computed, not a parameter", name="fold-shared-weight")
        if len(node.users) > 1:
            raise NotFoldableError(
                f"the {word} of the first convolution, {self.constants[node.name]}, is used by another operation too",
                name="fold-shared-weight",
            )
        return self.constants[node.name]


def _arguments(node: fx.Node) -> dict[str, Any]:
    """All arguments of an ATen call by name."""
    schema = node.target._schema  # type: ignore[union-attr]
    names = [argument.name for argument in schema.arguments]
    return dict(zip(names, node.args, strict=False)) | dict(node.kwargs)


def _same(walk: _Walk, node: fx.Node) -> Tracked:
    source = node.args[0]
    if isinstance(source, fx.Node) and source.meta["val"].dtype != node.meta["val"].dtype:
        raise NotFoldableError(f"the input is cast to {node.meta['val'].dtype} before the first convolution", name="fold-dtype")
    return walk.of(source)


def _axis(node: fx.Node, axis: int) -> int:
    return axis % len(node.args[0].meta["val"].shape)  # type: ignore[union-attr]


def _slice(walk: _Walk, node: fx.Node) -> Tracked:
    arguments = _arguments(node)
    axis = _axis(node, arguments.get("dim", 0))
    length = node.args[0].meta["val"].shape[axis]  # type: ignore[union-attr]
    rows = range(length)[slice(arguments.get("start"), arguments.get("end"), arguments.get("step", 1))]
    source = walk.of(node.args[0])
    return source if len(rows) == length and axis != source.axis else source.take(axis, rows)


def _select(walk: _Walk, node: fx.Node) -> Tracked:
    _, axis, index = node.args
    return walk.of(node.args[0]).select(_axis(node, axis), index)  # type: ignore[arg-type]


def _unsqueeze(walk: _Walk, node: fx.Node) -> Tracked:
    return walk.of(node.args[0]).unsqueeze(_arguments(node)["dim"] % len(node.meta["val"].shape))


def _index(walk: _Walk, node: fx.Node) -> Tracked:
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


def _flip(walk: _Walk, node: fx.Node) -> Tracked:
    source, (axis, *more) = walk.of(node.args[0]), _arguments(node)["dims"]
    if more:
        raise NotFoldableError("the picture is flipped along several axes before the first convolution", name="fold-moved-pixels")
    return source.take(_axis(node, axis), range(source.map.channels_out)[::-1])


def _addcmul(walk: _Walk, node: fx.Node) -> Tracked:
    arguments = _arguments(node)
    offset, left, right = arguments["self"], arguments["tensor1"], arguments["tensor2"]
    x, factor = (left, right) if left in walk.tracked else (right, left)
    return walk.of(x).then(walk.constant(factor) * arguments.get("value", 1), walk.constant(offset))


def _cat(walk: _Walk, node: fx.Node) -> Tracked:
    arguments = _arguments(node)
    return concatenate([walk.of(part) for part in arguments["tensors"]], arguments.get("dim", 0) % len(node.meta["val"].shape))


def _permute(walk: _Walk, node: fx.Node) -> Tracked:
    order = _arguments(node)["dims"]
    return walk.of(node.args[0]).permute([axis % len(order) for axis in order])


def _pad(walk: _Walk, node: fx.Node) -> Tracked:
    arguments = _arguments(node)
    pads, source = arguments["pad"], walk.of(node.args[0])
    if not any(pads):
        return source
    if any(pads[4:]) or source.axis != 1 or source.rank != 4:
        raise NotFoldableError("channels are padded before the first convolution", name="fold-padding")
    if arguments.get("mode", "constant") != "constant":
        return source
    return source.padded(arguments.get("value") or 0.0)


def _batch_norm(walk: _Walk, node: fx.Node) -> Tracked:
    arguments = _arguments(node)
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
    def rule(walk: _Walk, node: fx.Node) -> Tracked:
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


def _times(x: Tracked, c: Any) -> Tracked:
    return x.then(c, 0.0)


def _plus(x: Tracked, c: Any) -> Tracked:
    return x.then(1.0, c)


_RULES: dict[str, Callable[[_Walk, fx.Node], Tracked]] = {
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
    **dict.fromkeys(("aten.mul.Tensor", "aten.mul.Scalar"), _arithmetic(_times, swapped=_times)),
    **dict.fromkeys(("aten.add.Tensor", "aten.add.Scalar"), _arithmetic(_plus, swapped=_plus)),
    **dict.fromkeys(
        ("aten.sub.Tensor", "aten.sub.Scalar"),
        _arithmetic(lambda x, c: x.then(1.0, -c), swapped=lambda x, c: x.then(-1.0, c)),
    ),
    "aten.rsub.Scalar": _arithmetic(lambda x, c: x.then(-1.0, c)),
    **dict.fromkeys(("aten.div.Tensor", "aten.div.Scalar"), _arithmetic(lambda x, c: x.then(1.0 / c, 0.0))),
}
