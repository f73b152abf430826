"""The first quantization of a picture: on which grid its grey levels land.

A QuantizeLinear makes round(x / scale) + zero of what reaches it, half to even, saturated (ONNX, operator QuantizeLinear). Behind an affine
map of each channel this is round(slope level + start): where it is the level itself for all 256 of them, the pixel is the quantized number.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import NotFoldableError
from ..folding import Tracked, concatenate
from ..steps import Sides
from .constants import attribute, constant
from .moves import MOVES
from .picture import Picture
from .rules import AFFINE, paddings
from .walk import Walk

Array = NDArray[np.float64]

LEVELS = np.arange(256)
TIE = 1 / 1024
"""How near to a tie a level may come: float32 computes no quantized number that far from what it is, in a few operations."""
GRIDS = {ir.DataType.UINT8: 0, ir.DataType.INT8: -128}
"""By the dtype of the quantized numbers: what the level 0 is where they are the pixels."""
CARRIED = frozenset((*MOVES, "Split", "Shape", "Pad"))
"""Operators that do the same to whole numbers. Those of the arithmetic, and casts, go."""


@dataclass(frozen=True)
class Grid:
    """What a QuantizeLinear makes of the picture's numbers, J of which are told apart.

    node: the QuantizeLinear.  dtype: of the quantized numbers.  channel: (J,) of the picture; -1 for one that is the same everywhere.
    slope, start: (J,) quantized numbers, before they are rounded and saturated, are slope * level + start.
    zero: (J,) the level whose value is 0; NaN where there is no level.
    """

    node: ir.Node
    dtype: ir.DataType
    channel: NDArray[np.int64]
    slope: Array
    start: Array
    zero: Array

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the largest quantized number."""
        info = np.iinfo(self.dtype.numpy())
        return int(info.min), int(info.max)

    def numbers(self, nudge: float = 0.0) -> Array:
        """(J, 256) the quantized number of each level. nudge: what is added before they are rounded."""
        exact = self.slope[:, None] * LEVELS + self.start[:, None]
        return np.clip(np.rint(exact + nudge), *self.limits)

    def check(self) -> None:
        """Raises NotFoldableError unless each level of each channel becomes itself, or itself - 128 of int8: with how far which is off."""
        name = self.node.name or self.node.outputs[0].name
        if self.dtype not in GRIDS:
            raise NotFoldableError(f"{name} quantizes the picture to {self.dtype}, not to 8 bits", name="fold-quantized-grid")
        varies = self.channel >= 0
        wanted = LEVELS + GRIDS[self.dtype]
        low, high = self.numbers(-TIE)[varies], self.numbers(TIE)[varies]
        off = np.maximum(np.abs(low - wanted), np.abs(high - wanted))
        if not off.any():
            return
        row, level = np.unravel_index(np.argmax(off), off.shape)
        found = {int(low[row, level]), int(high[row, level])}
        told = f"level {level} of channel {self.channel[varies][row]} becomes {' or '.join(map(str, sorted(found)))}"
        tie = ", for it lies on a tie" if len(found) > 1 else ""
        raise NotFoldableError(
            f"the pixel is not the number that {name} makes of it: {told}{tie}, not {wanted[level]}, {int(off[row, level])} off; "
            f"{int(off.any(axis=0).sum())} of 256 levels differ",
            name="fold-quantized-grid",
        )

    def constant(self) -> Array:
        """The quantized numbers of what is the same everywhere."""
        return np.asarray(self.numbers()[self.channel < 0, 0])


class Landing(Walk):
    """The way from a picture to its first quantizations. nodes: those on it, in order.  grids: where it ends."""

    def __init__(self, picture: Picture, channels: int, size: Sides) -> None:
        super().__init__(picture, channels, size)
        self.nodes, self.grids = list[ir.Node](), list[Grid]()

    def check(self) -> None:
        """Raises NotFoldableError if anything else reads the picture, or the quantized numbers are not its levels."""
        if self.refusals:
            raise self.refusals[0]
        if not self.grids:
            raise NotFoldableError("nothing quantizes the input", name="fold-quantized-grid")
        for grid in self.grids:
            grid.check()

    def _visit(self, node: ir.Node) -> None:
        if node.graph is not self.graph:
            raise NotFoldableError("a subgraph reads the picture before it is quantized", name="fold-quantized-grid")
        if node.op_type == "QuantizeLinear" and node.domain in ("", "ai.onnx", "com.microsoft"):
            self.grids.append(_grid(node, self.tracked.source(node)))
            return
        if node.op_type not in CARRIED | AFFINE.keys():
            raise NotFoldableError("it reads the picture before it is quantized", name="fold-quantized-grid")
        if node.op_type == "Pad" and node.domain in ("", "ai.onnx"):
            self.tracked[node.outputs[0]] = _padded(self.tracked.source(node), *paddings(self.tracked, node))
        else:
            super()._visit(node)
        passed = [self.tracked[value] for value in (*node.inputs, *node.outputs) if value is not None and value in self.tracked]
        if node.op_type in AFFINE and any(each.shape != passed[0].shape for each in passed):
            raise NotFoldableError("it repeats the picture before it is quantized", name="fold-quantized-grid")
        if node.op_type in AFFINE and sum(value in self.tracked for value in node.inputs) > 1:
            raise NotFoldableError("it adds the picture to itself before it is quantized", name="fold-quantized-grid")
        self.nodes.append(node)


def land(picture: Picture, channels: int, size: Sides = (None, None)) -> Landing:
    """What the graph does to the picture before it quantizes it. size: (height, width), where the graph leaves them free."""
    landing = Landing(picture, channels, size)
    landing.walk()
    return landing


def _grid(node: ir.Node, source: Tracked) -> Grid:
    """Raises NotFoldableError where a scale is computed, or there is one for each block."""
    if attribute(node, "block_size", 0):
        raise NotFoldableError("it quantizes blocks", name="fold-quantized-grid")
    scale = constant(node.inputs[1]).astype(np.float64)
    given = node.inputs[2] if len(node.inputs) > 2 else None
    zero = None if given is None else constant(given)
    told = attribute(node, "output_dtype", 0) or ir.DataType.UINT8
    dtype = ir.DataType(told) if zero is None or given is None else ir.DataType.from_numpy(zero.dtype)
    before = source.over(_beside(node, scale, source.rank))
    after = before if zero is None else before.plus(_beside(node, zero.astype(np.float64), source.rank))
    places = np.broadcast_arrays(before.places, after.places)
    valued, slots = (each.slots.take(at.reshape(-1)) for each, at in zip((before, after), places, strict=True))
    level = np.divide(-valued.offset, valued.scale, where=valued.scale != 0, out=np.full(len(valued), np.nan))
    channel = np.where(slots.scale != 0, slots.channel, -1)
    rows = np.unique(np.stack([channel, slots.scale, slots.offset, level], axis=1), axis=0)
    return Grid(node, dtype, rows[:, 0].astype(np.int64), *rows[:, 1:].T)


def _beside(node: ir.Node, values: NDArray[Any], rank: int) -> NDArray[Any]:
    """A scale or zero point beside what is quantized: a number, or one for each place on an axis."""
    if values.size == 1:
        return values.reshape(())
    axis = attribute(node, "axis", 1) % rank
    return values.reshape([-1 if at == axis else 1 for at in range(rank)])


def _padded(source: Tracked, pads: list[tuple[int, int]], value: float | None) -> Tracked:
    """With channels that are the same everywhere, as a fold appends one: numbers of no level."""
    axis = next((at for at, pad in enumerate(pads) if any(pad) and not source.is_plain(at)), None)
    if value is None or axis is None or any(any(pad) for at, pad in enumerate(pads) if at != axis):
        raise NotFoldableError("the picture is padded before it is quantized", name="fold-quantized-grid")
    before, behind = pads[axis]
    parts = [*_constants(source, axis, before, value), source, *_constants(source, axis, behind, value)]
    return concatenate(parts, axis)


def _constants(source: Tracked, axis: int, count: int, value: float) -> list[Tracked]:
    """So many channels of one value, beside the source's; none for 0."""
    if not count:
        return []
    shape = tuple(count if at == axis else side for at, side in enumerate(source.shape))
    sides = [count if at == axis else 1 for at in range(source.rank)]
    slots = source.slots.take(np.array([0])).then(0.0, value)
    return [replace(source, shape=shape, slots=slots, places=np.zeros(sides, np.int64))]
