"""The first convolutions and matrix products of a graph: what the fold has to know of them, where their weights lie, and how they are
written."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import NotFoldableError
from ..folding import Reader, Trail
from .constants import attribute, constant
from .moves import Tracks
from .unread import drop

Place = tuple[ir.Node, int]
"""An input of a node."""


@dataclass(frozen=True)
class First:
    """A node that reads the picture. graph: the model's, even if the node is in a subgraph.

    weight: where it reads its weight.  bias: where a bias is read, or may be; None if there is no place for one.
    """

    node: ir.Node
    reader: Reader
    graph: ir.Graph
    weight: Place
    bias: Place | None

    @property
    def constants(self) -> list[ir.Value]:
        """What it holds, as it is now."""
        return [value for value in map(_at, (self.weight, self.bias)) if value is not None]

    def weights(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Weight (out, in, *kernel) and bias (out,), None without one. Raises NotFoldableError."""
        weight, bias = constant(_at(self.weight)), None if self.reader.bias is None else constant(_at(self.bias)).reshape(-1)
        return weight.T if self.reader.turned else weight, bias

    def put(self, weight: NDArray[Any] | None, bias: NDArray[Any] | None) -> None:
        """New initializers in place of the old ones, which stay where others read them; None: as it is."""
        if weight is not None:
            replace_input(self.graph, *self.weight, weight.T if self.reader.turned else weight)
        if bias is not None and self.bias is not None:
            old = _at(self.bias)
            replace_input(self.graph, *self.bias, bias if old is None else bias.reshape(constant(old).shape))


def _at(place: Place | None) -> ir.Value | None:
    return place[0].inputs[place[1]] if place is not None and place[1] < len(place[0].inputs) else None


def _convolution(node: ir.Node, tracks: Tracks, channels: int, graph: ir.Graph) -> First:
    """Raises NotFoldableError for a convolution that the fold cannot follow, as the others do."""
    if node.inputs[0] not in tracks:
        raise NotFoldableError("the input is used as the weight of a convolution", name="fold-computed-value")
    shape, source = constant(node.inputs[1]).shape, tracks.source(node)
    kernel, place = shape[2:], (node, 2)
    bias = _at(place)
    if len(shape) != source.rank or (bias is not None and constant(bias).shape != shape[:1]):
        raise NotFoldableError("the first convolution's weight and bias are not those of pictures", name="fold-not-convolution")
    automatic = attribute(node, "auto_pad", "NOTSET")
    pads = attribute(node, "pads", [0, 0])
    pads_zero = max(kernel) > 1 if automatic in ("SAME_UPPER", "SAME_LOWER") else automatic == "NOTSET" and max(pads) > 0
    reader = Reader.of(
        source,
        weight=str(_at((node, 1)).name),  # type: ignore[union-attr]
        bias=None if bias is None else bias.name,
        channels=channels,
        groups=attribute(node, "group", 1),
        pads_zero=pads_zero,
    )
    return First(node, reader, graph, (node, 1), place)


def _gemm(node: ir.Node, tracks: Tracks, channels: int, graph: ir.Graph) -> First:
    """x @ weight + bias, or x @ weight.T + bias."""
    place: Place | None = (node, 2)
    bias, plain = _at(place), attribute(node, "alpha", 1.0) == attribute(node, "beta", 1.0) == 1.0
    if attribute(node, "transA", 0) or node.inputs[0] not in tracks:
        raise Trail.no_convolution("Gemm")
    weight = constant(node.inputs[1])
    turned = not attribute(node, "transB", 0)
    fits = bias is None or constant(bias).size == weight.shape[1 if turned else 0] == constant(bias).shape[-1]
    return _product(node, tracks, channels, graph, place if plain and fits else None, weight=1, axis=1, turned=turned)


def _matmul(node: ir.Node, tracks: Tracks, channels: int, graph: ir.Graph) -> First:
    """x @ weight, or weight @ x, and what is added to that."""
    weight = 1 if node.inputs[0] in tracks else 0
    source, matrix = tracks[node.inputs[1 - weight]], constant(node.inputs[weight])  # type: ignore[index]
    if matrix.ndim != 2 or source.rank < 2:
        raise Trail.no_convolution("MatMul")
    axis = source.rank - (1 if weight else 2)
    return _product(
        node, tracks, channels, graph, _added(node, matrix.shape[weight], weight), weight=weight, axis=axis, turned=bool(weight)
    )


def _added(node: ir.Node, count: int, weight: int) -> Place | None:
    """Where a constant is added to all that a MatMul makes, one number per column of its weight, or per row."""
    uses = tuple(node.outputs[0].uses())
    if len(uses) != 1 or node.outputs[0].is_graph_output() or uses[0].node.op_type != "Add" or uses[0].node.domain not in ("", "ai.onnx"):
        return None
    place = uses[0].node, 1 - uses[0].idx
    try:
        shape = constant(_at(place)).shape
    except NotFoldableError:
        return None
    alone = (*[1] * (len(shape) - 1), count) if weight else (*[1] * (len(shape) - 2), count, 1)
    return place if shape == alone else None


def _product(
    node: ir.Node, tracks: Tracks, channels: int, graph: ir.Graph, bias: Place | None, *, weight: int, axis: int, turned: bool
) -> First:
    held, matrix = _at(bias), _at((node, weight))
    reader = Reader.of(
        tracks[node.inputs[1 - weight]],  # type: ignore[index]
        weight=str(matrix.name),  # type: ignore[union-attr]
        bias=None if held is None else held.name,
        channels=channels,
        axis=axis,
        takes_bias=bias is not None,
        turned=turned,
    )
    return First(node, reader, graph, (node, weight), bias)


FIRST: dict[str, Callable[[ir.Node, Tracks, int, ir.Graph], First]] = {"Conv": _convolution, "Gemm": _gemm, "MatMul": _matmul}


def replace_input(graph: ir.Graph, node: ir.Node, index: int, array: NDArray[Any]) -> None:
    """A new initializer of `graph` for one input of a node; the old one, and what made it, goes if nobody else reads it."""
    old = node.inputs[index] if index < len(node.inputs) else None
    name = f"preproc/{node.name or node.outputs[0].name}/bias" if old is None else f"{old.name}"
    alone = old is not None and len(old.uses()) == 1 and graph.initializers.get(name) is old
    if old is not None and not alone:
        name += "/preproc"
    while name in graph.initializers and not alone:
        name += "+"
    value = ir.Value(name=name, const_value=ir.tensor(np.array(array, order="C"), name=name))
    value.shape, value.dtype = ir.Shape(array.shape), ir.DataType.from_numpy(array.dtype)
    if index >= len(node.inputs):
        node.resize_inputs(index + 1)
    node.replace_input_with(index, value)
    if old is not None:
        drop(old)
    graph.register_initializer(value)
