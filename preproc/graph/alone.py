"""One node of a graph as a model of its own, to be run by itself."""

from collections.abc import Mapping
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import NotFoldableError
from .constants import constant
from .subgraphs import subgraphs


def alone(node: ir.Node, given: Mapping[ir.Value, NDArray[Any]]) -> bytes:
    """An ONNX file with nothing but this node. given: the inputs that will be fed, with an array of their dtype; the others are constants.

    Raises NotFoldableError for a node with a subgraph, or where another input is computed.
    """
    if list(subgraphs(node)):
        raise NotFoldableError(f"{node.op_type} has subgraphs", name="fold-computed-value")
    copies = dict[ir.Value, ir.Value]()
    for source in node.inputs:
        if source is None or source in copies:
            continue
        if source in given:
            copies[source] = ir.Value(name=source.name, type=ir.TensorType(ir.DataType.from_numpy(given[source].dtype)))
        else:
            copies[source] = ir.Value(name=source.name, const_value=ir.tensor(constant(source), name=source.name))
    outputs = [ir.Value(name=value.name) for value in node.outputs]
    inputs = [None if source is None else copies[source] for source in node.inputs]
    copied = ir.Node(node.domain, node.op_type, inputs, tuple(node.attributes.values()), overload=node.overload, outputs=outputs)
    opsets = {} if node.graph is None else dict(node.graph.opset_imports)
    graph = ir.Graph(
        [copy for source, copy in copies.items() if source in given],
        [value for value in outputs if value.name],
        nodes=[copied],
        initializers=[copy for source, copy in copies.items() if source not in given],
        opset_imports=opsets,
        name="alone",
    )
    made: bytes = ir.to_proto(ir.Model(graph, ir_version=10)).SerializeToString()
    return made
