"""Which outputs the picture's values reach."""

from collections.abc import Iterator, Sequence

import onnx_ir as ir

SIDES_ONLY = ("Shape", "Size")
"""Operators that read how large a value is, and none of its numbers."""


def untouched(model: ir.Model, picture: ir.Value) -> frozenset[str]:
    """The names of the outputs that no value of the picture goes into, whatever its size does: constants, anchors."""
    reached = {picture}
    for node in model.graph:
        if node.op_type not in SIDES_ONLY and any(value in reached for value in _read(node)):
            reached.update(node.outputs)
    return frozenset(str(value.name) for value in model.graph.outputs if value not in reached)


def _read(node: ir.Node) -> Iterator[ir.Value]:
    """What a node reads, in its subgraphs too."""
    yield from (value for value in node.inputs if value is not None)
    for attribute in node.attributes.values():
        for inner in _graphs(attribute):
            yield from inner.outputs
            for further in inner:
                yield from _read(further)


def _graphs(attribute: ir.Attr) -> Sequence[ir.Graph]:
    if attribute.type == ir.AttributeType.GRAPH:
        return [attribute.as_graph()]
    return attribute.as_graphs() if attribute.type == ir.AttributeType.GRAPHS else []
