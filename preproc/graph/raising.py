"""A graph in a newer opset, where that changes nothing of what it computes.

Between the opsets 7 and 18 most operators only came to take more: types, inputs, attributes whose defaults mean what was. For them the
number is all that changes. The others are in operators.py, each with how its new definition says what the old one said, or why it cannot.

onnx.version_converter is no way here: it writes the file anew through a representation that has no functions, metadata or training
information, and makes of an old Upsample or Resize, which have no word for where their pixels lie, one of half_pixel, which they are not.
"""

import contextlib
from collections import ChainMap, Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import onnx
import onnx.defs
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import numpy_helper

from ..errors import PreprocError
from .constants import OURS
from .messages import is_small, light, messages, model_of, origin_of
from .operators import REWRITES, Spot

OLDEST, NEWEST = 7, 18
"""Opsets between which a graph is raised: those in which an operator broadcasts, up to the newest that a step has need of."""


def raised(model: ir.Model, opset: int) -> tuple[ir.Model, tuple[str, ...]]:
    """The loaded model in that opset, `model` staying as it is; and the operators that are written otherwise, to the same effect.

    Functions and subgraphs are raised with it; nodes of other domains, and all initializers, keep their messages. Raises PreprocError
    naming the node where an operator does not say any more what it said.
    """
    parts, proto = messages(model), onnx.ModelProto()
    proto.CopyFrom(parts.head)
    proto.graph.CopyFrom(parts.graph)
    old = _version(proto.opset_import)
    if not OLDEST <= old <= opset <= NEWEST:
        raise PreprocError(f"expected to raise an opset of {OLDEST} to {NEWEST}, got one from {old} to {opset}", name="opset-too-old")
    work, told = _Work(opset, frozenset(_read(proto)), set(_names(proto))), _inferred(light(parts))
    scope = _inside(told.graph, _Scope())
    for training, its_told in zip(proto.training_info, told.training_info, strict=True):
        work.graph(training.initialization, its_told.initialization, scope, old)
        work.graph(training.algorithm, its_told.algorithm, scope, old)
    work.nodes(proto.graph.node, told.graph.node, scope, old)
    _set_version(proto.opset_import, opset)
    for function in proto.functions:
        its_own, body = _version(function.opset_import), onnx.GraphProto(node=function.node)
        if OLDEST <= its_own < opset:
            work.nodes(function.node, body.node, _inside(body, _Scope()), its_own)
            _set_version(function.opset_import, opset)
    proto.graph.initializer.extend(parts.tensors)
    changed = tuple(f"{op} ({count})" if count > 1 else op for op, count in sorted(work.changed.items()))
    return model_of(proto, *origin_of(model)), changed


@dataclass(frozen=True)
class _Scope:
    """What is told of the values that the nodes of one graph can read.  known, types: as Spot's. Where an inner graph has a name of its
    own, nothing that is told of the outer value of that name counts: without better it is None, and (0, None)."""

    known: ChainMap[str, NDArray[Any] | None] = field(default_factory=ChainMap)
    types: ChainMap[str, tuple[int, int | None]] = field(default_factory=ChainMap)


def _inside(graph: onnx.GraphProto, outer: _Scope) -> _Scope:
    """The scope of a graph: small initializers and Constant nodes are known, types as the graph tells them."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    own = {info.name for info in graph.input} | {tensor.values.name for tensor in graph.sparse_initializer} | {*tensors}
    types: dict[str, tuple[int, int | None]] = {name: (tensor.data_type, len(tensor.dims)) for name, tensor in tensors.items()}
    for info in (*graph.input, *graph.output, *graph.value_info):
        kind = info.type.tensor_type
        types[info.name] = (kind.elem_type, len(kind.shape.dim) if kind.HasField("shape") else None)
    for node in graph.node:
        own |= {*node.output}
        value = next((held.t for held in node.attribute if held.name == "value" and held.HasField("t")), None)
        if node.op_type == "Constant" and node.domain in OURS and value is not None:
            tensors[node.output[0]] = value
    known = {name: numpy_helper.to_array(tensor) for name, tensor in tensors.items() if is_small(tensor)}
    return _Scope(
        outer.known.new_child({**dict.fromkeys(own), **known}),
        outer.types.new_child({**dict.fromkeys(own, (0, None)), **types}),
    )


def _inferred(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same nodes, with the types of values in each of its graphs, as far as ONNX can infer them."""
    with contextlib.suppress(onnx.shape_inference.InferenceError):  # shapes that contradict each other: what is declared is left
        return onnx.shape_inference.infer_shapes(proto)
    return proto


@dataclass
class _Work:
    """opset: to which everything is raised.  read, taken: as Spot's.  changed: how many nodes are written otherwise."""

    opset: int
    read: frozenset[str]
    taken: set[str]
    changed: Counter[str] = field(default_factory=Counter)

    def graph(self, graph: onnx.GraphProto, told: onnx.GraphProto, outer: _Scope, old: int) -> None:
        """In place. told: the same graph with its inferred types.  outer: the scope around it."""
        self.nodes(graph.node, told.node, _inside(told, outer), old)

    def nodes(self, nodes: Any, told: Any, scope: _Scope, old: int) -> None:
        """In place, subgraphs included. told: the same nodes, whose subgraphs have their inferred types."""
        made: list[onnx.NodeProto] = []
        for node, its_told in zip(nodes, told, strict=True):
            for graph, inner_told in zip(_inner(node), _inner(its_told), strict=True):
                self.graph(graph, inner_told, scope, old)
            spot = Spot(node, self.opset, scope.known, scope.types, self.read, self.taken)
            if node.domain in OURS:
                self.raise_one(spot, old)
            made += [*spot.before, onnx.NodeProto.FromString(node.SerializeToString()), *spot.behind]
        del nodes[:]
        nodes.extend(made)

    def raise_one(self, spot: Spot, old: int) -> None:
        """Through all opsets in which its operator was defined anew."""
        op, before = spot.node.op_type, spot.node.SerializeToString()
        if not _has(op, old):
            raise spot.refusal(f"ONNX has no such operator in opset {old}")
        for opset in range(old + 1, self.opset + 1):
            if onnx.defs.get_schema(spot.node.op_type, opset).since_version == opset and (spot.node.op_type, opset) in REWRITES:
                REWRITES[spot.node.op_type, opset](spot)
        if onnx.defs.get_schema(spot.node.op_type, self.opset).deprecated:
            raise spot.refusal(f"opset {self.opset} has it no more")
        if spot.node.SerializeToString() != before:
            self.changed[op] += 1


def _has(op: str, opset: int) -> bool:
    try:
        return not onnx.defs.get_schema(op, opset).deprecated
    except onnx.defs.SchemaError:
        return False


def _version(imports: Iterable[onnx.OperatorSetIdProto]) -> int:
    return next((entry.version for entry in imports if entry.domain in OURS), 0)


def _set_version(imports: Iterable[onnx.OperatorSetIdProto], opset: int) -> None:
    for entry in imports:
        if entry.domain in OURS:
            entry.version = opset


def _inner(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs in its attributes."""
    for attribute in node.attribute:
        yield from [attribute.g] if attribute.HasField("g") else []
        yield from attribute.graphs


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """It, and the graphs in its nodes."""
    yield graph
    for node in graph.node:
        for inner in _inner(node):
            yield from _graphs(inner)


def _all_graphs(proto: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    yield from _graphs(proto.graph)
    for training in proto.training_info:
        yield from _graphs(training.initialization)
        yield from _graphs(training.algorithm)
    for function in proto.functions:
        yield from _graphs(onnx.GraphProto(node=function.node))


def _read(proto: onnx.ModelProto) -> Iterator[str]:
    """The names of values that somebody reads."""
    for graph in _all_graphs(proto):
        yield from (value.name for value in graph.output)
        for node in graph.node:
            yield from node.input
    for function in proto.functions:
        yield from function.output


def _names(proto: onnx.ModelProto) -> Iterator[str]:
    """That no new value may have."""
    for graph in _all_graphs(proto):
        yield from (value.name for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer))
        for node in graph.node:
            yield from (node.name, *node.input, *node.output)
