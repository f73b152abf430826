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
from .constants import OURS, attribute, constant
from .moves import MOVES
from .picture import Picture
from .rules import AFFINE, beside, paddings
from .walk import Walk

Array = NDArray[np.float64]

LEVELS = np.arange(256)
TIE = 1 / 1024
"""How near to a tie a level may come: float32 computes no quantized number that far from what it is, in a few operations."""
GRIDS = {ir.DataType.UINT8: 0, ir.DataType.INT8: -128}
"""By the dtype of the quantized numbers: what the level 0 is where they are the pixels."""
TAKING = frozenset(("DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"))
"""Operators that read whole numbers in place of floats, with a zero point as their third input."""
CARRIED = frozenset((*MOVES, "Split", "Shape", "Pad")) - {"SpaceToDepth"}
"""Operators that do the same to whole numbers, and for which runtimes have kernels of such. Those of the arithmetic, and casts, go."""


@dataclass(frozen=True)
class Grid:
    """What a QuantizeLinear makes of the picture's numbers, J of which are told apart; or how an operator that reads whole numbers takes
    them.

    node: the QuantizeLinear, or that operator.  scale: its scales, None without.  point: its zero points.
    dtype: of the quantized numbers.  channel: (J,) of the picture; -1 for one that is the same everywhere.
    slope, start: (J,) quantized numbers, before they are rounded and saturated, are slope * level + start.
    zero: (J,) the level whose value is 0; NaN where there is no level.
    """

    node: ir.Node
    scale: Array | None
    point: NDArray[np.int64]
    dtype: ir.DataType
    channel: NDArray[np.int64]
    slope: Array
    start: Array
    zero: Array

    @property
    def name(self) -> str:
        return str(self.node.name or self.node.outputs[0].name)

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
        if self.dtype not in GRIDS:
            raise NotFoldableError(f"{self.name} quantizes the picture to {self.dtype}, not to 8 bits", name="fold-quantized-grid")
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
            f"the pixel is not the number that {self.name} makes of it: {told}{tie}, not {wanted[level]}, {int(off[row, level])} off; "
            f"{int(off.any(axis=0).sum())} of 256 levels differ",
            name="fold-quantized-grid",
        )

    def told(self) -> dict[str, Any]:
        """For inspect, a number for each channel, in the unit of what the way starts with: `step` between two quantized numbers, `zero`
        whose value is 0, `low` and `high`, which the least and the largest quantized number stand for."""
        varies = self.slope != 0
        slope, start = self.slope[varies], self.start[varies]
        ends = np.sort((np.array(self.limits)[:, None] - start) / slope, axis=0)
        numbers = {"step": 1 / np.abs(slope), "zero": self.zero[varies], "low": ends[0], "high": ends[1]}
        scale = None if self.scale is None else [float(f"{number:.6g}") for number in self.scale]
        named = {
            "by": f"{self.node.op_type} {self.name}",
            "dtype": self.dtype.name.lower(),
            "scale": scale,
            "zero_point": self.point.tolist(),
        }
        each = {key: [float(f"{number:.6g}") for number in values] for key, values in numbers.items()}
        return named | {"channels": self.channel[varies].tolist()} | each

    def constant(self) -> Array:
        """The quantized numbers of what is the same everywhere."""
        return np.asarray(self.numbers()[self.channel < 0, 0])


class Landing(Walk):
    """The way from a picture to its first quantizations. nodes: those on it, in order.  grids: where it ends.
    taken: how operators take it that read whole numbers, where it is such.  dynamic: what finds a scale for each batch."""

    def __init__(self, picture: Picture, channels: int, size: Sides) -> None:
        super().__init__(picture, channels, size)
        self.nodes, self.grids, self.taken, self.dynamic = list[ir.Node](), list[Grid](), list[Grid](), list[ir.Node]()
        self.levels = picture.value
        self.floors, self.whole = set[ir.Value](), {picture.value} if picture.value.dtype in GRIDS else set[ir.Value]()

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
        if not self._ends_at(node):
            self._carry(node)
            self.nodes.append(node)

    def _ends_at(self, node: ir.Node) -> bool:
        """Whether it rounds the picture to whole numbers. Raises NotFoldableError where it is one of the other ends."""
        own, source = node.domain in OURS, node.inputs[0]
        if node.op_type == "QuantizeLinear" and (own or node.domain == "com.microsoft"):
            self.grids.append(_quantizing(node, self.tracked.source(node)))
            return True
        if own and node.op_type == "Cast" and source in self.floors:
            self.grids.append(_rounding(node, self.tracked.source(node)))
            return True
        if own and node.op_type in TAKING and source in self.whole:
            self.taken.append(_taking(node, self.tracked.source(node)))
            raise NotFoldableError(f"{node.op_type} reads the picture as whole numbers", name="fold-quantized-grid")
        if own and node.op_type == "DynamicQuantizeLinear":
            self.dynamic.append(node)
            raise NotFoldableError(f"{node.op_type} finds a scale for each batch, from its own values", name="fold-quantized-grid")
        if not own or node.op_type not in (*CARRIED, *AFFINE, "Floor") or source in self.floors:
            raise NotFoldableError("it reads the picture before it is quantized", name="fold-quantized-grid")
        return False

    def _carry(self, node: ir.Node) -> None:
        source = node.inputs[0]
        if node.op_type == "Floor":  # of x + 0.5, as it stands in front of a cast
            self.tracked[node.outputs[0]] = self.tracked.source(node).plus(-0.5)
            self.floors.add(node.outputs[0])
        elif node.op_type == "Pad":
            self.tracked[node.outputs[0]] = _padded(self.tracked.source(node), *paddings(self.tracked, node))
        elif node.op_type == "Cast" and not self._is_float(node):
            if source is not self.levels or node.attributes["to"].as_int() != ir.DataType.UINT8:
                raise NotFoldableError("the picture is cast before it is quantized", name="fold-quantized-grid")
            self.tracked[node.outputs[0]] = self.tracked.source(node)
            self.whole.add(node.outputs[0])  # grey levels, whole ones, behind resizes and crops
        else:
            super()._visit(node)
        if source in self.whole and (node.op_type in CARRIED or node.op_type == "Identity"):
            self.whole |= set(node.outputs)
        passed = [self.tracked[value] for value in (*node.inputs, *node.outputs) if value is not None and value in self.tracked]
        if node.op_type in AFFINE and any(each.shape != passed[0].shape for each in passed):
            raise NotFoldableError("it repeats the picture before it is quantized", name="fold-quantized-grid")
        if node.op_type in AFFINE and sum(value in self.tracked for value in node.inputs) > 1:
            raise NotFoldableError("it adds the picture to itself before it is quantized", name="fold-quantized-grid")

    @staticmethod
    def _is_float(cast: ir.Node) -> bool:
        """Whether it keeps every digit that counts here."""
        return cast.attributes["to"].as_int() in (ir.DataType.FLOAT, ir.DataType.DOUBLE)


def land(picture: Picture, channels: int, size: Sides = (None, None)) -> Landing:
    """What the graph does to the picture before it quantizes it. size: (height, width), where the graph leaves them free."""
    landing = Landing(picture, channels, size)
    landing.walk()
    return landing


def _quantizing(node: ir.Node, source: Tracked) -> Grid:
    """Raises NotFoldableError where a scale is computed, or there is one for each block."""
    scale = constant(node.inputs[1]).astype(np.float64)
    given = node.inputs[2] if len(node.inputs) > 2 else None
    zero = None if given is None else constant(given)
    told = attribute(node, "output_dtype", 0) or ir.DataType.UINT8
    divided = source.over(beside(node, scale, source.rank))
    shifted = divided if zero is None else divided.plus(beside(node, zero.astype(np.float64), source.rank))
    dtype = ir.DataType(told) if zero is None else ir.DataType.from_numpy(zero.dtype)
    return _grid(node, scale, np.zeros(1) if zero is None else zero, dtype, divided, shifted)


def _taking(node: ir.Node, source: Tracked) -> Grid:
    given = node.inputs[2] if len(node.inputs) > 2 else None
    zero = np.zeros((), np.uint8) if given is None else constant(given)
    scale = None if node.op_type.endswith("Integer") else constant(node.inputs[1]).astype(np.float64).reshape(-1)
    shifted = source.minus(beside(node, zero.astype(np.float64), source.rank))
    assert node.inputs[0] is not None
    dtype = ir.DataType.UINT8 if given is None else ir.DataType.from_numpy(zero.dtype)
    return _grid(node, scale, zero, dtype, shifted, source)


def _rounding(node: ir.Node, source: Tracked) -> Grid:
    """A cast of whole numbers, as it stands in front of a model that takes such."""
    return _grid(node, None, np.zeros(1), ir.DataType(node.attributes["to"].as_int()), source, source)


def _grid(node: ir.Node, scale: NDArray[Any] | None, zero: NDArray[Any], dtype: ir.DataType, divided: Tracked, shifted: Tracked) -> Grid:
    """divided: by the scale.  shifted: by the zero point, then."""
    places = np.broadcast_arrays(divided.places, shifted.places)
    values, numbers = (each.slots.take(at.reshape(-1)) for each, at in zip((divided, shifted), places, strict=True))
    level = np.divide(-values.offset, values.scale, where=values.scale != 0, out=np.full(len(values), np.nan))
    rows = np.unique(np.stack([numbers.channel, numbers.scale, numbers.offset, level], axis=1), axis=0)
    points = zero.reshape(-1).astype(np.int64)
    return Grid(node, None if scale is None else scale.reshape(-1), points, dtype, rows[:, 0].astype(np.int64), *rows[:, 1:].T)


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
    slots = replace(source.slots.take(np.array([0])).then(0.0, value), channel=np.array([-1]))
    return [replace(source, shape=shape, slots=slots, places=np.zeros(sides, np.int64))]
