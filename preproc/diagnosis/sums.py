"""How near an affine map of grey levels comes to tensors: from sums alone, for as many maps as one likes."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from ..steps import Affine
from .mistake import Array


@dataclass(frozen=True, eq=False)
class Sums:
    """Of the numbers that belong together: grey levels, C channels, and behind them the tensors' as many. count: pixels.  mean: (2C,).
    scatter: (2C, 2C), the sums of the products of what they are off their means."""

    count: int
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64]

    @staticmethod
    def of(levels: Array, tensor: Array) -> "Sums":
        """levels, tensor: (C, H, W)."""
        both = np.concatenate([levels, tensor]).reshape(2 * len(levels), -1)
        mean = both.mean(axis=1)
        off = both - mean[:, None]
        return Sums(both.shape[1], mean, off @ off.T)

    @staticmethod
    def all(each: Iterable["Sums"]) -> "Sums":
        return reduce(Sums._with, each)

    def _with(self, other: "Sums") -> "Sums":
        count, apart = self.count + other.count, other.mean - self.mean
        share = other.count / count
        scatter = self.scatter + other.scatter + np.outer(apart, apart) * self.count * share
        return Sums(count, self.mean + apart * share, scatter)

    def ordered(self, order: tuple[int, ...] | None) -> "Sums":
        """With the levels' channels in that order."""
        if order is None:
            return self
        taken = [*order, *range(len(order), len(self.mean))]
        return Sums(self.count, self.mean[taken], self.scatter[np.ix_(taken, taken)])

    def residual(self, affine: Affine) -> float:
        """Root mean square of what the map is off the tensors, in grey levels as the map itself scales them."""
        matrix, scale = affine.matrix, np.abs(affine.matrix).sum(axis=1)
        channels = len(scale)
        both = np.hstack([matrix, -np.eye(channels)])
        bias = both @ self.mean + affine.offset
        squares = np.einsum("ci,ij,cj->c", both, self.scatter, both) / self.count + bias**2
        return float(np.sqrt(np.mean(squares.clip(0) / np.where(scale > 0, scale, np.nan) ** 2))) if (scale > 0).all() else float("inf")

    def solved(self) -> Affine | None:
        """The map of least squares, in grey levels, that takes each channel of the tensors from one of the levels that no other is taken
        from, in their own order where none is better; None where a channel is flat."""
        channels = len(self.mean) // 2
        spread = np.sqrt(np.diag(self.scatter))
        if not (spread > 0).all():
            return None
        together = self.scatter[channels:, :channels]
        with np.errstate(divide="ignore"):
            correlated = (together / np.outer(spread[channels:], spread[:channels])) ** 2
            off = (spread[:channels] ** 2 * (1 / correlated - 1).clip(0)) / self.count
        rows = list(range(channels))
        taken = list(min(itertools.permutations(rows), key=lambda order: round(float(off[rows, list(order)].sum()), 9)))
        matrix = np.zeros((channels, channels))
        matrix[rows, taken] = together[rows, taken] / spread[taken] ** 2
        return Affine(matrix, self.mean[channels:] - matrix @ self.mean[:channels])
