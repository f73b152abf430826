"""An .onnx file as nodes on names, its weights where they lie: in the file's own dtype, those in other files mapped, not read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, TensorProto, helper, inliner, numpy_helper

Array = NDArray[Any]


class NotInDoubleError(ValueError):
    """There is no float64 form of this file, or it would take too long: the reason, for people."""


@dataclass(frozen=True)
class Node:
    """kind: the operator, "domain:operator" outside ONNX's own domain.  opset: of that domain.  reads: the values that it needs, those of
    its subgraphs included."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    opset: int
    reads: frozenset[str]

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute. A default that is a float is the nearest float32, as attributes are."""
        return self.attributes.get(name, float(np.float32(default)) if isinstance(default, float) else default)

    def refuse(self, what: str) -> NotInDoubleError:
        return NotInDoubleError(f"{self.kind} {self.name!r} {what}")


@dataclass(frozen=True)
class Graph:
    """inputs: names of those that are no weights.  weights: by name, in the file's own dtypes."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: Mapping[str, Array]
    nodes: tuple[Node, ...]


def read(path: Path) -> Graph:
    """Calls of model-local functions are replaced by their bodies. Raises NotInDoubleError for what is no tensor of NumPy's."""
    model = onnx.load(path, load_external_data=False)
    if model.functions:
        model = inliner.inline_local_functions(model)
    return _graph(model.graph, {entry.domain: entry.version for entry in model.opset_import}, path.absolute().parent)


def _graph(graph: onnx.GraphProto, opsets: Mapping[str, int], folder: Path) -> Graph:
    if graph.sparse_initializer:
        raise NotInDoubleError("the file has sparse weights")
    weights = {tensor.name: _array(tensor, folder) for tensor in graph.initializer}
    nodes = tuple(_node(node, opsets, folder) for node in graph.node)
    inputs = tuple(value.name for value in graph.input if value.name not in weights)
    return Graph(inputs, tuple(value.name for value in graph.output), weights, nodes)


def _node(node: onnx.NodeProto, opsets: Mapping[str, int], folder: Path) -> Node:
    domain = "" if node.domain == "ai.onnx" else node.domain
    attributes = {attribute.name: _attribute(attribute, opsets, folder) for attribute in node.attribute}
    inner = [value for value in attributes.values() if isinstance(value, Graph)]
    reads = frozenset(name for name in node.input if name).union(*(_outer(graph) for graph in inner))
    kind, opset = f"{domain}:{node.op_type}".lstrip(":"), opsets.get(node.domain, opsets.get("", 1))
    return Node(kind, node.name or (node.output[0] if node.output else ""), tuple(node.input), tuple(node.output), attributes, opset, reads)


def _outer(graph: Graph) -> frozenset[str]:
    """What a subgraph reads of the graph around it."""
    made = {*graph.inputs, *graph.weights, *(name for node in graph.nodes for name in node.outputs)}
    return frozenset({name for node in graph.nodes for name in node.reads} | set(graph.outputs)) - made


def _attribute(attribute: onnx.AttributeProto, opsets: Mapping[str, int], folder: Path) -> Any:
    value = helper.get_attribute_value(attribute)
    if attribute.type == AttributeProto.GRAPH:
        return _graph(value, opsets, folder)
    if attribute.type == AttributeProto.TENSOR:
        return _array(value, folder)
    if attribute.type == AttributeProto.STRING:
        return value.decode()
    return [item.decode() for item in value] if attribute.type == AttributeProto.STRINGS else value


_PLAIN = {getattr(TensorProto, kind) for kind in ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE", "BOOL", "STRING")} | {
    getattr(TensorProto, f"{sign}INT{bits}") for sign in ("", "U") for bits in (8, 16, 32, 64)
}


def _array(tensor: onnx.TensorProto, folder: Path) -> Array:
    if tensor.data_type not in _PLAIN:
        kind = TensorProto.DataType.Name(tensor.data_type).lower()
        raise NotInDoubleError(f"the file holds numbers of {kind} ({tensor.name}): it rounds to them itself")
    if tensor.data_location != TensorProto.EXTERNAL:
        return numpy_helper.to_array(tensor)
    told = {entry.key: entry.value for entry in tensor.external_data}
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    mapped = np.memmap(folder / told["location"], np.uint8, "r", int(told.get("offset", 0)), (int(np.prod(tensor.dims)) * dtype.itemsize,))
    return mapped.view(dtype.newbyteorder("<")).reshape(tuple(tensor.dims))
