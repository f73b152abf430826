"""Nodes that list rows, the boxes of a NonMaxSuppression and the indices of a TopK, and what is made of their lists."""

from collections.abc import Iterator
from enum import Enum

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

from .constants import OURS
from .messages import Messages, messages
from .reach import made_of
from .writing import bytes_of

BOXES, INDICES = "NonMaxSuppression", "TopK"


class Listing(Enum):
    """IN_ANY_ORDER: ONNX defines none for the boxes of a NonMaxSuppression and for a TopK that is not sorted.  BY_SCORE: a sorted TopK, in
    which rows of equal scores, but for roundings, may stand either way."""

    IN_ANY_ORDER = False
    BY_SCORE = True


def listed(model: ir.Model, listing: Listing) -> list[frozenset[str]]:
    """The names of the outputs that are made of such lists, those together that have one in common, with each other or with a third: the
    order of its rows is one for all of them, whatever else they read."""

    def lists(node: ir.Node) -> bool:
        return _lists(node.domain, node.op_type, node.attributes.get_int("sorted", 1), listing)

    found: dict[frozenset[ir.Node], frozenset[str]] = {}
    for name, nodes in made_of(model, lists).items():
        names = frozenset({name})
        for others in [each for each in found if each & nodes]:
            nodes, names = nodes | others, names | found.pop(others)
        if nodes:
            found[nodes] = names
    return list(found.values())


def exchanged(model: ir.Model, listing: Listing, *, scores_alone: bool = False) -> bytes:
    """The file in memory, with the first two rows of every such list in each other's places: what is made of the list changes as its order
    does. scores_alone: the scores by which a TopK sorts, not its indices.  Weights in other files stay there."""
    parts, graph = messages(model), onnx.GraphProto()
    graph.CopyFrom(parts.graph)
    _exchange(graph, listing, 1 if scores_alone else 2)
    return bytes_of(Messages(parts.head, graph, parts.tensors))


def _lists(domain: str, kind: str, in_order: int, listing: Listing) -> bool:
    by_score = {BOXES: False, INDICES: bool(in_order)}
    return domain in OURS and by_score.get(kind) is listing.value


def _exchange(graph: onnx.GraphProto, listing: Listing, outputs: int) -> None:
    """In place, in subgraphs, too. outputs: how many of a node's."""
    made = list[onnx.NodeProto]()
    for node in graph.node:
        said = {attribute.name: attribute for attribute in node.attribute}
        for attribute in node.attribute:
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                _exchange(inner, listing, outputs)
        made.append(node)
        if _lists(node.domain, node.op_type, said["sorted"].i if "sorted" in said else 1, listing):
            axis = 0 if node.op_type == BOXES else said["axis"].i if "axis" in said else -1
            for position, name in enumerate(node.output[:outputs]):
                if name:
                    node.output[position] = f"{name}/listed"
                    made += _first_two_exchanged(f"{name}/listed", name, axis)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in made]
    del graph.node[:]
    graph.node.extend(copies)


def _first_two_exchanged(given: str, made: str, axis: int) -> Iterator[onnx.NodeProto]:
    for word, start, end in (("second", 1, 2), ("first", 0, 1), ("rest", 2, np.iinfo(np.int64).max)):
        names = [f"{made}/{word}/{what}" for what in ("start", "end", "axis")]
        for name, number in zip(names, (start, end, axis), strict=True):
            yield helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array([number], np.int64)))
        yield helper.make_node("Slice", [given, *names], [f"{made}/{word}"])
    yield helper.make_node("Concat", [f"{made}/{word}" for word in ("second", "first", "rest")], [made], axis=axis)
