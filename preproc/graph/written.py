"""Whether a file of ours is the one that was written: digests of its graph and of its weights, which it carries beside its contract.

They are of what the file computes, not of its bytes: whoever reads and writes it again without a change leaves them true, and so does
whoever adds shapes, doc strings or metadata.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator

import numpy as np
import onnx
import onnx_ir as ir

from .messages import Messages, messages

WRITTEN = "preproc.written"
"""The digests' key in ONNX metadata_props."""
NOTHING, WEIGHTS, VALUES, REWRITTEN = "nothing", "weights", "values", "rewritten"
"""What has changed since: nothing; the weights' values alone; something in nodes of the same length, as damage does; more, as a program
does that writes nodes and names of its own."""


def digests(model: ir.Model) -> str:
    """JSON: sha256 of the opsets, inputs and outputs, of the nodes, and of the initializers; and how long the nodes are, in bytes."""
    parts, weights = messages(model), hashlib.sha256()
    frame, nodes = ("\n".join(words).encode() for words in (_frame(parts), _nodes(parts)))
    for name, value in sorted(model.graph.initializers.items()):
        tensor = value.const_value
        if tensor is not None:
            weights.update(f"{name} {_kind(tensor)}".encode())
            weights.update(_content(tensor))
            if isinstance(tensor, ir.ExternalTensor):
                tensor.release()
    found = {"frame": hashlib.sha256(frame).hexdigest(), "nodes": hashlib.sha256(nodes).hexdigest(), "length": len(nodes)}
    return json.dumps(found | {"weights": weights.hexdigest()}, separators=(",", ":"))


def changed_since(model: ir.Model) -> str | None:
    """What of the loaded model is not as it was written, or None where the file does not tell."""
    try:
        then, now = json.loads(model.metadata_props[WRITTEN]), json.loads(digests(model))
        differ = {key for key in now if then[key] != now[key]}
    except (KeyError, TypeError, ValueError):
        return None
    if differ & {"frame", "length"}:
        return REWRITTEN
    return VALUES if "nodes" in differ else WEIGHTS if differ else NOTHING


def _frame(parts: Messages) -> Iterator[str]:
    weights = {tensor.name for tensor in parts.tensors}
    yield from sorted(_imported(parts.head.opset_import))
    yield from (_declared(value) for value in (*parts.graph.input, *parts.graph.output) if value.name not in weights)


def _nodes(parts: Messages) -> Iterator[str]:
    """Those of functions, too."""
    yield from _of_nodes(parts.graph.node)
    yield from (tensor.SerializeToString(deterministic=True).hex() for tensor in parts.graph.sparse_initializer)
    for function in parts.head.functions:
        yield f"{function.domain} {function.name} {list(function.input)} {list(function.output)} {list(function.attribute)}"
        yield from sorted(_imported(function.opset_import))
        yield from _of_nodes(function.node)


def _imported(opsets: Iterable[onnx.OperatorSetIdProto]) -> Iterator[str]:
    return (f"{entry.domain} {entry.version}" for entry in opsets)


def _declared(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type
    return f"{value.name} {kind.elem_type} {[dim.dim_value or dim.dim_param for dim in kind.shape.dim]}"


def _of_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[str]:
    for node in nodes:
        yield f"{node.domain} {node.op_type} {list(node.input)} {list(node.output)}"
        for attribute in sorted(node.attribute, key=lambda held: held.name):
            yield f"{attribute.name} {attribute.type} {attribute.ref_attr_name}"
            graphs = [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]
            for graph in graphs:
                yield from (tensor.SerializeToString(deterministic=True).hex() for tensor in graph.initializer)
                yield from (_declared(value) for value in (*graph.input, *graph.output))
                yield from _of_nodes(graph.node)
            if not graphs:
                yield _value(attribute)


def _value(attribute: onnx.AttributeProto) -> str:
    value = onnx.helper.get_attribute_value(attribute) if not attribute.ref_attr_name else ""
    if isinstance(value, onnx.TensorProto):
        held = ir.serde.deserialize_tensor(value)
        return f"{_kind(held)} {hashlib.sha256(_content(held)).hexdigest()}"
    if isinstance(value, (int, float, str, bytes, list)) and not attribute.tensors:
        return str(value)
    return bytes(attribute.SerializeToString(deterministic=True)).hex()


def _kind(tensor: ir.TensorProtocol) -> str:
    """Its dtype, as ONNX numbers them, and its shape."""
    return f"{tensor.dtype.value} {list(tensor.numpy().shape)}"


def _content(tensor: ir.TensorProtocol) -> bytes | memoryview:
    if tensor.dtype == ir.DataType.STRING:
        return json.dumps([str(text) for text in np.ravel(tensor.numpy())]).encode()
    return np.ascontiguousarray(tensor.numpy()).reshape(-1).view(np.uint8).data
