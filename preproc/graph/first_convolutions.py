"""The first convolutions of a graph: what the fold has to know of them, where their weights lie, and how they are written."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import NotFoldableError
from ..folding import Reader, Tracked
from .constants import attribute, constant
from .unread import drop


@dataclass(frozen=True)
class Convolution:
    """A node that reads the input. graph: the model's, even if the node is in a subgraph."""

    node: ir.Node
    reader: Reader
    graph: ir.Graph

    def weights(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Weight and bias, None without one. Raises NotFoldableError."""
        return constant(self.node.inputs[1]), None if self.reader.bias is None else constant(self.node.inputs[2])

    def put(self, weight: NDArray[Any] | None, bias: NDArray[Any] | None) -> None:
        """New initializers in place of the old ones, which stay where others read them; None: as it is."""
        if weight is not None:
            _replace(self.graph, self.node, 1, weight)
        if bias is not None:
            _replace(self.graph, self.node, 2, bias)


def reader_of(node: ir.Node, tracked: dict[ir.Value, Tracked]) -> Reader:
    """tracked: what its input may be. Raises NotFoldableError for a convolution that the fold cannot follow."""
    if node.inputs[0] not in tracked:
        raise NotFoldableError("the input is used as the weight of a convolution", name="fold-computed-value")
    weight = node.inputs[1]
    shape = constant(weight).shape
    kernel = shape[2:]
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if len(shape) != 4 or (bias is not None and constant(bias).shape != shape[:1]):
        raise NotFoldableError("the first convolution's weight and bias are not those of pictures", name="fold-not-convolution")
    automatic = attribute(node, "auto_pad", "NOTSET")
    pads = attribute(node, "pads", [0, 0])
    pads_zero = max(kernel) > 1 if automatic in ("SAME_UPPER", "SAME_LOWER") else automatic == "NOTSET" and max(pads) > 0
    return Reader.of(
        tracked[node.inputs[0]],
        weight=str(weight.name),  # type: ignore[union-attr]
        bias=None if bias is None else bias.name,
        groups=attribute(node, "group", 1),
        pads_zero=pads_zero,
    )


def _replace(graph: ir.Graph, node: ir.Node, index: int, array: NDArray[Any]) -> None:
    """A new initializer of `graph` for one input of a node; the old one, and what made it, goes if nobody else reads it."""
    old = node.inputs[index] if index < len(node.inputs) else None
    name = f"preproc/{node.name or node.outputs[0].name}/{'weight' if index == 1 else 'bias'}" if old is None else f"{old.name}"
    alone = old is not None and len(old.uses()) == 1 and graph.initializers.get(name) is old
    if old is not None and not alone:
        name += "/preproc"
    while name in graph.initializers and not alone:
        name += "+"
    value = ir.Value(name=name, const_value=ir.tensor(np.array(array, order="C"), name=name))
    value.shape, value.dtype = ir.Shape(array.shape), ir.DataType.from_numpy(array.dtype)
    if index >= len(node.inputs):
        node.resize_inputs(index + 1)
    node.replace_input_with(index, value)
    if old is not None:
        drop(old)
    graph.register_initializer(value)
