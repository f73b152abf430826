"""What the passes of a resize weigh, in whole numbers: Pillow's of 22 bits, or torch's of 16; and cut so that sums in float32 are exact,
which they are as long as they stay below 2^24."""

from functools import lru_cache

import torch
from torch import Tensor

from .filters import shares

BITS = 22
"""Of Pillow's weights: PRECISION_BITS in its Resample.c."""


def whole_weights(size: int, new: int, interpolation: str, of_torch: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(new, taps) positions and int32 weights, and what stands for 1 in them."""
    position, share = shares(size, new, interpolation)
    unit = torch.full([1], 1 << 22, dtype=torch.int32)
    if of_torch:  # as many bits as leave the largest weight within 16, with its sign
        powers = 2.0 ** torch.arange(1, 23, dtype=torch.float64)
        unit = (2.0 ** ((share.max() * powers + 0.5).floor() < 1 << 15).sum(0, keepdim=True)).to(torch.int32)
    scaled = share * unit
    return position, (scaled + torch.where(scaled < 0, -0.5, 0.5)).to(torch.int32), unit


def table(size: int, new: int, interpolation: str, of_torch: bool) -> tuple[Tensor, Tensor, Tensor, float, float]:
    """The positions that are read, flat; where the sum of each new pixel begins in them; the weights in units of 1, float32.

    share: 0, or what those sums count, as far as they are whole, which follow behind the others: of the weights' low parts.
    most: 0, or what sums have to be cut to, at 0 and there, before their half is added and what is behind the comma dropped.
    """
    position, weight, unit = whole_weights(size, new, interpolation, of_torch)
    one = float(unit.item())
    inside = bool(weight.min() >= 0) and 255 * int(weight.sum(1).max()) < 255.5 * one
    high, low, bits = _cut(weight)
    weights, share = high / (one / (1 << bits)), 0.0
    if bits > 0 and bool(low.any()):
        position, weights, share = torch.cat([position, position]), torch.cat([weights, low / (1 << bits)]), (1 << bits) / one
    offsets = torch.arange(0, position.numel(), position.shape[1])
    return position.flatten(), offsets, weights.flatten(), share, 0.0 if inside else 255.5


@lru_cache(maxsize=16)
def remembered(size: int, new: int, interpolation: str, of_torch: bool) -> tuple[Tensor, Tensor, Tensor, float, float]:
    """table(), of pictures of the size that the last ones had."""
    return table(size, new, interpolation, of_torch)


def _cut(weights: Tensor) -> tuple[Tensor, Tensor, int]:
    """high * 2^bits + low, parts whose sums of products with 0..255 float32 holds; for sides too far apart the weights in float64, which
    holds them as they are."""
    if _fits(weights):
        return weights, weights, 0
    for bits in (11, 10, 9, 8, 12, 7):
        high = (weights + (1 << bits - 1)) >> bits
        low = weights - (high << bits)
        if _fits(high) and _fits(low):
            return high, low, bits
    return weights.to(torch.float64), weights, 0


def _fits(weights: Tensor) -> bool:
    """Both parts' sums, put together, stay below 2^24 then."""
    return 255 * int(weights.abs().sum(1).max()) < 1 << 23
