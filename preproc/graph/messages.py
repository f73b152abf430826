"""A graph as protobuf messages. Whatever nobody touched keeps the very message that was read.

onnx-ir knows much of ONNX but not all: training information, sparse initializers and fields of newer schemas would be lost if a file
were written from it. So an edited model is written from the messages that it was loaded from, with the edits put into them.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnx.inliner
import onnx_ir as ir

UNLISTED = 4
"""The IR version from which on initializers need not be listed among the inputs; listed, they may be overridden by callers."""
SMALL = 4096
"""Bytes up to which ONNX's check is given an initializer's values: those that say shapes are small."""
_KEY = "preproc.original"


@dataclass(eq=False)
class Original:
    """The messages of a file loaded from `folder`. head: the model without its graph.  graph: without its initializers.
    nodes: the nodes in it.  inputs: the inputs, by name.  tensors: the initializers, each with what onnx-ir holds for it.
    files: those beside it, with weights.  freed: the inputs with sides that were declared as 0 or -1."""

    folder: Path
    head: onnx.ModelProto
    graph: onnx.GraphProto
    nodes: list[ir.Node]
    inputs: dict[str, ir.Value]
    tensors: dict[str, tuple[ir.TensorProtocol | None, onnx.TensorProto]]
    files: tuple[str, ...]
    freed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Messages:
    """Together the model: head without the graph, the graph without initializers, the initializers."""

    head: onnx.ModelProto
    graph: onnx.GraphProto
    tensors: list[onnx.TensorProto]


def model_of(proto: onnx.ModelProto, folder: Path, files: tuple[str, ...], freed: tuple[str, ...] = ()) -> ir.Model:
    """The model, which remembers the messages. They are taken apart: `proto` must not be used any more.

    Older files list every initializer among their inputs, for they had to: in the model they are initializers only.
    """
    with _without_maps(proto.graph):
        model = ir.from_proto(proto)
    graph, values = proto.graph, model.graph.initializers
    inputs = {str(value.name): value for value in model.graph.inputs}
    tensors = {tensor.name: (values[tensor.name].const_value, tensor) for tensor in graph.initializer}
    proto.ClearField("graph")
    del graph.initializer[:]
    model.meta[_KEY] = Original(folder, proto, graph, list(model.graph), inputs, tensors, files, freed)
    if model.ir_version < UNLISTED:
        model.graph.inputs[:] = [value for value in model.graph.inputs if value.name not in values]
    ir.external_data.set_base_dir(model.graph, folder)
    return model


@contextlib.contextmanager
def _without_maps(graph: onnx.GraphProto) -> Iterator[None]:
    """While the body runs, no type for values that hold maps, as a ZipMap makes them: onnx-ir has none for such, and asks for none."""
    held = [(value, value.type.SerializeToString()) for value in (*graph.output, *graph.value_info) if _holds_maps(value.type)]
    for value, _ in held:
        value.ClearField("type")
    try:
        yield
    finally:
        for value, kind in held:
            value.type.ParseFromString(kind)


def _holds_maps(kind: onnx.TypeProto) -> bool:
    word = kind.WhichOneof("value")
    inner: onnx.TypeProto | None = getattr(kind, word).elem_type if word in ("sequence_type", "optional_type") else None
    return word == "map_type" or (inner is not None and _holds_maps(inner))


def inlined(model: ir.Model, functions: Iterable[tuple[str, str]]) -> ir.Model:
    """A loaded model with the model-local functions (domain, name) in place of their calls; all else stays. `model` does, too."""
    parts, proto = messages(model), onnx.ModelProto()
    proto.CopyFrom(parts.head)
    proto.graph.CopyFrom(parts.graph)
    proto.graph.initializer.extend(onnx.TensorProto(name=tensor.name, data_type=1, dims=[0]) for tensor in parts.tensors)  # their names
    proto = onnx.inliner.inline_selected_functions(proto, list(functions))
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(parts.tensors)
    return model_of(proto, *origin_of(model))


def origin_of(model: ir.Model) -> tuple[Path, tuple[str, ...], tuple[str, ...]]:
    """The folder that a loaded model was in, the names of the other files that it had weights in, and freed()."""
    original: Original = model.meta[_KEY]
    return original.folder, original.files, original.freed


def light(parts: Messages) -> onnx.ModelProto:
    """A copy without its weights but for those of at most SMALL bytes; the others are among its inputs, with their types."""
    proto, listed = onnx.ModelProto(), {value.name for value in parts.graph.input}
    proto.CopyFrom(parts.head)
    proto.graph.CopyFrom(parts.graph)
    for tensor in parts.tensors:
        if is_small(tensor):
            proto.graph.initializer.append(tensor)
        elif tensor.name not in listed:
            proto.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return proto


def is_small(tensor: onnx.TensorProto) -> bool:
    """Whether it has its values in it, in at most SMALL bytes."""
    return tensor.ByteSize() <= SMALL and tensor.data_location != onnx.TensorProto.EXTERNAL


def beside(model: ir.Model) -> tuple[str, ...]:
    """The names of the other files that a loaded model had weights in."""
    return origin_of(model)[1]


def freed(model: ir.Model) -> tuple[str, ...]:
    """The names of the inputs of a loaded model with sides that its file declares as 0 or -1."""
    return origin_of(model)[2]


def messages(model: ir.Model) -> Messages:
    """The model as it is now. Its own messages, not a copy: they must not be changed."""
    original: Original | None = model.meta.get(_KEY)
    if original is None:
        proto = ir.to_proto(model)
        graph, tensors = proto.graph, list(proto.graph.initializer)
        proto.ClearField("graph")
        del graph.initializer[:]
        return Messages(proto, graph, tensors)
    tensors = [_tensor(original, value) for value in model.graph.initializers.values()]
    _put_nodes(original, model.graph)
    _put_values(original, model.graph)
    for key, text in model.metadata_props.items():
        known = [entry for entry in original.head.metadata_props if entry.key == key]
        entry = known[0] if known else original.head.metadata_props.add(key=key)
        if entry.value != text:  # what is not UTF-8 cannot be put back
            entry.value = text
    return Messages(original.head, original.graph, tensors)


def all_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """The initializers, and the tensors in the nodes' attributes, subgraphs included."""
    yield from graph.initializer
    yield from in_nodes(graph.node)


def in_nodes(nodes: Any) -> Iterator[onnx.TensorProto]:
    """The tensors in the attributes of nodes, subgraphs included."""
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for graph in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from all_tensors(graph)


def _tensor(original: Original, value: ir.Value) -> onnx.TensorProto:
    held, tensor = original.tensors.get(str(value.name), (None, None))
    if tensor is not None and value.const_value is held:
        return tensor
    assert value.const_value is not None
    made: onnx.TensorProto = ir.to_proto(value.const_value)
    original.tensors[str(value.name)] = (value.const_value, made)
    return made


def _put_nodes(original: Original, graph: ir.Graph) -> None:
    """New nodes are inserted, those that are no longer there go, with what is said of their values; of others only inputs and
    names ever change."""
    for position in reversed(range(len(original.nodes))):
        if original.nodes[position].graph is not graph:
            gone = original.graph.node[position].output
            _replace(original.graph.value_info, [info for info in original.graph.value_info if info.name not in gone])
            del original.nodes[position], original.graph.node[position]
    known = set(original.nodes)
    for position, node in enumerate(graph):
        if node not in known:
            original.graph.node.insert(position, ir.to_proto(node))
            original.nodes.insert(position, node)
    _put_inputs(original.nodes, original.graph.node)


def _put_inputs(nodes: Any, protos: Any) -> None:
    for node, proto in zip(nodes, protos, strict=True):
        names = ["" if value is None else str(value.name) for value in node.inputs]
        if list(proto.input) != names:
            proto.input[:] = names
        if proto.name != (node.name or ""):
            proto.name = str(node.name)
        made = [str(value.name) for value in node.outputs]
        if node.op_type == "Conv" and list(proto.output) != made:  # whose numbers are a part of what they were, see beside.py
            proto.output[:] = made
        for attribute in proto.attribute:
            typed = attribute.name == "group" and not attribute.ref_attr_name
            if typed and node.attributes["group"].type == ir.AttributeType.INT:  # of a first convolution, see folding
                attribute.i = node.attributes["group"].as_int()
            if attribute.HasField("g"):
                _put_subgraph(node.attributes[attribute.name].as_graph(), attribute.g)
            for inner, graph in zip(node.attributes[attribute.name].as_graphs() if attribute.graphs else (), attribute.graphs, strict=True):
                _put_subgraph(inner, graph)


def _put_subgraph(graph: ir.Graph, proto: onnx.GraphProto) -> None:
    """Where nodes and initializers may be gone, too."""
    made = {value.name for node in graph for value in node.outputs}
    _replace(proto.node, [node for node in proto.node if not node.output or any(name in made for name in node.output)])
    _replace(proto.initializer, [tensor for tensor in proto.initializer if tensor.name in graph.initializers])
    _put_inputs(graph, proto.node)


def _put_values(original: Original, graph: ir.Graph) -> None:
    """Inputs and outputs by name. Inputs that are weights (files up to IR version 3 list them all) follow their initializers."""
    proto, weights = original.graph, graph.initializers
    now = {str(value.name): value for value in graph.inputs}
    new = [value for name, value in now.items() if original.inputs.get(name) is not value]
    kept, gone = [], set[str]()
    for known in proto.input:
        if known.name in weights and known.name not in now:
            kept.append(_weight(original, weights[known.name], known))
        elif known.name in now and now[known.name] is original.inputs.get(known.name):
            kept.append(known)
        elif new:
            kept.append(_successor(known, ir.to_proto(new.pop(0))))
            gone.add(known.name)
    names = {known.name for known in kept}
    if original.head.ir_version < UNLISTED:
        kept += [_weight(original, value, None) for name, value in weights.items() if name not in names]
    _replace(proto.input, kept)
    outputs = {known.name: known for known in proto.output}
    _replace(proto.output, [outputs.get(str(value.name)) or ir.to_proto(value) for value in graph.outputs])
    gone |= {name for name, (_, tensor) in original.tensors.items() if name in weights and not _fits(tensor, proto.value_info)}
    shapeless = {str(value.name) for node in graph for value in node.outputs if value.shape is None}
    gone |= {info.name for info in proto.value_info if info.name in shapeless and info.type.tensor_type.HasField("shape")}
    types = {str(value.name): value.dtype for node in graph for value in node.outputs}
    gone |= {info.name for info in proto.value_info if types.get(info.name) not in (None, info.type.tensor_type.elem_type)}
    if gone:
        _replace(proto.value_info, [info for info in proto.value_info if info.name not in gone])


def _successor(known: onnx.ValueInfoProto, made: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    """The input in place of another, with what that says of itself."""
    made.doc_string = known.doc_string
    made.metadata_props.extend(known.metadata_props)
    made.type.denotation = known.type.denotation
    return made


def _fits(tensor: onnx.TensorProto, infos: Any) -> bool:
    """Whether no declared shape or type of this initializer differs from its own."""
    own = (list(tensor.dims), tensor.data_type)
    declared = [info.type.tensor_type for info in infos if info.name == tensor.name]
    return all(([dim.dim_value for dim in kind.shape.dim], kind.elem_type) == own for kind in declared)


def _weight(original: Original, value: ir.Value, known: onnx.ValueInfoProto | None) -> onnx.ValueInfoProto:
    tensor = original.tensors[str(value.name)][1]
    if known is not None and _fits(tensor, [known]):
        return known
    return onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)


def _replace(field: Any, values: list[Any]) -> None:
    """Only if something changed."""
    if len(field) == len(values) and all(old is new or old == new for old, new in zip(field, values, strict=True)):
        return
    copies = [type(value).FromString(value.SerializeToString()) for value in values]
    del field[:]
    field.extend(copies)
