"""The pixel as the quantized tensor: in place of a cast, a normalization and a QuantizeLinear, nothing.

Where a QuantizeLinear makes of each grey level the level itself (grid.py), whoever reads the quantized numbers may as well read the pixels.
Of int8, which has the level - 128, the reader is a DequantizeLinear, (q - zero) scale, whose zero point takes up the 128.
"""

import numpy as np
import onnx_ir as ir

from ..errors import NotFoldableError
from ..steps import Sides
from .constants import constant
from .first_convolutions import replace_input
from .grid import CARRIED, GRIDS, Grid, Landing, land
from .picture import Picture
from .unread import drop


def quantize_pixels(picture: Picture, channels: int, size: Sides = (None, None)) -> tuple[str, ...]:
    """Makes the pixels `picture`, uint8, the quantized tensor, in place; returns the names of the QuantizeLinear that went.

    channels: of the pixels.  size: (height, width), where the graph leaves them free. Raises NotFoldableError with the reason, and leaves
    the graph as it is, where any of the 256 levels of a channel becomes another number, or something else reads the pixels.
    """
    if picture.value.dtype != ir.DataType.UINT8:
        raise NotFoldableError(f"the pixels are {picture.value.dtype}, not uint8", name="fold-quantized-grid")
    landing = land(picture, channels, size)
    landing.check()
    for grid in landing.grids:
        _check_readers(grid)
    filling = _filling(landing)
    now = {picture.value: picture.value}
    for node in landing.nodes:
        read = [(index, now[source]) for index, source in enumerate(node.inputs) if source is not None and source in now]
        if node.op_type not in CARRIED:
            now[node.outputs[0]] = read[0][1]
            continue
        for index, source in read:
            node.replace_input_with(index, source)
        if node.op_type == "Pad":
            replace_input(landing.graph, node, 2, np.array(filling, np.uint8))
        if node.op_type != "Shape":
            for made in node.outputs:
                made.dtype = ir.DataType.UINT8
                now[made] = made
    for grid in landing.grids:
        _hand_over(landing, grid, now[grid.node.inputs[0]])  # type: ignore[index]
    for node in reversed(landing.nodes):
        for made in node.outputs:
            drop(made)
    return tuple(str(grid.node.name) for grid in landing.grids)


def _check_readers(grid: Grid) -> None:
    """Raises NotFoldableError where whoever reads the quantized numbers would notice."""
    numbers = grid.node.outputs[0]
    if numbers.is_graph_output():
        raise NotFoldableError(f"the model returns its quantized input {numbers.name}", name="fold-quantized-grid")
    for node, index in numbers.uses() if GRIDS[grid.dtype] else ():
        if node.op_type != "DequantizeLinear" or index != 0:
            told = f"{node.op_type} {node.name or node.outputs[0].name} reads the picture as {grid.dtype}, which pixels are not"
            raise NotFoldableError(f"{told}: no zero point there takes up the 128 between them", name="fold-quantized-grid")
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            constant(node.inputs[2])


def _filling(landing: Landing) -> int | None:
    """What stands in a channel that is the same everywhere, as a pixel; None where there is none."""
    padded = [node for node in landing.nodes if node.op_type == "Pad"]
    found = {int(number) - GRIDS[grid.dtype] for grid in landing.grids for number in grid.constant()}
    if len(padded) > 1 or len(found) > 1 or any("pads" in node.attributes for node in padded):
        raise NotFoldableError("the picture is padded in several ways before it is quantized", name="fold-quantized-grid")
    return next(iter(found), None)


def _hand_over(landing: Landing, grid: Grid, pixels: ir.Value) -> None:
    numbers = grid.node.outputs[0]
    users = [node for node, _ in numbers.uses()]
    for node, index in tuple(numbers.uses()):
        node.replace_input_with(index, pixels)
    drop(numbers)
    for node in users if GRIDS[grid.dtype] else ():
        zero = node.inputs[2] if len(node.inputs) > 2 else None
        known = np.zeros((), np.int64) if zero is None else constant(zero).astype(np.int64)
        replace_input(landing.graph, node, 2, (known - GRIDS[grid.dtype]).astype(np.uint8))
