"""The values of an exported program: which node holds what, as far as that does not depend on the input."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._pytree import tree_leaves

from ...errors import NotFoldableError
from .. import Tracked, Trail


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
            aliased = [arguments_of(current).get(argument.name) for argument in current.target._schema.arguments if _aliases(argument)]  # type: ignore[union-attr]
            for value in tree_leaves(aliased):
                if isinstance(value, fx.Node) and value not in written:
                    written.add(value)
                    waiting += [value] if hasattr(value.target, "_schema") else []
    return written


def _aliases(argument: Any) -> bool:
    """Whether an output is a view of this argument, or it is written into. Lists of tensors (_foreach_add_) say nothing: they count."""
    return argument.alias_info is not None or "List[Tensor]" in str(argument.type)


class Values(Trail):
    """What the nodes of an exported program hold: followed from the input, or computed where they do not depend on it.

    met_written: whether a value on the way is one that an operation writes into, so that this walk proves nothing.
    """

    def __init__(self, exported: torch.export.ExportedProgram) -> None:
        super().__init__()
        signature, self.nodes = exported.graph_signature, exported.graph_module.graph.nodes
        named = dict(signature.inputs_to_parameters) | dict(signature.inputs_to_buffers) | dict(signature.inputs_to_lifted_tensor_constants)
        changed = set(signature.buffers_to_mutate.values())
        self.constants: dict[str, str] = {name: target for name, target in named.items() if target not in changed}
        self.values: dict[str, Any] = {**exported.state_dict, **exported.constants}
        self.written, self.met_written = _written(self.nodes), False
        self.evaluated: dict[fx.Node, Any] = {}

    def of(self, node: Any) -> Tracked:
        if node not in self.tracked:
            raise NotFoldableError("the input is combined with a computed value before the first convolution", name="fold-computed-value")
        found: Tracked = self.tracked[node]
        return found

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


def arguments_of(node: fx.Node) -> dict[str, Any]:
    """All arguments of an ATen call by name."""
    schema = node.target._schema  # type: ignore[union-attr]
    names = [argument.name for argument in schema.arguments]
    return dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
