"""What a value of a graph holds, if it depends on no input: initializers, Constant nodes, and nodes that compute with these; and what an
attribute does."""

from collections.abc import Collection, Mapping
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import Any

import onnx
import onnx.numpy_helper
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import NotFoldableError, first_line

OURS = ("", "ai.onnx")
"""The names of ONNX's own domain."""
_NOT_CONSTANT = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli", "Dropout"}
NOTHING: Mapping[ir.Value, NDArray[Any]] = MappingProxyType({})


def constant(value: ir.Value | None, given: Mapping[ir.Value, NDArray[Any]] = NOTHING) -> NDArray[Any]:
    """The array. given: what is known of values that are computed.

    Raises NotFoldableError if it is computed from an input, may be overridden by callers, or is an output, too.

    Weights that nodes make of constants (old exporters write ConstantOfShape) are evaluated by onnx's reference implementation.
    """
    if value is None:
        raise NotFoldableError("a value is left out where a constant is needed", name="fold-computed-value")
    if value in given:
        return given[value]
    if value.is_graph_output():
        raise NotFoldableError(f"{value.name} is an output of the model, too", name="fold-shared-weight")
    if value.is_graph_input():
        raise NotFoldableError(f"{value.name} can be overridden by callers, for it is an input too", name="fold-shared-weight")
    if value.const_value is not None:
        return value.const_value.numpy()
    from onnx.reference import ReferenceEvaluator  # which lists all operators when it is imported

    from .quantized import DequantizeLinear, QuantizeLinear

    nodes = _makers(value, given)
    proto = onnx.helper.make_graph(
        [ir.to_proto(node) for node in nodes],
        "constants",
        [],
        [onnx.helper.make_empty_tensor_value_info(str(value.name))],
        [ir.to_proto(tensor) for tensor in _tensors(nodes)]
        + [onnx.numpy_helper.from_array(array, str(known.name)) for known, array in given.items()],
    )
    graph = nodes[-1].graph
    assert graph is not None
    opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in graph.opset_imports.items()]
    try:
        old = [QuantizeLinear, DequantizeLinear] if graph.opset_imports.get("", 0) < 19 else []
        evaluator: Any = ReferenceEvaluator(onnx.helper.make_model(proto, opset_imports=opsets), new_ops=old)
        array: NDArray[Any] = evaluator.run(None, {})[0]
    except Exception as error:  # onnx's reference raises whatever NumPy does with a wrong or an unusual node
        raise NotFoldableError(
            f"{value.name} is made by nodes that cannot be evaluated: {first_line(error)}", name="fold-untraceable"
        ) from error
    return array


def attribute(node: ir.Node, name: str, default: Any) -> Any:
    """What a node's attribute holds, or what it is where the node leaves it out."""
    found = node.attributes.get(name)
    return default if found is None else found.value


def _makers(value: ir.Value, given: Collection[ir.Value]) -> list[ir.Node]:
    """The nodes that make `value` of constants and what is given, each behind those that it reads, in whichever graphs they are. Raises
    NotFoldableError if there are others."""
    refusal = NotFoldableError(f"{value.name} is computed, not a constant", name="fold-computed-value")
    nodes, waiting = dict[ir.Node, set[ir.Node]](), [value]
    while waiting:
        current = waiting.pop()
        if current in given:
            continue
        node = current.producer()
        if current.is_graph_input() or (node is None and current.const_value is None):
            raise refusal
        if node is None or node in nodes:
            continue
        subgraphs = any(attribute.type == ir.AttributeType.GRAPH for attribute in node.attributes.values())
        if node.domain not in OURS or node.op_type in _NOT_CONSTANT or subgraphs:
            raise refusal
        read = [source for source in node.inputs if source is not None and source not in given]
        nodes[node] = {maker for source in read if (maker := source.producer()) is not None}
        waiting += read
    try:
        return list(TopologicalSorter(nodes).static_order())
    except CycleError as error:
        raise refusal from error


def _tensors(nodes: list[ir.Node]) -> list[ir.TensorProtocol]:
    """The initializers that the nodes read, each once."""
    read = dict.fromkeys(source for node in nodes for source in node.inputs if source is not None and source.producer() is None)
    return [source.const_value for source in read if source.const_value is not None]
