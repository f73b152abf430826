"""Following a picture through a graph, from the input to the convolutions that read it."""

from dataclasses import replace

import onnx_ir as ir

from ..errors import NotFoldableError
from ..folding import Trail
from ..steps import Sides
from .constants import OURS
from .first_convolutions import FIRST, First
from .moves import Tracks, shape_of, split, start
from .picture import FLOATS, RAW, Picture
from .rules import RULES, dequantized

EIGHT = (ir.DataType.UINT8, ir.DataType.INT8)


def first_convolutions(picture: Picture, channels: int, size: Sides = (None, None)) -> list[First]:
    """The convolutions, and products with a matrix, that read the values of the picture. Raises NotFoldableError if anything else does."""
    walk = follow(picture, channels, size)
    walk.check()
    return walk.found


def follow(picture: Picture, channels: int, size: Sides = (None, None)) -> "Walk":
    """What the graph does to the picture before its first linear operations. size: (height, width), where the graph leaves them free."""
    walk = Walk(picture, channels, size)
    walk.walk()
    return walk


class Walk(Trail):
    """Translates ONNX's operators into Tracked's, from the input to the convolutions. strangers: the nodes of other domains on the way.
    floats: the dtypes that the picture's values have on it."""

    def __init__(self, picture: Picture, channels: int, size: Sides) -> None:
        super().__init__()
        self.tracked: Tracks = Tracks()
        producer = picture.value.producer()  # of pixels that were resized and cropped
        graph = picture.value.graph if producer is None else producer.graph
        if not isinstance(graph, ir.Graph):
            raise NotFoldableError("the input belongs to no graph", name="fold-not-convolution")
        self.graph = graph
        self.dtype, self.found, self.strangers = picture.value.dtype, list[First](), list[ir.Node]()
        self.floats = {self.dtype} & set(FLOATS)
        self.channels = channels
        for inner in graph.subgraphs():  # their nodes are of the same opsets, which nothing says there
            inner.opset_imports.update(graph.opset_imports)
        self.tracked[picture.value] = start(picture.layout, picture.value, channels, size)

    def walk(self) -> None:
        """Visits every node that reads what is tracked, those of subgraphs, which may read the picture as well, too."""
        for node in self.graph.all_nodes():
            if any(value in self.tracked for value in node.inputs if value is not None):
                self.visit(node)
        if self.tracked.sizes:  # nobody tells what is made of the number of channels
            self.found = [replace(item, reader=replace(item.reader, direct=False)) for item in self.found]
        if any(value.is_graph_output() for value in self.tracked):
            self.refusals.append(NotFoldableError("the model, or a subgraph in it, returns its input", name="fold-not-convolution"))

    def visit(self, node: ir.Node) -> None:
        if not node.outputs:
            self.refusals.append(self.no_convolution(f"{node.op_type} {node.name}"))
            return
        try:
            self._visit(node)
        except NotFoldableError as error:
            self.refuse(error, f"at {node.op_type} {node.name or node.outputs[0].name}")
        except Exception as error:  # noqa: BLE001 - a node that is not as ONNX says, a step of 0: whatever Python makes of it
            told = f"{node.op_type} {node.name or node.outputs[0].name} cannot be followed: {error}"
            self.refusals.append(NotFoldableError(told, name="fold-untraceable"))

    def forget_shapes(self) -> None:
        """What the graph declares of values that the picture makes with as many channels as it had."""
        for value in self.tracked:
            if value.producer() is not None:
                value.shape = None

    def _cast(self, to: ir.DataType) -> None:
        """From floats, or raw pixels, to floats: what is rounded there is without the fold, too. Raises NotFoldableError for others."""
        if to in FLOATS and (self.floats or self.dtype in RAW):
            self.floats.add(to)
        elif self.floats or to != self.dtype:
            raise NotFoldableError("the input is cast to another type before the first convolution", name="fold-dtype")

    def _visit(self, node: ir.Node) -> None:
        if node.domain not in OURS:
            self.strangers.append(node)
            raise self.no_convolution(f"{node.domain}::{node.op_type}")
        if node.op_type == "Shape":
            shape_of(self.tracked, node)
            return
        find = FIRST.get(node.op_type) if len(node.inputs) > 1 else None
        if find is not None:
            self.found.append(find(node, self.tracked, self.channels, self.graph))
            self.readers.append(self.found[-1].reader)
            return
        if node.op_type == "Split":
            self.tracked |= zip(node.outputs, split(self.tracked, node), strict=True)
            return
        whole = node.op_type == "DequantizeLinear" and self.dtype in EIGHT and not self.floats
        rule = dequantized if whole else RULES.get(node.op_type)
        if rule is None:
            raise self.no_convolution(node.op_type)
        if node.op_type == "Cast":
            self._cast(ir.DataType(node.attributes["to"].as_int()))
        self.tracked[node.outputs[0]] = rule(self.tracked, node)
