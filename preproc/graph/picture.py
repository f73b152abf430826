"""The input of a graph that takes the picture, and its layout: said, seen in the graph, or told by its shape."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .. import folding
from ..errors import PreprocError
from ..sources import FRAMES, PixelsSpec
from ..steps import NETWORK_LAYOUTS, Sides
from . import layout as layouts

FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)
HALF = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
RAW = {ir.DataType[name.upper()]: unit for name, unit in folding.RAW.items()}
"""Units of raw pixels by ONNX's types."""
WHOLE = (ir.DataType.INT8, ir.DataType.INT16, ir.DataType.INT32, ir.DataType.INT64)
"""Of prepared values that are whole numbers, as quantized networks take them."""
QUANTIZED = ("DequantizeLinear", "QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger", "QGemm")
"""Operators that read whole numbers in place of floats."""
MOST_CHANNELS = 4096
CHANNELS = (1, 3, 4)
"""Channel counts by which a layout is told from a shape, where nothing else tells it."""


@dataclass(frozen=True)
class Picture:
    """layout: one of steps.NETWORK_LAYOUTS.  seen: the layout that the graph's operators read, or None where they do not tell.
    batch, channels, height, width, frames: None where they are free, or there are none."""

    value: ir.Value
    layout: str
    seen: str | None
    batch: int | None
    channels: int | None
    height: int | None
    width: int | None
    frames: int | None = None

    def alone(self) -> "Picture":
        """Without the graph, which is as large as its weights: to lay out what the model takes."""
        return replace(self, value=apart(self.value))

    @property
    def axes(self) -> str:
        """What is in front of a picture's own axes, as PixelsSpec has it."""
        return "NT" if "T" in self.layout else "N" if "N" in self.layout else ""

    @property
    def size(self) -> Sides:
        return self.height, self.width

    @property
    def is_whole(self) -> bool:
        """Whether it takes prepared values as whole numbers."""
        return self.value.dtype in WHOLE

    @property
    def computes(self) -> ir.DataType:
        """In which the steps' nodes make its values: its own dtype, or float32 for those that hold less, to which they are rounded once."""
        return ir.DataType.DOUBLE if self.value.dtype == ir.DataType.DOUBLE else ir.DataType.FLOAT

    @property
    def is_quantized(self) -> bool:
        """Whether what reads it takes whole numbers for floats: then they may be raw pixels, or not."""
        return any(node.op_type in QUANTIZED for node, _ in self.value.uses())

    def rows(self, ready: NDArray[Any]) -> int:
        """How many batches' worth of the model's batch axis (N, C, H, W) values are: the pictures, or those with all their frames."""
        return {"": 1, "N": len(ready), "NT": len(ready) // (self.frames or FRAMES)}[self.axes]

    def arrange(self, ready: NDArray[Any]) -> NDArray[Any]:
        """(N, C, H, W) values as the model takes them, in its dtype."""
        assert self.value.dtype is not None
        return np.ascontiguousarray(self.laid_out(ready).astype(self.value.dtype.numpy()))

    def laid_out(self, ready: NDArray[Any]) -> NDArray[Any]:
        """(N, C, H, W) values with the axes that the model takes; of a batch of frames those of one picture behind the other;
        whole numbers in the model's dtype."""
        front = {"": (), "N": (-1,), "NT": (-1, self.frames or FRAMES)}[self.axes]
        order = [f"{self.axes}CHW".index(axis) for axis in self.layout]
        turned = ready.reshape(*front, *ready.shape[1:]).transpose(order)
        if not self.is_whole:
            return turned
        assert self.value.dtype is not None
        dtype = self.value.dtype.numpy()
        limits = np.iinfo(dtype)
        whole: NDArray[Any] = np.clip(np.rint(turned), limits.min, limits.max).astype(dtype)
        return whole

    def check_fits(self, pixels: PixelsSpec, *, channels: int, size: Sides) -> None:
        """Raises PreprocError unless the model takes what the steps make of these pixels: so many channels, this (height, width), None
        where it is free, and their batch."""
        name = self.value.name
        if self.seen not in (None, self.layout):
            raise PreprocError(
                f"expected the layout {self.seen}, in which the graph reads {name}, got {self.layout} (--model-layout)",
                name="shape-mismatch",
            )
        if self.channels not in (None, channels):
            raise PreprocError(
                f"expected a model that takes {channels} channels, as the steps make, got {self.channels} in {name}, {self.layout}",
                name="channel-mismatch",
            )
        if self.batch != pixels.batch:
            raise PreprocError(
                f"expected a model with {pixels.batch or 'a free'} batch, got {self.batch or 'a free one'} in {name}", name="shape-mismatch"
            )
        for side, want, have in zip(("height", "width"), size, self.size, strict=True):
            if have not in (None, want):
                which = "[pixels] size" if size == pixels.size else "the steps"
                raise PreprocError(
                    f"{which}: expected {side} {have}, which the model's input {name} has, got {want or 'dynamic'}", name="shape-mismatch"
                )


def picture_input(model: ir.Model, name: str | None = None, layout: str | None = None) -> Picture:
    """The input that takes the picture as floats, or else as whole numbers that are no raw pixels: the one called `name`, or the only one
    of that kind, a batch of pictures before others.

    layout: one of steps.NETWORK_LAYOUTS, or None for what the graph, or else the shape, tells. Raises PreprocError with what the model has
    instead, and where two layouts are possible.
    """
    listed = ", ".join(f"{value.name}: {value.dtype} {value.shape}" for value in _inputs(model)) or "none"
    value = _choose(model, name, FLOATS, layout, listed) or _choose(model, name, WHOLE, layout, listed)
    if value is None:
        raw = _choose(model, name, tuple(RAW), layout, listed)
        if raw is not None:
            what = "raw pixels, or values quantized to their range," if _picture(model, raw, layout).is_quantized else "raw pixels"
            raise PreprocError(f"expected a model that takes floats, got one that takes {what} already: {listed}", name="pixels-already")
        raise PreprocError(
            f"expected a model with an input for a float picture, (N, C, H, W) or (C, H, W), got: {listed}", name="no-picture-input"
        )
    return _picture(model, value, layout)


def any_picture(model: ir.Model, name: str | None = None, layout: str | None = None) -> Picture:
    """As picture_input(), but the input may be raw pixels, too, or of half precision: to look at only. Raises PreprocError."""
    listed = ", ".join(f"{value.name}: {value.dtype} {value.shape}" for value in _inputs(model)) or "none"
    value = _choose(model, name, (*FLOATS, *RAW), layout, listed) or _choose(model, name, WHOLE, layout, listed)
    if value is None:
        raise PreprocError(f"no input takes a picture: {listed}", name="no-picture-input")
    return _picture(model, value, layout)


def apart(value: ir.Value) -> ir.Value:
    """What an input says of itself, without its graph."""
    return ir.Value(name=value.name, shape=value.shape, type=value.type)


def sides(value: ir.Value | None) -> list[int | str | None] | None:
    """A value's shape: numbers, names of free sides, None where nothing is known."""
    if value is None or value.shape is None:
        return None
    return [side if isinstance(side, int) else side.value for side in value.shape]


def other_inputs(model: ir.Model, picture: Picture) -> list[ir.Value]:
    """The inputs beside the picture, which callers have to give."""
    return [value for value in _inputs(model) if value is not picture.value]


def _inputs(model: ir.Model) -> list[ir.Value]:
    return [value for value in model.graph.inputs if value.name not in model.graph.initializers]


def _choose(model: ir.Model, name: str | None, kinds: tuple[ir.DataType, ...], layout: str | None, listed: str) -> ir.Value | None:
    inputs = _inputs(model)
    if name is not None and name not in [value.name for value in inputs]:
        raise PreprocError(f"expected the name of an input, got {name!r}; the model has {listed}", name="unknown-choice")
    found = [
        value
        for value in inputs
        if name in (None, value.name) and value.dtype in kinds and _rank(value) in ((3, 4, 5) if layout is None else (len(layout),))
    ]
    if name is None and layout is None:  # of three or five axes there is more than pictures: sounds, texts
        found = [value for value in found if _rank(value) == 4] or [value for value in found if _is_told(model, value)]
    if len(found) > 1:
        raise PreprocError(
            f"expected one input that takes a picture, got {len(found)}: {listed}; choose with --input NAME", name="several-inputs"
        )
    return found[0] if found else None


def _picture(model: ir.Model, value: ir.Value, layout: str | None) -> Picture:
    sides, known = _sides(value), [each for each in NETWORK_LAYOUTS if len(each) == _rank(value)]
    seen, by_shape = layouts.seen(model, value, by_operators=True), _by_shape(sides, CHANNELS)
    likely = seen or layouts.seen(model, value)
    layout = layout or seen or (likely if likely is None or by_shape in (None, likely) else None) or (None if likely else by_shape)
    if layout is None:
        raise PreprocError(
            f"expected a picture whose layout the graph or the shape tells, got {value.name}: {value.shape}, which may be either: write "
            f'--model-layout {" or ".join(known)} (in a recipe: [backbone] layout = "{known[0]}")',
            name="layout-ambiguous",
        )
    batch, channels, height, width, frames = (sides[layout.index(axis)] if axis in layout else None for axis in "NCHWT")
    if (channels or 0) > MOST_CHANNELS:
        raise PreprocError(
            f"expected a picture of at most {MOST_CHANNELS} channels, got {channels} in {value.name}, {layout}", name="no-picture-input"
        )
    return Picture(value, layout, seen, batch, channels, height, width, frames)


def _sides(value: ir.Value) -> list[int | None]:
    return [side if isinstance(side, int) and side > 0 else None for side in value.shape or ()]


def _rank(value: ir.Value) -> int:
    return 0 if value.shape is None else len(value.shape)


def _is_told(model: ir.Model, value: ir.Value) -> bool:
    """Whether a value that is no batch of pictures is one picture, or frames, by what the graph does to it, or by a shape that little
    else has."""
    return layouts.seen(model, value) is not None or _by_shape(_sides(value), CHANNELS[1:]) is not None


def _by_shape(sides: list[int | None], channels: tuple[int, ...]) -> str | None:
    """Told by the one axis that has as many channels as pictures have, or that alone is no free side; None where several are, or none
    is."""
    known = layouts.BY_AXIS.get(len(sides), {})
    found = [layout for axis, layout in known.items() if sides[axis] in channels]
    if not found and len(sides) == 4 and sides[2] is None:
        found = [layout for axis, layout in known.items() if sides[axis] is not None]
    return found[0] if len(found) == 1 else None
