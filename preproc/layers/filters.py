"""Which pixels a resize reads, and with what weights, in float64 on the CPU."""

import math

import torch
from torch import Tensor

from .sides import over


def nearest(size: int, new: int) -> Tensor:
    """The positions that are read: the scale added up, rounding errors included, as Pillow's ImagingScaleAffine does."""
    one = torch.ones(1, dtype=torch.float64)
    scale = one * size / new
    start = (torch.arange(new) == 0).to(torch.float64) * 0.5
    at = ((1 - start) * scale).cumsum(0).to(torch.int64)
    return torch.minimum(at, (one * size - 1).to(torch.int64))


def shares(size: int, new: int, interpolation: str) -> tuple[Tensor, Tensor]:
    """(new, taps) int64 positions and float64 weights, whose sum is 1, on the CPU, where the order of sums is known: Pillow's
    precompute_coeffs()."""
    halves = 6 if interpolation == "lanczos" else 4 if interpolation == "bicubic" else 1 if interpolation == "box" else 2
    whole = (halves + 1) // 2
    one = torch.ones(1, dtype=torch.float64)
    scale = one * size / new
    wide = torch.maximum(scale, one)
    center = (torch.arange(new, dtype=torch.float64) + 0.5) * scale
    first = (center - wide * (0.5 * halves) + 0.5).to(torch.int64).clamp(min=0)
    end = torch.minimum((center + wide * (0.5 * halves) + 0.5).to(torch.int64), (one * size).to(torch.int64))
    reach = (halves * size + 2 * new - 1) // (2 * new)
    taps = 2 * (whole + over(reach - whole)) + 1  # max(reach, whole) to each side, so that torch 2.10 can bound it
    position = first.unsqueeze(1) + torch.arange(taps)
    kernel = _kernel((position - center.unsqueeze(1) + 0.5) * (1.0 / wide), interpolation)
    kernel = torch.where(position < end.unsqueeze(1), kernel, torch.zeros_like(kernel))
    return torch.minimum(position, (one * size - 1).to(torch.int64)), kernel / kernel.cumsum(1)[:, -1:]


def _kernel(x: Tensor, interpolation: str) -> Tensor:
    """The filters of Pillow's Resample.c, the constants of hamming as it has them: in floats of 32 bits."""
    if interpolation == "box":
        return ((x > -0.5) & (x <= 0.5)).to(x.dtype)
    x = x.abs()
    if interpolation == "bilinear":
        return (1 - x).clamp(min=0.0)
    if interpolation == "bicubic":
        near, far = (1.5 * x - 2.5) * x * x + 1, (((x - 5) * x + 8) * x - 4) * -0.5
        return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
    if interpolation == "hamming":
        return torch.where(x < 1, _sinc(x) * (0.5400000214576721 + 0.46000000834465027 * (x * math.pi).cos()), torch.zeros_like(x))
    return torch.where(x < 3, _sinc(x) * _sinc(x / 3), torch.zeros_like(x))


def _sinc(x: Tensor) -> Tensor:
    angle = torch.where(x == 0, torch.ones_like(x), x * math.pi)
    return torch.where(x == 0, torch.ones_like(x), angle.sin() / angle)
