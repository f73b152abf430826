"""The affine part: tensor = scale * grey level + offset for each channel, and which of the picture's it reads, by least squares."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import steps
from ...steps import FromPixels, Geometry, Step
from .moments import Moments, orders
from .small_samples import student

Array = NDArray[np.float64]
CONFIDENCE = 0.99
"""Of every interval."""


@dataclass(frozen=True, eq=False)
class Affine:
    """tensor[c] = scale[c] * picture[order[c]] + offset[c], the picture in grey levels 0..255, its channels R, G, B.

    order: for each channel of the tensor the picture's.  scale, offset: (C,) float64.
    """

    order: tuple[int, ...]
    scale: Array
    offset: Array

    @property
    def map(self) -> steps.Affine:
        matrix = np.zeros((len(self.order), len(self.order)))
        matrix[range(len(self.order)), self.order] = self.scale
        return steps.Affine(matrix, self.offset)

    def __call__(self, levels: NDArray[Any]) -> Array:
        """levels: (C, H, W) grey levels. Returns (C, H, W) float64 as the tensor has them."""
        taken = np.asarray(levels, np.float64)[list(self.order)]
        return np.asarray(taken * self.scale[:, None, None] + self.offset[:, None, None])

    def levels(self, values: NDArray[Any]) -> Array:
        """The other way round: what the tensor's channel vector `values`, (C,), is in grey levels of the picture's channels, (C,)."""
        found = np.empty(len(self.order))
        found[list(self.order)] = (np.asarray(values, np.float64) - self.offset) / self.scale
        return found

    @property
    def mean(self) -> Array:
        """(C,) of the tensor's channels, in grey levels: what becomes 0."""
        return np.asarray(-self.offset / self.scale)

    @property
    def std(self) -> Array:
        """(C,) of the tensor's channels, in grey levels: what becomes 1."""
        return np.asarray(1 / self.scale)


@dataclass(frozen=True, eq=False)
class Solved:
    """affine: the best one.  rms: of the residual, in grey levels.  scale_within, offset_within: (C,), half the width of each constant's
    interval at the confidence CONFIDENCE, in the tensor's units; infinite where the pictures have one level only.  orders: all orders that
    fit as well, the best first."""

    affine: Affine
    rms: float
    scale_within: Array
    offset_within: Array
    orders: tuple[tuple[int, ...], ...]

    @property
    def within(self) -> float:
        """Half the width of the interval of the line, where it is widest between 0 and 255, in grey levels."""
        return float(((self.scale_within * 255 + self.offset_within) / np.abs(self.affine.scale)).max())


def solve(pixels: Sequence[NDArray[Any]], tensors: Sequence[NDArray[Any]]) -> Solved | None:
    """The least-squares affine of pictures, (C, H, W) grey levels each, none finite where there is no picture, and tensors, (C, H, W) each.

    None where no channel of the pictures has two levels, which determines nothing.
    """
    return fit([Moments.of(levels, tensor) for levels, tensor in zip(pixels, tensors, strict=True)])


def fit(moments: Sequence[Moments]) -> Solved | None:
    """solve(), of sums that are there already."""
    whole = Moments.all(moments)
    lines = whole.lines()
    if lines is None:
        return None
    ranked = sorted(zip(lines.squares().tolist(), map(tuple, orders(*lines.slope.shape).tolist()), strict=True))
    best = ranked[0][1]
    scale, offset, square = lines.of(best)
    rms = math.sqrt(square)
    without = [left for part in range(len(whole.count)) if (left := whole.without(part).lines()) is not None]
    scale_within, offset_within = _jackknife([left.of(best)[:2] for left in without], len(best))
    alike = tuple(order for square, order in ranked if math.sqrt(square) <= rms * (1 + 1e-9) + 1e-4)
    return Solved(Affine(best, scale, offset), rms, scale_within, offset_within, alike)


def _jackknife(estimates: Sequence[tuple[Array, Array]], channels: int) -> tuple[Array, Array]:
    """Half the interval's width of the scales and of the offsets, from what the rest says where a part is left out."""
    count = len(estimates)
    if count < 2:
        return np.full(channels, np.inf), np.full(channels, np.inf)
    values = np.array([np.stack(estimate) for estimate in estimates])
    error = np.sqrt((count - 1) / count * ((values - values.mean(axis=0)) ** 2).sum(axis=0)) * student(count - 1, CONFIDENCE)
    return error[0], error[1]


def affine_of(sequence: Iterable[Step]) -> Affine | None:
    """What a recipe's steps ask for behind their geometry, of three channels: None where they are not affine, or mix channels.

    The steps' from_pixels, if there is one, says the order: its pixels are taken as RGB, whatever order the caller's have.
    """
    kept = [step for step in sequence if not isinstance(step, Geometry)]
    kept = [_of_rgb(step) for step in kept]
    if steps.channels_in(kept) not in (None, 3):
        return None
    whole = steps.compose(kept, 3)
    if whole is None or not whole.is_monomial or whole.channels_out != 3:
        return None
    order = tuple(int(np.flatnonzero(row)[0]) for row in whole.matrix)
    return Affine(order, whole.matrix.sum(axis=1), whole.offset)


def _of_rgb(step: Step) -> Step:
    if isinstance(step, FromPixels) and step.color != "ANY" and step.to in ("RGB", "BGR"):
        return FromPixels(layout="NHWC", color="RGB", to=step.to)
    return step
