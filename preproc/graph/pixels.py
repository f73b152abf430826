"""The pixel as the quantized tensor: in place of a cast, a normalization and a QuantizeLinear, nothing.

Where a QuantizeLinear makes of each grey level the level itself (grid.py), whoever reads the quantized numbers may as well read the pixels.
Of int8, which has the level - 128, the reader is a DequantizeLinear, (q - zero) scale, whose zero point takes up the 128.
"""

import numpy as np
import onnx_ir as ir

from ..errors import NotFoldableError
from ..steps import Sides
from .builder import Builder
from .constants import OURS, attribute, constant
from .first_convolutions import replace_input
from .grid import CARRIED, GRIDS, Grid, Landing, land
from .picture import Picture
from .rules import paddings
from .unread import drop

MOVED = frozenset(("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Slice", "Gather"))
"""Operators that hand int8 on as they would uint8, of what they read first."""

FEWEST = 100
"""Levels of 256 that a quantization should tell apart. One of int8 around 0, of values that are never negative, leaves 128."""


def quantizes(picture: Picture, channels: int, size: Sides = (None, None)) -> bool:
    """Whether a model rounds its picture to whole numbers, or takes it as such."""
    landing = land(picture, channels, size)
    return bool(landing.grids or landing.taken or landing.dynamic)


def quantize_pixels(picture: Picture, channels: int, size: Sides = (None, None)) -> tuple[str, str]:
    """Makes the pixels `picture`, uint8, or grey levels behind resizes and crops that are whole, the quantized tensor, in place; returns
    how, for people, and the tensor's name.

    channels: of the pixels.  size: (height, width), where the graph leaves them free. Raises NotFoldableError with the reason, and leaves
    the graph as it is, where any of the 256 levels of a channel becomes another number, or something else reads the pixels.
    """
    if picture.value.dtype == ir.DataType.UINT16:
        raise NotFoldableError("the pixels are uint16, of more levels than 8 bits hold", name="fold-quantized-grid")
    landing = land(picture, channels, size)
    landing.check()
    for grid in landing.grids:
        _readers(grid)
    filling = _filling(landing)
    levels = picture.value if picture.value.dtype == ir.DataType.UINT8 else _levels(landing.graph, picture.value)
    now = {picture.value: levels}
    for node in landing.nodes:
        read = [(index, now[source]) for index, source in enumerate(node.inputs) if source is not None and source in now]
        if node.op_type not in CARRIED or node.op_type == "Pad":
            now[node.outputs[0]] = _beside(landing, node, read[0][1], filling) if node.op_type == "Pad" else read[0][1]
            continue
        for index, source in read:
            node.replace_input_with(index, source)
        if node.op_type != "Shape":
            for made in node.outputs:
                made.dtype = ir.DataType.UINT8
                now[made] = made
    for grid in landing.grids:
        _hand_over(landing, grid, now[grid.node.inputs[0]])  # type: ignore[index]
    for node in reversed(landing.nodes):
        for made in node.outputs:
            drop(made)
    names = ", ".join(grid.name for grid in landing.grids)
    return f"each of the 256 levels of each channel is the number that {names} would make of it", str(levels.name)


def blurred(picture: Picture, channels: int, size: Sides = (None, None)) -> list[str]:
    """Where a first quantization tells few of the pixels' 256 levels apart: it was made for values of another range."""
    told = []
    for grid in land(picture, channels, size).grids:
        left, channel = min((len(np.unique(numbers)), at) for at, numbers in zip(grid.channel, grid.numbers(), strict=True) if at >= 0)
        if left < FEWEST:
            what = f"{left} of the 256 levels of channel {channel}"
            told.append(f"{grid.name} tells {what} apart: was it calibrated with the values that these steps make?")
    return told


def _levels(graph: ir.Graph, value: ir.Value) -> ir.Value:
    """Whole grey levels in floats, as uint8."""
    node, name = value.producer(), f"{value.name}/levels"
    assert node is not None
    made = ir.Value(name=name, type=ir.TensorType(ir.DataType.UINT8))
    graph.insert_after(node, ir.node("Cast", inputs=[value], attributes={"to": ir.DataType.UINT8}, outputs=[made], name=name))
    return made


def _readers(grid: Grid) -> tuple[list[ir.Value], list[ir.Node]]:
    """Of int8: the values that are moved quantized numbers, and what dequantizes them. Raises NotFoldableError where whoever reads them
    would notice that they are pixels."""
    numbers = grid.node.outputs[0]
    if numbers.is_graph_output():
        raise NotFoldableError(f"the model returns its quantized input {numbers.name}", name="fold-quantized-grid")
    moved, readers = list[ir.Value](), list[ir.Node]()
    waiting = [numbers] if GRIDS[grid.dtype] else []
    while waiting:
        value = waiting.pop()
        for node, index in value.uses():
            if node.op_type in MOVED and index == 0 and node.domain in OURS and not node.outputs[0].is_graph_output():
                moved.append(node.outputs[0])
                waiting.append(node.outputs[0])
            elif node.op_type == "DequantizeLinear" and index == 0:
                readers.append(node)
                if _zero(node) is not None:
                    constant(_zero(node))
            else:
                told = f"{node.op_type} {node.name or node.outputs[0].name} reads the picture as {grid.dtype}, which pixels are not"
                raise NotFoldableError(f"{told}: no zero point there takes up the 128 between them", name="fold-quantized-grid")
    return moved, readers


def _zero(node: ir.Node) -> ir.Value | None:
    """The zero point of a DequantizeLinear."""
    return node.inputs[2] if len(node.inputs) > 2 else None


def _filling(landing: Landing) -> int | None:
    """What stands in a channel that is the same everywhere, as a pixel; None where there is none."""
    padded = [node for node in landing.nodes if node.op_type == "Pad"]
    found = {int(number) - GRIDS[grid.dtype] for grid in landing.grids for number in grid.constant()}
    if len(padded) > 1 or len(found) > 1 or any("pads" in node.attributes for node in padded):
        raise NotFoldableError("the picture is padded in several ways before it is quantized", name="fold-quantized-grid")
    return next(iter(found), None)


def _beside(landing: Landing, pad: ir.Node, levels: ir.Value, filling: int | None) -> ir.Value:
    """What `pad` made, of uint8: channels that hold `filling` beside the levels, one of which tells how large they are. ONNX Runtime's CUDA
    provider pads no uint8, but has all of these operators for it (tests/cuda_kernels.json)."""
    pads, _ = paddings(landing.tracked, pad)
    axis = next(at for at, both in enumerate(pads) if any(both))
    name = str(pad.outputs[0].name)
    b = Builder(ir.DataType.UINT8, 0, opset=landing.graph.opset_imports.get("", 0), prefix=name)
    shape = b.add("Shape", b.add("Slice", levels, *(np.array([number], np.int64) for number in (0, 1, axis))))

    def channels(count: int) -> list[ir.Value]:
        alike = np.full([count if at == axis else 1 for at in range(len(pads))], filling, np.uint8)
        return [b.add("Expand", alike, shape)] if count else []

    before, behind = map(channels, pads[axis])
    made = b.add("Concat", *before, levels, *behind, axis=axis)
    made.type = ir.TensorType(ir.DataType.UINT8)
    pad.outputs[0].name, made.name = f"{name}/floats", name  # the one goes, whose name is known
    for value in b.constants:
        landing.graph.register_initializer(value)
    landing.graph.insert_before(pad, b.nodes)
    return made


def _hand_over(landing: Landing, grid: Grid, pixels: ir.Value) -> None:
    """To whoever reads the quantized numbers."""
    moved, readers = _readers(grid)
    for node, index in tuple(grid.node.outputs[0].uses()):
        node.replace_input_with(index, pixels)
    drop(grid.node.outputs[0])
    for value in moved:
        value.dtype = ir.DataType.UINT8
    for node in readers:
        zero = _zero(node)
        known = np.zeros((), np.int64) if zero is None else constant(zero).astype(np.int64)
        replace_input(landing.graph, node, 2, (known - GRIDS[grid.dtype]).astype(np.uint8))
    for node, _ in tuple(pixels.uses()):
        if node.op_type == "DequantizeLinear":
            _in_front(landing, node)


def _in_front(landing: Landing, dequantizing: ir.Node) -> None:
    """Dequantizes pixels in front of the Transpose that they come through, where a convolution in groups reads them. OpenVINO 2026.4's
    compiler ends the process, by SIGSEGV, of one that reads uint8 with a zero point behind a Transpose of these, and is quantized again."""
    moved, made = dequantizing.inputs[0], dequantizing.outputs[0]
    turning = None if moved is None else moved.producer()
    grouped = any(node.op_type == "Conv" and attribute(node, "group", 1) > 1 for node, _ in made.uses())
    if (
        moved is None
        or turning is None
        or turning.op_type != "Transpose"
        or not grouped
        or len(moved.uses()) > 1
        or _is_along(dequantizing)
    ):
        return
    value = ir.Value(name=made.name, type=made.type)
    inputs = [turning.inputs[0], *dequantizing.inputs[1:]]
    again = ir.Node("", "DequantizeLinear", inputs, dequantizing.attributes.values(), outputs=[value], name=dequantizing.name)
    landing.graph.insert_before(turning, again)
    turning.replace_input_with(0, value)
    for node, index in tuple(made.uses()):
        node.replace_input_with(index, moved)
    moved.dtype = ir.DataType.FLOAT
    landing.graph.remove(dequantizing, safe=True)


def _is_along(dequantizing: ir.Node) -> bool:
    """Whether it has a scale for each place along an axis."""
    return dequantizing.inputs[1] is None or constant(dequantizing.inputs[1]).size > 1
