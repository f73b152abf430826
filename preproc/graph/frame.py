"""A picture in the making, and arithmetic on its sides: in Python where they are numbers, as nodes where they are free."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..steps import Sides
from .builder import Builder

Side = int | ir.Value
"""A number, or an int64 value of shape (1,)."""


@dataclass(frozen=True)
class Frame:
    """A picture in the making: whole grey levels. layout, dtype, height, width: of the value."""

    b: Builder
    value: ir.Value
    layout: str
    dtype: ir.DataType
    height: Side
    width: Side

    @property
    def axes(self) -> tuple[int, int]:
        """Of height and width."""
        return self.layout.index("H"), self.layout.index("W")

    def into(self, value: ir.Value, height: Side, width: Side, dtype: ir.DataType | None = None) -> "Frame":
        return replace(self, value=value, height=height, width=width, dtype=dtype or self.dtype)

    def cast(self, dtype: ir.DataType) -> "Frame":
        return self if dtype == self.dtype else replace(self, value=self.b.add("Cast", self.value, to=dtype), dtype=dtype)

    def transposed(self, layout: str) -> "Frame":
        if layout == self.layout:
            return self
        perm = [self.layout.index(axis) for axis in layout]
        return replace(self, value=self.b.add("Transpose", self.value, perm=perm), layout=layout)


def sides_of(b: Builder, pixels: ir.Value, rows: int, size: Sides) -> tuple[Side, Side]:
    """Height and width: numbers, or read from the pixels' shape where they are free. rows: the axis of the height."""
    height, width = size
    if height is not None and width is not None:
        return height, width
    shape = b.add("Shape", pixels)
    free = (b.add("Gather", shape, np.array([axis], np.int64)) if side is None else side for axis, side in enumerate(size, start=rows))
    height_now, width_now = free
    return height_now, width_now


def ratio(b: Builder, old: Side, new: Side) -> ir.Value:
    """float64 (1,)"""
    n, double = Numbers(b), ir.DataType.DOUBLE
    return b.add("Div", b.add("Cast", n.value(old), to=double), b.add("Cast", n.value(new), to=double))


def counted(b: Builder, end: Side) -> ir.Value:
    """int64 (end,)"""
    scalar = b.add("Squeeze", Numbers(b).value(end), np.array([0], np.int64))
    return b.add("Range", np.array(0, np.int64), scalar, np.array(1, np.int64))


def limit(b: Builder, op: str, one: ir.Value, other: ir.Value | NDArray[np.int64]) -> ir.Value:
    """Min or Max of int64, which they take from opset 12 on."""
    if b.opset >= 12:
        return b.add(op, one, other)
    return b.add("Where", b.add("Greater", one, other), *((one, other) if op == "Max" else (other, one)))


class Numbers:
    """Arithmetic on sides: in Python on numbers, as nodes otherwise."""

    def __init__(self, b: Builder) -> None:
        self.b = b

    def do(self, op: str, one: Side, other: Side) -> Side:
        """Div truncates, as ONNX's does on integers; nothing here is negative but what Max cuts off."""
        if isinstance(one, int) and isinstance(other, int):
            return {
                "Add": one + other,
                "Sub": one - other,
                "Mul": one * other,
                "Min": min(one, other),
                "Max": max(one, other),
                "Div": other and one // other,
                "Mod": other and one % other,
            }[op]
        values = self.value(one), self.value(other)
        return limit(self.b, op, *values) if op in ("Min", "Max") else self.b.add(op, *values)

    def scaled(self, side: Side, most: int, other: Side) -> ir.Value:
        """round(side * (most / other)) in float64, half to even."""
        product = self.b.add("Mul", self.b.add("Cast", self.value(side), to=ir.DataType.DOUBLE), ratio(self.b, most, other))
        return self.b.add("Cast", self.b.add("Round", product), to=ir.DataType.INT64)

    def value(self, side: Side) -> ir.Value:
        return self.b.constant(np.array([side], np.int64)) if isinstance(side, int) else side

    def vector(self, sides: Sequence[Side]) -> ir.Value | NDArray[np.int64]:
        if all(isinstance(side, int) for side in sides):
            return np.array(sides, np.int64)
        return self.b.add("Concat", *map(self.value, sides), axis=0)
