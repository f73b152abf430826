"""Resizes, crops and pads as ONNX nodes on grey levels, in front of everything else.

Sizes are numbers where the pixels' size is known, else int64 nodes on the picture's own shape. A picture keeps the pixels' layout and
dtype as long as it can, for uint8 is small and a crop leaves less to cast. But every node has to have a kernel in ONNX Runtime's CUDA
provider as well (tests/cuda_kernels.json), where nothing pads uint8 or resizes (N, H, W, C) of it; float32 holds grey levels exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import PreprocError
from ..steps import FAST, CenterCrop, Geometry, Letterbox, Pad, Resampling, Resize

if TYPE_CHECKING:
    from .nodes import Builder

BITS = 22
"""Of Pillow's integer weights."""
LINEAR_BITS = 11
"""Of OpenCV's: INTER_RESIZE_COEF_BITS."""
BAND = 16
"""New pixels per matrix product of the exact form: few enough that a product reads few old pixels that it does not need."""
MOST_EXACT = 1 << 23
"""Sums of the exact form stay below: float32 holds every whole number up to twice as many."""
HALF = 0.5 + 2.0**-16
"""What rounds a float32 resize half up: exact halves, frequent where sides are halved, may come out a rounding of float32 below."""
Side = int | ir.Value
"""A number, or an int64 value of shape (1,)."""


@dataclass(frozen=True)
class Frame:
    """A picture in the making: whole grey levels. layout, dtype, height, width: of the value."""

    b: "Builder"
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


def geometry(b: "Builder", steps: Sequence[Geometry], pixels: ir.Value, *, layout: str, size: tuple[int, int] | None) -> ir.Value:
    """The nodes of the steps, from uint8 pixels to grey levels (N, C, H, W) in the builder's dtype. size: of the pixels, or None where it
    is free."""
    height, width = size or _sides(b, pixels, layout.index("H"))
    frame = Frame(b, pixels, layout, ir.DataType.UINT8, height, width)
    for step in steps:
        b.step = step.name
        match step:
            case Resize():
                frame = _resample(frame, step, *_resized(frame, step))
            case CenterCrop():
                frame = _center_crop(frame, step)
            case Pad():
                left, top, right, bottom = step.padding
                frame = _pad(frame, (top, left, bottom, right), step.fill)
            case Letterbox():
                frame = _letterbox(frame, step)
            case _:
                raise PreprocError(f"expected a step that ONNX nodes are known for, got {step.name}")
    return frame.cast(b.dtype).transposed("NCHW").value


def _sides(b: "Builder", pixels: ir.Value, rows: int) -> tuple[ir.Value, ir.Value]:
    shape = b.add("Shape", pixels)
    return b.add("Gather", shape, np.array([rows], np.int64)), b.add("Gather", shape, np.array([rows + 1], np.int64))


def _resized(frame: Frame, step: Resize) -> tuple[Side, Side]:
    """As torchvision's _compute_resized_output_size."""
    if not isinstance(step.size, int):
        return step.size
    if isinstance(frame.height, int) and isinstance(frame.width, int):
        return step.output_size((frame.height, frame.width))
    n = _Numbers(frame.b)
    short = n.do("Min", frame.height, frame.width)
    height, width = (n.do("Div", n.do("Mul", side, step.size), short) for side in (frame.height, frame.width))
    if step.max_size is None:
        return height, width
    long = n.do("Max", height, width)
    less = n.do("Min", n.do("Div", step.max_size * step.size, long), step.size)
    long = n.do("Min", long, step.max_size)
    tall = frame.b.add("Greater", n.value(frame.height), n.value(frame.width))
    sides = n.value(long), n.value(less)
    return frame.b.add("Where", tall, *sides), frame.b.add("Where", tall, *sides[::-1])


def _letterbox(frame: Frame, step: Letterbox) -> Frame:
    if isinstance(frame.height, int) and isinstance(frame.width, int):
        inner: tuple[Side, Side] = step.inner_size((frame.height, frame.width))
    else:
        n, (most_height, most_width) = _Numbers(frame.b), step.size
        height = n.do("Min", n.scaled(frame.height, most_width, frame.width), most_height)
        width = n.do("Min", n.scaled(frame.width, most_height, frame.height), most_width)
        inner = n.do("Max", height, 1), n.do("Max", width, 1)
    frame = _resample(frame, step, *inner)
    n, sides = _Numbers(frame.b), []
    for most, side in zip(step.size, (frame.height, frame.width), strict=True):
        before = n.do("Div", n.do("Sub", most, side), 2)
        sides.append((before, n.do("Sub", n.do("Sub", most, side), before)))
    (top, bottom), (left, right) = sides
    padded = _pad(frame, (top, left, bottom, right), step.fill)
    return padded.into(padded.value, *step.size)


def _center_crop(frame: Frame, step: CenterCrop) -> Frame:
    """Cut before it is padded, which is the same, for no axis is both."""
    n, starts, ends, left = _Numbers(frame.b), [], [], []
    for new, side in zip(step.size, (frame.height, frame.width), strict=True):
        over = n.do("Max", n.do("Sub", side, new), 0)
        odd = n.do("Mod", n.do("Div", over, 2), 2) if step.rounding == "half_even" else 0
        starts.append(n.do("Div", n.do("Add", over, odd), 2))
        left.append(n.do("Sub", side, over))
        ends.append(n.do("Add", starts[-1], left[-1]))
    height, width = left
    if (frame.height, frame.width) != (height, width):
        cut = frame.b.add("Slice", frame.value, n.vector(starts), n.vector(ends), np.array(frame.axes, np.int64))
        frame = frame.into(cut, height, width)
    more = [n.do("Sub", new, side) for new, side in zip(step.size, left, strict=True)]
    before = [n.do("Div", n.do("Add", side, int(step.rounding == "floor")), 2) for side in more]
    top, left_side, bottom, right = *before, *(n.do("Sub", side, half) for side, half in zip(more, before, strict=True))
    padded = _pad(frame, (top, left_side, bottom, right), step.fill)
    return padded.into(padded.value, *step.size)


def _pad(frame: Frame, sides: Sequence[Side], fill: int) -> Frame:
    """sides: top, left, bottom, right. In float32: CUDA's Pad takes no integers."""
    if all(isinstance(side, int) and side == 0 for side in sides):
        return frame
    frame = frame.cast(ir.DataType.FLOAT)
    n, (rows, columns) = _Numbers(frame.b), frame.axes
    where: list[Side] = [0] * 8
    for axis, side in zip((rows, columns, 4 + rows, 4 + columns), sides, strict=True):
        where[axis] = side
    padded = frame.b.add("Pad", frame.value, n.vector(where), np.array(fill, np.float32), mode="constant")
    height = n.do("Add", n.do("Add", frame.height, sides[0]), sides[2])
    return frame.into(padded, height, n.do("Add", n.do("Add", frame.width, sides[1]), sides[3]))


def _resample(frame: Frame, step: Resampling, height: Side, width: Side) -> Frame:
    if (frame.height, frame.width) == (height, width):
        return frame
    if step.interpolation == "nearest":
        value = frame.value
        for axis, old, new in zip(frame.axes, (frame.height, frame.width), (height, width), strict=True):
            value = frame.b.add("Gather", value, _nearest(frame.b, old, new), axis=axis)
        return frame.into(value, height, width)
    if not step.antialias:
        return frame.into(_linear(frame, height, width), height, width, ir.DataType.FLOAT)
    if step.form == "exact":
        return _exact(frame, step, height, width)
    return _fast(frame, step, height, width)


def _first_height(frame: Frame, step: Resampling, height: Side, width: Side) -> Side:
    """The new height where Pillow's vertical pass comes first, else the picture's own."""
    if step.pillow != 13:
        return frame.height
    n = _Numbers(frame.b)
    down, across = n.do("Sub", frame.height, height), n.do("Sub", frame.width, width)
    bound = n.do("Max", n.do("Mul", across, 2), 0)
    if isinstance(down, int) and isinstance(bound, int):
        return height if down > bound else frame.height
    rows = frame.b.add("Greater", n.value(down), n.value(bound))
    return frame.b.add("Where", rows, n.value(height), n.value(frame.height))


def _fast(frame: Frame, step: Resampling, height: Side, width: Side) -> Frame:
    """Resize nodes; for floats one. Bicubic is one node on uint8, which ONNX Runtime rounds as Pillow does: the columns first, then the
    rows; and in front of that one for the rows alone where Pillow may begin with them, which leaves them as they are where it does not.

    Bilinear is not, for the CUDA provider's kernel for uint8 computes a part of the picture only where that is made lower, and reads
    beyond its memory where there are several (onnxruntime #25264, mended for bicubic). It is a node in float32 for each pass.
    """
    if not step.rounds:
        mode = {"mode": "linear"} if step.interpolation == "bilinear" else {"mode": "cubic", "cubic_coeff_a": -0.5}
        return _resize(_planes(frame, ir.DataType.FLOAT), height, width, **mode)
    first = _first_height(frame, step, height, width)
    if step.interpolation == "bilinear":
        return _bilinear(frame, first, height, width)
    frame = _planes(frame, ir.DataType.UINT8)
    frame = _resize(frame, first, frame.width, mode="cubic", cubic_coeff_a=-0.5)
    return _resize(frame, height, width, mode="cubic", cubic_coeff_a=-0.5)


def _bilinear(frame: Frame, first: Side, height: Side, width: Side) -> Frame:
    """first: as _first_height() has it. Where that is known only when it runs, the pictures take one of two ways, and none the other."""
    if first is frame.height or isinstance(first, int):
        return _passes(frame, height, width, rows_first=first != frame.height)
    b, n, axis = frame.b, _Numbers(frame.b), np.array([frame.layout.index("N")], np.int64)
    count = b.add("Gather", b.add("Shape", frame.value), axis)
    taken = n.do("Mul", n.do("Min", n.do("Sub", frame.height, first), 1), count)  # all or none: rows go first only where some go
    none = np.array([0], np.int64)
    ways = [
        _passes(replace(frame, value=b.add("Slice", frame.value, start, end, axis)), height, width, rows_first=rows_first)
        for start, end, rows_first in ((none, n.value(taken), True), (n.value(taken), count, False))
    ]
    together = b.add("Concat", *(way.value for way in ways), axis=ways[0].layout.index("N"))
    return replace(ways[0], value=together)


def _passes(frame: Frame, height: Side, width: Side, *, rows_first: bool) -> Frame:
    """One axis after the other, rounded half up behind each, as Pillow does."""
    frame = _planes(frame, ir.DataType.FLOAT)
    for new in ((height, frame.width) if rows_first else (frame.height, width), (height, width)):
        resized = _resize(frame, *new, mode="linear")
        if resized is not frame:
            half_up = frame.b.add("Floor", frame.b.add("Add", resized.value, np.array(HALF, np.float32)))
            frame = resized.into(half_up, *new)
    return frame


def _resize(frame: Frame, height: Side, width: Side, **mode: Any) -> Frame:
    """An antialiased Resize node on planes, or none where the size stays."""
    if (frame.height, frame.width) == (height, width):
        return frame
    sizes = _Numbers(frame.b).vector([height, width])
    settings = {"antialias": 1, "exclude_outside": 1, "axes": list(frame.axes)}
    return frame.into(frame.b.add("Resize", frame.value, None, None, sizes, **settings, **mode), height, width)


def _planes(frame: Frame, dtype: ir.DataType) -> Frame:
    """Height and width last, as the CUDA provider's Resize wants them.

    (C, N, H, W), for behind a Transpose to (N, C, H, W) ONNX Runtime's optimizer exchanges the two nodes on a CPU, and forgets the axes.
    It also moves the Transpose behind the cast, where it has four times the bytes: not if there is a fifth dimension.
    """
    if frame.layout != "NHWC":
        return frame.cast(dtype)
    frame = frame.transposed("CNHW")
    if frame.dtype == dtype:
        return frame
    five = replace(frame, value=frame.b.add("Reshape", frame.value, np.array([0, 0, 0, 0, 1], np.int64))).cast(dtype)
    return replace(five, value=frame.b.add("Reshape", five.value, np.array([0, 0, 0, 0], np.int64)))


def _linear(frame: Frame, height: Side, width: Side) -> ir.Value:
    """Two taps with weights of 11 bits and one rounding, as OpenCV's INTER_LINEAR, in int32; float32."""
    b, value = frame.b, frame.b.add("Cast", frame.value, to=ir.DataType.INT32)
    for axis, old, new in reversed(list(zip(frame.axes, (frame.height, frame.width), (height, width), strict=True))):
        left, right, share = _taps(b, old, new)
        shape = np.array([-1] + [1] * (3 - axis), np.int64)
        weights = [b.add("Reshape", part, shape) for part in (b.add("Sub", np.array(1 << LINEAR_BITS, np.int32), share), share)]
        read = [b.add("Gather", value, at, axis=axis) for at in (left, right)]
        value = b.add("Add", *(b.add("Mul", x, weight) for x, weight in zip(read, weights, strict=True)))
    rounded = b.add("Add", value, np.array(1 << 2 * LINEAR_BITS - 1, np.int32))
    return b.add("Cast", b.add("Div", rounded, np.array(1 << 2 * LINEAR_BITS, np.int32)), to=ir.DataType.FLOAT)


def _taps(b: "Builder", old: Side, new: Side) -> tuple[ir.Value, ir.Value, ir.Value]:
    """The positions left and right of each new pixel, and the right one's weight."""
    n, number = _Numbers(b), np.float64
    middle = b.add("Add", b.add("Cast", _range(b, new), to=ir.DataType.DOUBLE), np.array(0.5, number))
    at = b.add("Sub", b.add("Mul", middle, _ratio(b, old, new)), np.array(0.5, number))
    low = b.add("Floor", at)
    parts = b.add("Mul", b.add("Sub", at, low), np.array(1 << LINEAR_BITS, number))
    share = b.add("Cast", b.add("Floor", b.add("Add", parts, np.array(0.5, number))), to=ir.DataType.INT32)
    start = b.add("Cast", low, to=ir.DataType.INT64)
    last, zero = n.value(n.do("Sub", old, 1)), np.array(0, np.int64)
    left, right = (_limit(b, "Min", _limit(b, "Max", x, zero), last) for x in (start, b.add("Add", start, np.array(1, np.int64))))
    return left, right, share


def _ratio(b: "Builder", old: Side, new: Side) -> ir.Value:
    """float64 (1,)"""
    n, double = _Numbers(b), ir.DataType.DOUBLE
    return b.add("Div", b.add("Cast", n.value(old), to=double), b.add("Cast", n.value(new), to=double))


def _range(b: "Builder", end: Side) -> ir.Value:
    """int64 (end,)"""
    scalar = b.add("Squeeze", _Numbers(b).value(end), np.array([0], np.int64))
    return b.add("Range", np.array(0, np.int64), scalar, np.array(1, np.int64))


def _nearest(b: "Builder", old: Side, new: Side) -> ir.Value | NDArray[np.int64]:
    """The positions that Pillow's NEAREST reads: the scale added up in float64, rounding errors included."""
    if isinstance(old, int) and isinstance(new, int):
        scale = old / new
        return np.minimum(np.cumsum([scale * 0.5] + [scale] * (new - 1)).astype(np.int64), old - 1)
    half = b.add("Where", b.add("Equal", _range(b, new), np.array(0, np.int64)), np.array(0.5, np.float64), np.array(1, np.float64))
    at = b.add("CumSum", b.add("Mul", half, _ratio(b, old, new)), np.array(0, np.int64))
    n = _Numbers(b)
    return _limit(b, "Min", b.add("Cast", at, to=ir.DataType.INT64), n.value(n.do("Sub", old, 1)))


def _exact(frame: Frame, step: Resampling, height: Side, width: Side) -> Frame:
    """Pillow's integers, or torch's, as products of float32 matrices, none of whose sums is rounded. Raises PreprocError for sizes that are
    free."""
    sides = [side for side in (frame.height, frame.width, height, width) if isinstance(side, int)]
    if len(sides) < 4:
        mend = 'form = "fast" takes any' if step.interpolation in FAST else f"no other form computes {step.interpolation}"
        raise PreprocError(f'{step.name}: expected pixels of one static size for form = "exact", got a dynamic one; {mend}')
    b, frame = frame.b, (frame.transposed("NCHW") if frame.layout == "NHWC" else frame).cast(ir.DataType.FLOAT)
    value, old, new = frame.value, sides[:2], sides[2:]
    vertical_first = step.pillow == 13 and old[0] - new[0] > max(0, 2 * (old[1] - new[1]))
    for side in (0, 1) if vertical_first else (1, 0):
        if old[side] != new[side]:
            value = _exact_pass(b, value, 2 + side, _matrix(old[side], new[side], step.interpolation), step)
    return frame.into(value, height, width)


def _exact_pass(b: "Builder", x: ir.Value, axis: int, shares: NDArray[np.float64], step: Resampling) -> ir.Value:
    """One axis, shares: (new, old) weights. As integers of `unit` bits each weight is high * 2^bits + low; both sums are whole numbers that
    float32 holds, and are put together at the end: floor((H + floor(L / 2^bits) + 2^(unit - 1 - bits)) / 2^(unit - bits)). Halves and
    quarters (512 -> 256) have no low part. Without a rounding the weights are float32 themselves."""
    if axis == 2:  # the weights stand on the right: ONNX Runtime multiplies no batch of no pictures from the left
        turned = [0, 1, 3, 2]
        return b.add("Transpose", _exact_pass(b, b.add("Transpose", x, perm=turned), 3, shares, step), perm=turned)
    unit, bits, new = 0, 0, len(shares)
    parts: tuple[NDArray[Any], ...] = (shares,)
    if step.rounds:
        unit = _torch_bits(shares) if step.torch else BITS
        scaled = shares * (1 << unit)
        matrix = np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int64)
        bits = _split_at(matrix)
        high = np.floor(matrix / 2**bits + 0.5).astype(np.int64)
        low = matrix - (high << bits)
        parts = (high, low) if low.any() else (high,)
    bands, axes = [], np.array([axis], np.int64)
    for start in range(0, new, BAND):
        rows = slice(start, min(start + BAND, new))
        used = np.flatnonzero(shares[rows].any(axis=0))
        first, end = int(used[0]), int(used[-1]) + 1
        read = b.add("Slice", x, np.array([first], np.int64), np.array([end], np.int64), axes)
        weight = np.concatenate([part[rows, first:end] for part in parts]).astype(np.float32)
        product = b.add("MatMul", read, weight.T)
        if len(parts) == 1:
            bands.append(product)
            continue
        half = np.array([weight.shape[0] // 2], np.int64)
        zero, whole = np.array([0], np.int64), np.array([weight.shape[0]], np.int64)
        upper, lower = b.add("Slice", product, zero, half, axes), b.add("Slice", product, half, whole, axes)
        bands.append(b.add("Add", upper, b.add("Floor", b.add("Mul", lower, np.array(2.0**-bits, np.float32)))))
    total = b.add("Concat", *bands, axis=axis) if len(bands) > 1 else bands[0]
    if not step.rounds:
        return total
    rounded = b.add("Add", total, np.array(2.0 ** (unit - 1 - bits), np.float32))
    levels = b.add("Floor", b.add("Mul", rounded, np.array(2.0 ** (bits - unit), np.float32)))
    return b.add("Clip", levels, np.array(0, np.float32), np.array(255, np.float32))


def _torch_bits(shares: NDArray[np.float64]) -> int:
    """How many bits torch's weights for uint8 have: as many as leave the largest of an axis below 2^15."""
    return max(bits for bits in range(BITS + 1) if bits == 0 or int(0.5 + float(shares.max()) * (1 << bits)) < 1 << 15)


def _split_at(matrix: NDArray[np.int64]) -> int:
    """How many bits the low part of the weights gets, so that no sum of products with 0..255 leaves what float32 holds."""
    for bits in (11, 10, 9, 8, 12, 7):
        high = np.floor(matrix / 2**bits + 0.5).astype(np.int64)
        if max(np.abs(part).sum(axis=1).max() for part in (high, matrix - (high << bits))) * 255 < MOST_EXACT:
            return bits
    raise PreprocError(
        'resize: expected sizes for which form = "exact" is exact in float32, got ones too far apart; form = "fast" takes any'
    )


def _matrix(old: int, new: int, interpolation: str) -> NDArray[np.float64]:
    """(new, old) weights, each row's sum is 1: Pillow's precompute_coeffs()."""
    scale = old / new
    wide = max(scale, 1.0)
    reach = {"box": 0.5, "bicubic": 2.0, "lanczos": 3.0}.get(interpolation, 1.0) * wide
    center = (np.arange(new)[:, None] + 0.5) * scale
    at = np.arange(old)[None]
    inside = (at >= (center - reach + 0.5).astype(np.int64)) & (at < (center + reach + 0.5).astype(np.int64))
    kernel = np.where(inside, _kernel((at - center + 0.5) * (1.0 / wide), interpolation), 0.0)
    return np.asarray(kernel / np.cumsum(kernel, axis=1)[:, -1:])  # a sum in order, as C makes it


def _kernel(x: NDArray[np.float64], interpolation: str) -> NDArray[np.float64]:
    """Pillow's filters. Its hamming has constants of 32 bits."""
    far = np.abs(x)
    match interpolation:
        case "box":
            return np.where((x > -0.5) & (x <= 0.5), 1.0, 0.0)
        case "bilinear":
            return np.maximum(1.0 - far, 0.0)
        case "hamming":
            first, second = (float(np.float32(value)) for value in (0.54, 0.46))
            return np.where(far < 1, np.sinc(x) * (first + second * np.cos(x * np.pi)), 0.0)
        case "bicubic":
            near, beyond = (1.5 * far - 2.5) * far * far + 1, (((far - 5) * far + 8) * far - 4) * -0.5
            return np.where(far < 1, near, np.where(far < 2, beyond, 0.0))
        case _:
            return np.where(far < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


def _limit(b: "Builder", op: str, one: ir.Value, other: ir.Value | NDArray[np.int64]) -> ir.Value:
    """Min or Max of int64, which they take from opset 12 on."""
    if b.opset >= 12:
        return b.add(op, one, other)
    return b.add("Where", b.add("Greater", one, other), *((one, other) if op == "Max" else (other, one)))


class _Numbers:
    """Arithmetic on sides: in Python on numbers, as nodes otherwise."""

    def __init__(self, b: "Builder") -> None:
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
        return _limit(self.b, op, *values) if op in ("Min", "Max") else self.b.add(op, *values)

    def scaled(self, side: Side, most: int, other: Side) -> ir.Value:
        """round(side * (most / other)) in float64, half to even."""
        product = self.b.add("Mul", self.b.add("Cast", self.value(side), to=ir.DataType.DOUBLE), _ratio(self.b, most, other))
        return self.b.add("Cast", self.b.add("Round", product), to=ir.DataType.INT64)

    def value(self, side: Side) -> ir.Value:
        return self.b.constant(np.array([side], np.int64)) if isinstance(side, int) else side

    def vector(self, sides: Sequence[Side]) -> ir.Value | NDArray[np.int64]:
        if all(isinstance(side, int) for side in sides):
            return np.array(sides, np.int64)
        return self.b.add("Concat", *map(self.value, sides), axis=0)
