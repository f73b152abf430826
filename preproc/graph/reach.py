"""Which outputs the picture's values reach, and which nodes an output is made of."""

from collections.abc import Callable, Iterator

import onnx_ir as ir

from .subgraphs import subgraphs

SIDES_ONLY = ("Shape", "Size")
"""Operators that read how large a value is, and none of its numbers."""


def untouched(model: ir.Model, picture: ir.Value) -> frozenset[str]:
    """The names of the outputs that no value of the picture goes into, whatever its size does: constants, anchors."""
    reached = {picture}
    for node in model.graph:
        if node.op_type not in SIDES_ONLY and any(value in reached for value in _read(node)):
            reached.update(node.outputs)
    return frozenset(str(value.name) for value in model.graph.outputs if value not in reached)


def made_of(model: ir.Model, wanted: Callable[[ir.Node], bool]) -> dict[str, frozenset[ir.Node]]:
    """By output, the wanted nodes whose values go into it; of those in subgraphs, the node that has these."""
    reached: dict[ir.Value, frozenset[ir.Node]] = {}
    for node in model.graph:
        if node.op_type in SIDES_ONLY:
            continue
        before = [reached[value] for value in _read(node) if value in reached]
        own = [frozenset({node})] if any(wanted(inner) for inner in _with_inner(node)) else []
        if found := frozenset[ir.Node]().union(*before, *own):
            reached |= dict.fromkeys(node.outputs, found)
    return {str(value.name): reached.get(value, frozenset()) for value in model.graph.outputs}


def _read(node: ir.Node) -> Iterator[ir.Value]:
    """What a node reads, in its subgraphs too."""
    yield from (value for value in node.inputs if value is not None)
    for inner in subgraphs(node):
        yield from inner.outputs
        for further in inner:
            yield from _read(further)


def _with_inner(node: ir.Node) -> Iterator[ir.Node]:
    yield node
    for inner in subgraphs(node):
        for further in inner:
            yield from _with_inner(further)
