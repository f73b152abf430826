"""The graphs inside a node: branches, a loop's body."""

from collections.abc import Iterator, Sequence

import onnx_ir as ir


def graphs_of(attribute: ir.Attr) -> Sequence[ir.Graph]:
    """Those that an attribute holds; none for one of numbers."""
    if attribute.type == ir.AttributeType.GRAPH:
        return [attribute.as_graph()]
    return attribute.as_graphs() if attribute.type == ir.AttributeType.GRAPHS else []


def subgraphs(node: ir.Node) -> Iterator[ir.Graph]:
    """Of all attributes of a node."""
    for attribute in node.attributes.values():
        yield from graphs_of(attribute)
