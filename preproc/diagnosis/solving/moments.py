"""Sums over the pixels of pairs, of which every line between a picture's channel and a tensor's follows, and how far any map is off."""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import steps

Array = NDArray[np.float64]


@cache
def orders(channels: int) -> NDArray[np.intp]:
    """(O, C) of every tensor channel the picture's channel, no one twice; their own order first."""
    return np.array(list(itertools.permutations(range(channels))))


@dataclass(frozen=True, eq=False)
class Lines:
    """The least-squares line of each tensor channel c on each picture channel k.

    slope, at_zero: (C, C), [c, k]; tensor = slope * level + at_zero.  mean_squares: (C, C) of the residual, in grey levels of that line.
    """

    slope: Array
    at_zero: Array
    mean_squares: Array

    def squares(self) -> Array:
        """(O,) of each of orders() the mean square of the residual of all channels, in grey levels."""
        rows = np.arange(len(self.mean_squares))
        return np.asarray(self.mean_squares[rows, orders(len(rows))].mean(axis=1))

    def of(self, order: tuple[int, ...]) -> tuple[Array, Array, float]:
        """The slopes, (C,), what the tensor has where the picture is black, (C,), and the mean square of the residual."""
        taken = list(range(len(order))), list(order)
        return self.slope[taken], self.at_zero[taken], float(self.mean_squares[taken].mean())


@dataclass(frozen=True, eq=False)
class Moments:
    """Of pictures' channels, C, and the tensors' as many behind them, part by part. count: (P,) pixels.  mean: (P, 2C).  scatter: (P, 2C,
    2C), the sums of the products of what they are off their means."""

    count: Array
    mean: Array
    scatter: Array

    @staticmethod
    def of(levels: NDArray[Any], tensor: NDArray[Any]) -> "Moments":
        """levels: (C, H, W) grey levels, none finite where there is no picture.  tensor: (C, H, W). Four parts: the quarters."""
        height, width = levels.shape[1:]
        rows, columns = (slice(0, height // 2), slice(height // 2, None)), (slice(0, width // 2), slice(width // 2, None))
        return Moments.all(Moments.undivided(levels[:, row, column], tensor[:, row, column]) for row in rows for column in columns)

    @staticmethod
    def undivided(levels: NDArray[Any], tensor: NDArray[Any]) -> "Moments":
        """of(), in one part."""
        both = np.concatenate([levels, tensor], dtype=np.float64).reshape(2 * len(levels), -1)
        known = np.isfinite(both[: len(levels)]).all(axis=0)
        if not known.all():
            both = both[:, known]
        mean = both.mean(axis=1) if both.size else np.zeros(len(both))
        off = both - mean[:, None]
        return Moments(np.array([float(both.shape[1])]), mean[None], (off @ off.T)[None])

    @staticmethod
    def all(each: Iterable["Moments"]) -> "Moments":
        """The parts of all."""
        parts = list(each)
        return Moments(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("count", "mean", "scatter")))

    def ordered(self, order: tuple[int, ...] | None) -> "Moments":
        """With the pictures' channels in that order."""
        if order is None:
            return self
        taken = [*order, *range(len(order), self.mean.shape[1])]
        return Moments(self.count, self.mean[:, taken], self.scatter[:, taken][:, :, taken])

    def without(self, part: int) -> "Moments":
        return Moments(*(np.delete(sums, part, axis=0) for sums in (self.count, self.mean, self.scatter)))

    def lines(self) -> Lines | None:
        """None where a channel of the pictures, or of the tensors, has one value only."""
        count, mean, scatter = self._whole()
        if not count:
            return None
        channels = len(mean) // 2
        of_picture, of_tensor = np.split(np.diag(scatter) / count, 2)
        if (of_picture < 1e-6).any() or (of_tensor <= 1e-14 * (1 + mean[channels:] ** 2)).any():
            return None
        crossed = scatter[channels:, :channels] / count
        slope = crossed / of_picture
        left = np.maximum(of_tensor[:, None] - crossed * slope, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            squares = np.where(slope != 0, left / slope**2, np.inf)
        return Lines(slope, mean[channels:, None] - slope * mean[:channels], squares)

    def solved(self) -> steps.Affine | None:
        """The map of least squares that takes each channel of the tensors from one of the pictures' that no other is taken from, in their
        own order where none is better; None where a channel is flat."""
        lines = self.lines()
        if lines is None:
            return None
        order = orders(len(lines.slope))[int(np.argmin(lines.squares().round(9)))]
        slope, at_zero, _ = lines.of(tuple(order.tolist()))
        matrix = np.zeros_like(lines.slope)
        matrix[np.arange(len(order)), order] = slope
        return steps.Affine(matrix, at_zero)

    def squares(self, affine: steps.Affine) -> Array:
        """(P,) the mean square of what the map is off the tensors in each part, in grey levels as the map itself scales them: infinite
        where it scales them by nothing. NaN for parts without pixels."""
        scale = np.abs(affine.matrix).sum(axis=1)
        if not (scale > 0).all():
            return np.full(len(self.count), np.inf)
        both = np.hstack([affine.matrix, -np.eye(len(scale))])
        bias = self.mean @ both.T + affine.offset
        with np.errstate(invalid="ignore", divide="ignore"):
            off = np.einsum("ci,pij,cj->pc", both, self.scatter, both).clip(0) / self.count[:, None] + bias**2
        return np.asarray((off / scale**2).mean(axis=1))

    def residual(self, affine: steps.Affine) -> float:
        """Root mean square of what the map is off all tensors, in its grey levels."""
        return math.sqrt(Moments(*(np.asarray(sums)[None] for sums in self._whole())).squares(affine)[0])

    def _whole(self) -> tuple[float, Array, Array]:
        """The count, the mean and the scatter of all parts as one."""
        count = float(self.count.sum())
        mean = (self.count @ self.mean) / max(count, 1.0)
        off = self.mean - mean
        return count, mean, self.scatter.sum(axis=0) + (off * self.count[:, None]).T @ off
