"""The first convolutions and matrix products of a graph: what the fold has to know of them, where their weights lie, and how they are
written."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import NotFoldableError
from ..folding import Cells, Reader, Side, Tracked, Trail, Window, is_free
from .beside import put_beside
from .constants import OURS, attribute, constant
from .moves import Tracks
from .unread import drop

Place = tuple[ir.Node, int]
"""An input of a node."""


@dataclass(frozen=True)
class First:
    """A node that reads the picture. graph: the model's, even if the node is in a subgraph.

    weight: where it reads its weight.  bias: where a bias is read, or may be; None if there is no place for one.
    axes: in which order the weight's have what it makes first, then what it sums over; none where the operator has an order of its own.
    sides: the weight's, in that order; -1 for what may become more.  makes: how many numbers a product makes of what it sums over.
    """

    node: ir.Node
    reader: Reader
    graph: ir.Graph
    weight: Place
    bias: Place | None
    axes: tuple[int, ...] = ()
    sides: tuple[int, ...] = ()
    makes: int = 0

    @property
    def constants(self) -> list[ir.Value]:
        """What it holds, as it is now."""
        return [value for value in map(_at, (self.weight, self.bias)) if value is not None]

    @property
    def made(self) -> int:
        """The axis of its weight that what it makes is along."""
        return self.axes[-2] if self.axes else 1 if self.reader.turned else 0

    @property
    def adding(self) -> ir.Node | None:
        """The node behind a product that adds its bias."""
        return self.bias[0] if self.bias is not None and self.bias[0] is not self.node else None

    def weights(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Weight (out, in, *kernel) and bias (out,), None without one. Raises NotFoldableError."""
        weight, bias = constant(_at(self.weight)), None if self.reader.bias is None else constant(_at(self.bias)).reshape(-1)
        if self.axes:
            slots = len(self.reader.slots)
            if weight.size != self.makes * slots:
                raise NotFoldableError(
                    f"a product with {self.reader.weight}, of the shape {weight.shape}, sums over "
                    f"{weight.size // max(self.makes, 1)} numbers, and the picture has {slots} there as far as it can be followed",
                    name="fold-untraceable",
                )
            return weight.transpose(self.axes).reshape(self.makes, slots), bias
        return self.reader.arranged(weight), bias

    def put(self, weight: NDArray[Any] | None, bias: NDArray[Any] | None, *, groups: int | None = None) -> None:
        """New initializers in place of the old ones, which stay where others read them; None: as it is. groups: those of the weight."""
        reader = self.reader if groups is None else replace(self.reader, groups=groups)
        if reader.groups != self.reader.groups:
            self.node.attributes["group"] = ir.AttrInt64("group", reader.groups)
        if weight is not None:
            turned = weight.reshape(self.sides).transpose(np.argsort(self.axes)) if self.axes else reader.arranged(weight)
            replace_input(self.graph, *self.weight, turned)
        if bias is not None and self.bias is not None:
            old = _at(self.bias)
            replace_input(self.graph, *self.bias, bias if old is None else bias.reshape(constant(old).shape))

    def put_on_cells(self, luma: NDArray[Any], shared: NDArray[Any], bias: NDArray[Any] | None, cells: Cells) -> None:
        """As Convolution's in folding. The second one reads what the first one reads, until they are given what there is, see Given."""
        if self.reader.window is not None:
            put_beside(self.node, self.graph, shared, cells.window(self.reader.window))
        self.put(luma, bias)


def _at(place: Place | None) -> ir.Value | None:
    return place[0].inputs[place[1]] if place is not None and place[1] < len(place[0].inputs) else None


def _convolution(node: ir.Node, tracks: Tracks, channels: int, graph: ir.Graph) -> First:
    """Raises NotFoldableError for a convolution that the fold cannot follow, as the others do.

    A transposed one writes each pixel times a kernel: between the pixels, and around them, it reads zeros, wherever a stride or a kernel
    leaves room for that. What it crops, and what it makes more, changes nothing in this.
    """
    if node.inputs[0] not in tracks:
        raise NotFoldableError("the input is used as the weight of a convolution", name="fold-computed-value")
    transposed = node.op_type == "ConvTranspose"
    source, shape = tracks.source(node), constant(node.inputs[1]).shape
    kernel, groups, place = shape[2:], attribute(node, "group", 1), (node, 2)
    bias, made = _at(place), (shape[1] * groups if transposed else shape[0],)
    if len(shape) != source.rank or (bias is not None and constant(bias).shape != made):
        raise NotFoldableError("the first convolution's weight and bias are not those of pictures", name="fold-not-convolution")
    automatic = attribute(node, "auto_pad", "NOTSET")
    if transposed:
        pads_zero = max(*kernel, *attribute(node, "strides", [1]), *(2 * side for side in attribute(node, "output_padding", [0]))) > 1
    elif automatic in ("SAME_UPPER", "SAME_LOWER"):
        pads_zero = max(kernel) > 1
    else:
        pads_zero = automatic == "NOTSET" and max(attribute(node, "pads", [0])) > 0
    reader = Reader.of(
        source,
        weight=str(_at((node, 1)).name),  # type: ignore[union-attr]
        bias=None if bias is None else bias.name,
        channels=channels,
        groups=groups,
        pads_zero=pads_zero,
        turned=transposed,
        window=None if transposed or len(kernel) != 2 else _window(node, kernel, source.shape[2:]),
    )
    return First(node, reader, graph, (node, 1), place)


def _window(node: ir.Node, kernel: Sequence[int], sides: Sequence[int]) -> Window | None:
    """How a convolution of pictures reads rows and columns, of so many. None where that depends on how many a free side will have, which
    SAME's padding does, but for strides of two, of which cells leave no rest."""
    strides, dilations = (attribute(node, name, [1, 1]) for name in ("strides", "dilations"))
    automatic, pads = attribute(node, "auto_pad", "NOTSET"), attribute(node, "pads", [0] * 4)
    found = []
    for axis, (size, stride, dilation, side) in enumerate(zip(kernel, strides, dilations, sides, strict=True)):
        before, behind = (pads[axis], pads[axis + 2]) if automatic == "NOTSET" else (0, 0)
        if automatic.startswith("SAME"):
            if is_free(side) and stride > 2:
                return None
            total = max((-(-side // stride) - 1) * stride + dilation * (size - 1) + 1 - side, 0)
            half = total // 2
            before, behind = (half, total - half) if automatic == "SAME_UPPER" else (total - half, half)
        found.append(Side(size, stride, before, behind, dilation))
    return Window(*found)


def _gemm(node: ir.Node, tracks: Tracks, channels: int, graph: ir.Graph) -> First:
    """x @ weight + bias, or x @ weight.T + bias."""
    place: Place | None = (node, 2)
    bias, plain = _at(place), attribute(node, "alpha", 1.0) == attribute(node, "beta", 1.0) == 1.0
    if attribute(node, "transA", 0) or node.inputs[0] not in tracks:
        raise Trail.no_convolution("Gemm")
    weight = constant(node.inputs[1])
    axes = (0, 1) if attribute(node, "transB", 0) else (1, 0)
    count = weight.shape[axes[0]]
    fits = bias is None or constant(bias).size == count == constant(bias).shape[-1]
    source, place = tracks[node.inputs[0]], place if plain and fits else None  # type: ignore[index]
    return _product(node, source, channels, graph, place, weight=1, axis=1, axes=axes, sides=(count, -1), makes=count)


def _matmul(node: ir.Node, tracks: Tracks, channels: int, graph: ir.Graph) -> First:
    """x @ weight, or weight @ x, and what is added to that."""
    weight = 1 if node.inputs[0] in tracks else 0
    source, matrix = tracks[node.inputs[1 - weight]], constant(node.inputs[weight])  # type: ignore[index]
    *front, rows, columns = matrix.shape if matrix.ndim > 1 else (0, 0, 0)
    if any(side != 1 for side in front) or source.rank < 2:
        raise Trail.no_convolution("MatMul")
    rank, count, last = len(front), columns if weight else rows, matrix.ndim - 1
    return _product(
        node,
        source,
        channels,
        graph,
        _added(node, count, 0 if weight else 1),
        weight=weight,
        axis=source.rank - (1 if weight else 2),
        axes=(*range(rank), *((last, rank) if weight else (rank, last))),
        sides=(*front, count, -1),
        makes=count,
    )


def _einsum(node: ir.Node, tracks: Tracks, channels: int, graph: ir.Graph) -> First:
    """A product of the picture and a constant, that sums over all axes that both have."""
    weight = 1 if node.inputs[0] in tracks else 0
    source, array = tracks[node.inputs[1 - weight]], constant(node.inputs[weight])  # type: ignore[index]
    terms, made = _letters(attribute(node, "equation", ""), [source.rank, array.ndim][:: 1 if weight else -1])
    read, held = terms[1 - weight], terms[weight]
    summed, outs = [letter for letter in read if letter not in made], [letter for letter in held if letter in made]
    if not summed or set(summed) != set(held) - set(outs) or set(outs) & set(read) or any(len(set(term)) < len(term) for term in terms):
        raise Trail.no_convolution("Einsum, which is no product with a matrix,")
    kept = [letter for letter in read if letter in made]
    turned = source.permute([read.index(letter) for letter in kept + summed])
    sides = {letter: array.shape[held.index(letter)] for letter in held}
    grows = next((letter for letter in summed if not source.is_plain(read.index(letter))), None)
    place = _added(node, sides[outs[0]], len(made) - 1 - made.index(outs[0])) if len(outs) == 1 else None
    flat = turned.reshape([*turned.shape[: len(kept)], math.prod(turned.shape[len(kept) :])])
    return _product(
        node,
        flat,
        channels,
        graph,
        place,
        weight=weight,
        axis=len(kept),
        axes=tuple(held.index(letter) for letter in outs + summed),
        sides=tuple(-1 if letter == grows else sides[letter] for letter in outs + summed),
        makes=math.prod(sides[letter] for letter in outs),
    )


def _letters(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Of each operand and of the result, one letter per axis."""
    given, arrow, made = equation.replace(" ", "").partition("->")
    if not arrow:
        made = "..." * ("..." in given) + "".join(sorted(letter for letter in set(given) - set(".,") if given.count(letter) == 1))
    dots = "".join(map(chr, range(0x3B1, 0x3B1 + max(ranks))))  # what ... stands for is counted from the end
    most = max((rank + 3 - len(term) for term, rank in zip(given.split(","), ranks, strict=True) if "..." in term), default=0)
    whole = [term.replace("...", dots[most - (rank + 3 - len(term)) : most]) for term, rank in zip(given.split(","), ranks, strict=True)]
    return whole, made.replace("...", dots[:most])


def _added(node: ir.Node, count: int, behind: int) -> Place | None:
    """Where a constant is added to all that a product makes, one number per row or column of its weight, with so many axes behind that."""
    uses = tuple(node.outputs[0].uses())
    if len(uses) != 1 or node.outputs[0].is_graph_output() or uses[0].node.op_type != "Add" or uses[0].node.domain not in OURS:
        return None
    place = uses[0].node, 1 - uses[0].idx
    try:
        shape = constant(_at(place)).shape
    except NotFoldableError:
        return None
    return place if shape == (*[1] * (len(shape) - 1 - behind), count, *[1] * behind) else None


def _product(
    node: ir.Node,
    source: Tracked,
    channels: int,
    graph: ir.Graph,
    bias: Place | None,
    *,
    weight: int,
    axis: int,
    axes: tuple[int, ...],
    sides: tuple[int, ...],
    makes: int,
) -> First:
    held, matrix = _at(bias), _at((node, weight))
    reader = Reader.of(
        source,
        weight=str(matrix.name),  # type: ignore[union-attr]
        bias=None if held is None else held.name,
        channels=channels,
        axis=axis,
        takes_bias=bias is not None,
    )
    return First(node, reader, graph, (node, weight), bias, axes, sides, makes)


FIRST: dict[str, Callable[[ir.Node, Tracks, int, ir.Graph], First]] = {
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Einsum": _einsum,
}


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
