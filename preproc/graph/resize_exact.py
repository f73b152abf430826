"""The exact form of a resize: Pillow's integers, or torch's, as products of float32 matrices."""

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import PreprocError
from ..steps import FAST, Resampling
from .builder import Builder
from .frame import Frame, Side

BITS = 22
"""Of Pillow's integer weights."""
ROWS = 6
"""New pixels per product: so few read few old pixels that the others do not need, and with a high and a low part each they are the twelve
rows that ONNX Runtime's kernels for CPUs take at a time."""
TOGETHER = 1 << 19
"""Old pixels of a picture, as often as they are read, in one batch of products: a CPU's caches hold them."""
MOST_EXACT = 1 << 23
"""Sums of the exact form stay below: float32 holds every whole number up to twice as many."""


def exact_resize(frame: Frame, step: Resampling, height: Side, width: Side) -> Frame:
    """Pillow's integers, or torch's, as products of float32 matrices, none of whose sums is rounded. Raises PreprocError for sizes that are
    free."""
    sides = [side for side in (frame.height, frame.width, height, width) if isinstance(side, int)]
    if len(sides) < 4:
        mend = 'form = "fast" takes any' if step.interpolation in FAST else f"no other form computes {step.interpolation}"
        raise PreprocError(
            f'{step.name}: expected pixels of one static size for form = "exact", got a dynamic one; {mend}, and --size H,W says one',
            name="shape-unknown",
        )
    old, new = (sides[0], sides[1]), (sides[2], sides[3])
    frame = frame.cast(ir.DataType.UINT8 if step.rounds else ir.DataType.FLOAT)
    across, down = (_Pass(frame, step, *sides) for sides in ((old[1], new[1]), (old[0], new[0])))
    rows_first = step.pillow == 13 and old[0] - new[0] > max(0, 2 * (old[1] - new[1]))
    value, layout = _rows_first(frame, down, across) if rows_first or old[1] == new[1] else _columns_first(frame, across, down)
    channels = frame.b.channels
    shape = [-1, channels, *new] if layout == "NCHW" else [channels, -1, *new]
    made = replace(frame, value=_reshape(frame.b, value, *shape), layout=layout, height=height, width=width)
    return made.transposed("NCHW")


def _columns_first(frame: Frame, across: "_Pass", down: "_Pass") -> tuple[ir.Value, str]:
    """What is resized lies outermost, so that it is cut and read in long runs: (W, planes * H), then (H, W' * planes)."""
    b, layout = frame.b, frame.layout
    if layout == "NHWC":  # one Transpose, of three axes, which is what ONNX Runtime is fast at
        value, layout = _transpose(b, _reshape(b, frame.value, -1, across.old, b.channels), 1, 2, 0), "CNHW"
    else:
        value = _transpose(b, _reshape(b, frame.value, -1, across.old), 1, 0)
    value = across.run(_reshape(b, value, across.old, -1), b.channels * down.old)
    if down.old == down.new:
        return _transpose(b, value, 1, 0), layout
    value = down.run(_transpose(b, _reshape(b, value, -1, down.old), 1, 0), b.channels * across.new)
    return _transpose(b, _reshape(b, value, down.new * across.new, -1), 1, 0), layout


def _rows_first(frame: Frame, down: "_Pass", across: "_Pass") -> tuple[ir.Value, str]:
    """(H, planes * W), then (W, H' * planes)."""
    frame = frame.transposed("NCHW") if frame.layout == "NHWC" else frame
    b = frame.b
    value = _transpose(b, _reshape(b, frame.value, -1, down.old, across.old), 1, 0, 2)
    value = down.run(_reshape(b, value, down.old, -1), b.channels * across.old)
    if across.old != across.new:
        value = across.run(_transpose(b, _reshape(b, value, -1, across.old), 1, 0), b.channels * down.new)
        value = _transpose(b, value, 1, 0)
    return _transpose(b, _reshape(b, value, down.new, -1, across.new), 1, 0, 2), frame.layout


def _reshape(b: Builder, value: ir.Value, *shape: int) -> ir.Value:
    return b.add("Reshape", value, np.array(shape, np.int64))


def _transpose(b: Builder, value: ir.Value, *perm: int) -> ir.Value:
    return b.add("Transpose", value, perm=list(perm))


@dataclass(frozen=True)
class _Weights:
    """Of one axis, (new, old) each.  parts: high and low, whole numbers with high * 2^bits + low = shares * 2^unit, rounded; or the shares
    themselves where nothing is rounded.
    clipped: whether sums may leave 0..255."""

    parts: tuple[NDArray[Any], ...]
    unit: int = 0
    bits: int = 0
    clipped: bool = False


class _Pass:
    """One axis, which is resized from old to new."""

    def __init__(self, frame: Frame, step: Resampling, old: int, new: int) -> None:
        self.b, self.dtype, self.step, self.old, self.new = frame.b, frame.dtype, step, old, new

    def run(self, x: ir.Value, beside: int) -> ir.Value:
        """x: (old, ...) -> (new, ...). The sums of both parts are whole numbers that float32 holds, and are put together at the end:
        floor((H + floor(L / 2^bits) + 2^(unit - 1 - bits)) / 2^(unit - bits)).  beside: how many numbers of a picture lie beside each."""
        shares = _matrix(self.old, self.new, self.step.interpolation)
        weights, count = _weights(shares, self.step), -(-self.new // ROWS)
        used = [np.flatnonzero(shares[start : start + ROWS].any(axis=0)) for start in range(0, self.new, ROWS)]
        span = max(int(read[-1] - read[0]) + 1 for read in used)
        starts = np.array([min(int(read[0]), self.old - span) for read in used])
        places = starts[:, None] + np.arange(span)
        parts = [_bands(part, places) for part in weights.parts]
        some = max(TOGETHER // (span * beside), 1)
        groups = [slice(start, start + some) for start in range(0, count, some)]
        made = [self._group(x, places[group], [part[group] for part in parts], weights) for group in groups]
        total = self.b.add("Concat", *made, axis=0) if len(made) > 1 else made[0]
        total = _reshape(self.b, total, count * ROWS, -1)
        if count * ROWS == self.new:
            return total
        return self.b.add("Slice", total, *(np.array([number], np.int64) for number in (0, self.new, 0)))

    def _group(self, x: ir.Value, places: NDArray[np.int64], parts: list[NDArray[np.float64]], weights: _Weights) -> ir.Value:
        """Several products, of ROWS new pixels each, in one node."""
        b = self.b
        read = b.add("Gather", x, places, axis=0)
        read = b.add("Cast", read, to=ir.DataType.FLOAT) if self.dtype != ir.DataType.FLOAT else read
        one = 2.0 ** (weights.bits - weights.unit)  # what a whole number of the high part counts
        if len(parts) == 2 and parts[1].any():  # of 512 -> 256, halves and quarters, only the border's are more than high ones
            scaled = np.concatenate([parts[0] * one, parts[1] * 2.0**-weights.bits], axis=1)
            product = b.add("MatMul", scaled.astype(np.float32), read)
            ends, axes = [np.array([number], np.int64) for number in (0, ROWS, 2 * ROWS)], np.array([1], np.int64)
            high, low = (b.add("Slice", product, start, end, axes) for start, end in itertools.pairwise(ends))
            total = b.add("Add", high, b.add("Mul", b.add("Floor", low), np.array(one, np.float32)))
        else:
            total = b.add("MatMul", (parts[0] * one).astype(np.float32), read)
        if not self.step.rounds:
            return total
        total = b.add("Add", total, np.array(0.5, np.float32))
        if weights.clipped:
            total = b.add("Clip", total, np.array(0, np.float32), np.array(255.5, np.float32))
        return b.add("Cast", total, to=ir.DataType.UINT8)  # which drops what is behind the comma


def _weights(shares: NDArray[np.float64], step: Resampling) -> _Weights:
    if not step.rounds:
        return _Weights((shares,))
    unit = _torch_bits(shares) if step.torch else BITS
    scaled = shares * (1 << unit)
    matrix = np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int64)
    clipped = bool(matrix.min() < 0 or 255 * matrix.sum(axis=1).max() >= 255.5 * (1 << unit))
    bits = _split_at(matrix)
    return _Weights(_high_and_low(matrix, bits), unit, bits, clipped)


def _bands(part: NDArray[Any], places: NDArray[np.int64]) -> NDArray[np.float64]:
    """(bands, ROWS, places each): what ROWS new pixels after each other weigh what they read with; zeros behind the last one."""
    made = np.zeros((len(places), ROWS, places.shape[1]))
    for band, read in enumerate(places):
        rows = part[band * ROWS : (band + 1) * ROWS]
        made[band, : len(rows)] = rows[:, read]
    return made


def _torch_bits(shares: NDArray[np.float64]) -> int:
    """How many bits torch's weights for uint8 have: as many as leave the largest of an axis below 2^15."""
    return max(bits for bits in range(BITS + 1) if bits == 0 or int(0.5 + float(shares.max()) * (1 << bits)) < 1 << 15)


def _split_at(matrix: NDArray[np.int64]) -> int:
    """How many bits the low part of the weights gets, so that no sum of products with 0..255 leaves what float32 holds. Eleven, if they do:
    TF32 holds the parts then, too."""
    for bits in (11, 10, 9, 8, 12, 7):
        if max(np.abs(part).sum(axis=1).max() for part in _high_and_low(matrix, bits)) * 255 < MOST_EXACT:
            return bits
    raise PreprocError(
        'resize: expected sizes for which form = "exact" is exact in float32, got ones too far apart; form = "fast" takes any',
        name="resize-combination",
    )


def _high_and_low(matrix: NDArray[np.int64], bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    high = np.floor(matrix / 2**bits + 0.5).astype(np.int64)
    return high, matrix - (high << bits)


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
