"""The exact form of a resize: Pillow's integers, or torch's, as products of float32 matrices."""

from dataclasses import dataclass
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
BAND = 16
"""New pixels per matrix product of the exact form: few enough that a product reads few old pixels that it does not need."""
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
    b, frame = frame.b, (frame.transposed("NCHW") if frame.layout == "NHWC" else frame).cast(ir.DataType.FLOAT)
    value, old, new = frame.value, sides[:2], sides[2:]
    vertical_first = step.pillow == 13 and old[0] - new[0] > max(0, 2 * (old[1] - new[1]))
    for side in (0, 1) if vertical_first else (1, 0):
        if old[side] != new[side]:
            value = _exact_pass(b, value, 2 + side, _matrix(old[side], new[side], step.interpolation), step)
    return frame.into(value, height, width)


@dataclass(frozen=True)
class _Weights:
    """Of one axis. shares: (new, old) float64.  parts: high and low, whole numbers with high * 2^bits + low = shares * 2^unit, rounded; or
    high alone where no weight has a low part (512 -> 256: halves and quarters), or the shares themselves where nothing is rounded."""

    shares: NDArray[np.float64]
    parts: tuple[NDArray[Any], ...]
    unit: int = 0
    bits: int = 0


def _weights(shares: NDArray[np.float64], step: Resampling) -> _Weights:
    if not step.rounds:
        return _Weights(shares, (shares,))
    unit = _torch_bits(shares) if step.torch else BITS
    scaled = shares * (1 << unit)
    matrix = np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int64)
    bits = _split_at(matrix)
    high, low = _high_and_low(matrix, bits)
    return _Weights(shares, (high, low) if low.any() else (high,), unit, bits)


def _exact_pass(b: Builder, x: ir.Value, axis: int, shares: NDArray[np.float64], step: Resampling) -> ir.Value:
    """One axis. The sums of both parts are whole numbers that float32 holds, and are put together at the end:
    floor((H + floor(L / 2^bits) + 2^(unit - 1 - bits)) / 2^(unit - bits))."""
    if axis == 2:  # the weights stand on the right: ONNX Runtime multiplies no batch of no pictures from the left
        turned = [0, 1, 3, 2]
        return b.add("Transpose", _exact_pass(b, b.add("Transpose", x, perm=turned), 3, shares, step), perm=turned)
    weights = _weights(shares, step)
    bands = [_band(b, x, weights, slice(start, start + BAND)) for start in range(0, len(shares), BAND)]
    total = b.add("Concat", *bands, axis=3) if len(bands) > 1 else bands[0]
    return _levels(b, total, weights) if step.rounds else total


def _band(b: Builder, x: ir.Value, weights: _Weights, rows: slice) -> ir.Value:
    """H + floor(L / 2^bits) of some new pixels along the last axis, from those old ones that they read."""
    axes, used = np.array([3], np.int64), np.flatnonzero(weights.shares[rows].any(axis=0))
    first, end = int(used[0]), int(used[-1]) + 1
    read = b.add("Slice", x, np.array([first], np.int64), np.array([end], np.int64), axes)
    weight = np.concatenate([part[rows, first:end] for part in weights.parts]).astype(np.float32)
    product = b.add("MatMul", read, weight.T)
    if len(weights.parts) == 1:
        return product
    zero, half, whole = (np.array([number], np.int64) for number in (0, len(weight) // 2, len(weight)))
    upper, lower = b.add("Slice", product, zero, half, axes), b.add("Slice", product, half, whole, axes)
    return b.add("Add", upper, b.add("Floor", b.add("Mul", lower, np.array(2.0**-weights.bits, np.float32))))


def _levels(b: Builder, total: ir.Value, weights: _Weights) -> ir.Value:
    """Rounded half up to grey levels."""
    more = weights.unit - weights.bits
    rounded = b.add("Add", total, np.array(2.0 ** (more - 1), np.float32))
    levels = b.add("Floor", b.add("Mul", rounded, np.array(2.0**-more, np.float32)))
    return b.add("Clip", levels, np.array(0, np.float32), np.array(255, np.float32))


def _torch_bits(shares: NDArray[np.float64]) -> int:
    """How many bits torch's weights for uint8 have: as many as leave the largest of an axis below 2^15."""
    return max(bits for bits in range(BITS + 1) if bits == 0 or int(0.5 + float(shares.max()) * (1 << bits)) < 1 << 15)


def _split_at(matrix: NDArray[np.int64]) -> int:
    """How many bits the low part of the weights gets, so that no sum of products with 0..255 leaves what float32 holds."""
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
