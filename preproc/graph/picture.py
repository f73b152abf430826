"""The input of a graph that takes the picture, and what its shape says."""

from dataclasses import dataclass

import onnx_ir as ir

from ..errors import PreprocError
from ..recipe import PixelsSpec

FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)
HALF = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
RAW = {ir.DataType.UINT8: "0-255", ir.DataType.UINT16: "0-65535"}
"""Units of raw pixels."""
MOST_CHANNELS = 4096
CHANNELS = (1, 3, 4)
"""Channel counts by which a layout is told from a static shape."""


@dataclass(frozen=True)
class Picture:
    """layout: NCHW, or NHWC if the last dimension looks like channels and the second does not.  batch, height, width, channels: None
    where they are free."""

    value: ir.Value
    layout: str
    batch: int | None
    channels: int | None
    height: int | None
    width: int | None

    @property
    def size(self) -> tuple[int, int] | None:
        return None if self.height is None or self.width is None else (self.height, self.width)

    @property
    def axis(self) -> int:
        """Of the channels."""
        return self.layout.index("C")

    def check_fits(self, pixels: PixelsSpec, *, channels: int, size: tuple[int, int] | None) -> None:
        """Raises PreprocError unless the model takes what the steps make of these pixels: so many channels, this (height, width), None
        where it is free, and their batch."""
        name = self.value.name
        if self.channels not in (None, channels):
            raise PreprocError(f"expected a model that takes {channels} channels, as the steps make, got {self.channels} in {name}")
        if self.batch != pixels.batch:
            raise PreprocError(f"expected a model with {pixels.batch or 'a free'} batch, got {self.batch or 'a free one'} in {name}")
        for side, want, have in zip(("height", "width"), size or (None, None), (self.height, self.width), strict=True):
            if have not in (None, want):
                which = "[pixels] size" if size == pixels.size else "the steps"
                raise PreprocError(f"{which}: expected {side} {have}, which the model's input {name} has, got {want or 'dynamic'}")


def picture_input(model: ir.Model, name: str | None = None) -> Picture:
    """The input that takes the picture as floats, (N, C, H, W) or (N, H, W, C): the one called `name`, or the only one of that kind.

    Raises PreprocError with what the model has instead.
    """
    listed = ", ".join(f"{value.name}: {value.dtype} {value.shape}" for value in _inputs(model)) or "none"
    value = _choose(model, name, FLOATS, listed)
    if value is None:
        if _choose(model, name, tuple(RAW), listed) is not None:
            raise PreprocError(f"expected a model that takes floats, got one that takes raw pixels already: {listed}")
        raise PreprocError(f"expected a model with an input for a float picture (N, C, H, W), got: {listed}")
    if value.dtype in HALF:
        raise PreprocError(
            f"expected a model in float32 or float64, got {value.name} in {value.dtype}: its own rounding would hide the errors "
            "that are looked for; attach to the float32 file and convert then"
        )
    return _picture(value)


def any_picture(model: ir.Model, name: str | None = None) -> Picture:
    """As picture_input(), but the input may be raw pixels, too, or of half precision: to look at only. Raises PreprocError."""
    listed = ", ".join(f"{value.name}: {value.dtype} {value.shape}" for value in _inputs(model)) or "none"
    value = _choose(model, name, (*FLOATS, *RAW), listed)
    if value is None:
        raise PreprocError(f"no input takes a picture, 4-D: {listed}")
    return _picture(value)


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


def _choose(model: ir.Model, name: str | None, kinds: tuple[ir.DataType, ...], listed: str) -> ir.Value | None:
    inputs = _inputs(model)
    if name is not None and name not in [value.name for value in inputs]:
        raise PreprocError(f"expected the name of an input, got {name!r}; the model has {listed}")
    found = [
        value
        for value in inputs
        if name in (None, value.name) and value.dtype in kinds and value.shape is not None and len(value.shape) == 4
    ]
    if len(found) > 1:
        raise PreprocError(f"expected one input that takes a picture, got {len(found)}: {listed}; choose with --input NAME")
    return found[0] if found else None


def _picture(value: ir.Value) -> Picture:
    assert value.shape is not None
    batch, second, third, last = (side if isinstance(side, int) and side > 0 else None for side in value.shape)
    if last in CHANNELS and second not in CHANNELS:
        return Picture(value, "NHWC", batch, last, second, third)
    if (second or 0) > MOST_CHANNELS:
        raise PreprocError(f"expected a picture of at most {MOST_CHANNELS} channels, got {second} in {value.name}")
    return Picture(value, "NCHW", batch, second, third, last)
