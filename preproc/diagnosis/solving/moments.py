"""Sums over the pixels of pairs, of which every line between a picture's channel and a tensor's follows, and how far any map is off."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import steps

Array = NDArray[np.float64]


@cache
def orders(channels: int, of: int) -> NDArray[np.intp]:
    """(O, C) of every tensor channel the picture's channel, of so many, no one twice; their own order first."""
    return np.array(list(itertools.permutations(range(of), channels)))


@dataclass(frozen=True, eq=False)
class Lines:
    """The least-squares line of each tensor channel c on each picture channel k.

    slope, at_zero: (C, K), [c, k]; tensor = slope * level + at_zero.  mean_squares: (C, K) of the residual, in grey levels of that line.
    """

    slope: Array
    at_zero: Array
    mean_squares: Array

    def squares(self) -> Array:
        """(O,) of each of orders() the mean square of the residual of all channels, in grey levels."""
        channels, of = self.mean_squares.shape
        return np.asarray(self.mean_squares[np.arange(channels), orders(channels, of)].sum(axis=1) / channels)

    def of(self, order: tuple[int, ...]) -> tuple[Array, Array, float]:
        """The slopes, (C,), what the tensor has where the picture is black, (C,), and the mean square of the residual."""
        taken = list(range(len(order))), list(order)
        return self.slope[taken], self.at_zero[taken], float(self.mean_squares[taken].mean())


@dataclass(frozen=True, eq=False)
class Moments:
    """Of pictures' channels, K, and the tensors' behind them, C, part by part. count: (P,) pixels.  mean: (P, K + C).  scatter: (P, K + C,
    K + C), the sums of the products of what they are off their means."""

    count: Array
    mean: Array
    scatter: Array
    channels: int
    """K"""

    @staticmethod
    def of(levels: NDArray[Any], tensor: NDArray[Any]) -> "Moments":
        """levels: (K, H, W) grey levels, none finite where there is no picture.  tensor: (C, H, W). Four parts: the quarters."""
        height, width = levels.shape[1:]
        rows, columns = (slice(0, height // 2), slice(height // 2, None)), (slice(0, width // 2), slice(width // 2, None))
        return Moments.all(Moments.undivided(levels[:, row, column], tensor[:, row, column]) for row in rows for column in columns)

    @staticmethod
    def undivided(levels: NDArray[Any], tensor: NDArray[Any]) -> "Moments":
        """of(), in one part."""
        both = np.concatenate([levels, tensor], dtype=np.float64).reshape(len(levels) + len(tensor), -1)
        if levels.dtype != np.uint8 and not (known := np.isfinite(both[: len(levels)]).all(axis=0)).all():
            both = both[:, known]
        mean = both.sum(axis=1) / max(both.shape[1], 1)
        off = both - mean[:, None]
        return Moments(np.array([float(both.shape[1])]), mean[None], (off @ off.T)[None], len(levels))

    @staticmethod
    def all(each: Iterable["Moments"]) -> "Moments":
        """The parts of all."""
        parts = list(each)
        count, mean, scatter = (np.concatenate([getattr(part, name) for part in parts]) for name in ("count", "mean", "scatter"))
        return Moments(count, mean, scatter, parts[0].channels)

    def without(self, part: int) -> "Moments":
        count, mean, scatter = (np.delete(sums, part, axis=0) for sums in (self.count, self.mean, self.scatter))
        return Moments(count, mean, scatter, self.channels)

    def lines(self) -> Lines | None:
        """None where a channel of the pictures, or of the tensors, has one value only."""
        count, mean, scatter = self._whole()
        if not count:
            return None
        channels = self.channels
        variance = scatter.diagonal() / count
        of_picture, of_tensor = variance[:channels], variance[channels:]
        if (of_picture < 1e-6).any() or (of_tensor <= 1e-14 * (1 + mean[channels:] ** 2)).any():
            return None
        crossed = scatter[channels:, :channels] / count
        slope = crossed / of_picture
        left = np.maximum(of_tensor[:, None] - crossed * slope, 0.0)
        squares = np.where(slope != 0, left / np.where(slope != 0, slope, 1.0) ** 2, np.inf)
        return Lines(slope, mean[channels:, None] - slope * mean[:channels], squares)

    def solved(self) -> steps.Affine | None:
        """The map of least squares that takes each channel of the tensors from one of the pictures' that no other is taken from, in their
        own order where none is better, or the tensors' only one from a mix of them; None where a channel is flat."""
        if self.channels > self.mean.shape[1] - self.channels:
            return self._mixing()
        lines = self.lines()
        if lines is None:
            return None
        order = orders(*lines.slope.shape)[int(np.argmin(lines.squares().round(9)))]
        slope, at_zero, _ = lines.of(tuple(order.tolist()))
        matrix = np.zeros_like(lines.slope)
        matrix[np.arange(len(order)), order] = slope
        return steps.Affine(matrix, at_zero)

    def mixed(self) -> tuple[Array, float] | None:
        """The mix of the pictures' channels that is most like the tensors' first one, (K,), whose weights sum up to 1, and the mean square
        of what is left, in grey levels of it. None where either has one value only, or where the weights cancel out."""
        found = self._mixing()
        weights = None if found is None else found.matrix[0]
        if found is None or weights is None or abs(weights.sum()) < 1e-3 * np.abs(weights).sum():
            return None
        count, _, scatter = self._whole()
        k, total = self.channels, float(weights.sum())
        left = max(float(scatter[k, k] - weights @ scatter[:k, k]), 0.0)
        return weights / total, left / count / total**2

    def _mixing(self) -> steps.Affine | None:
        """The map of least squares from the pictures' channels to the tensors' first one."""
        count, mean, scatter = self._whole()
        k = self.channels
        if not count or scatter[k, k] <= 0 or not np.diag(scatter)[:k].any():
            return None
        weights = np.linalg.lstsq(scatter[:k, :k], scatter[:k, k], rcond=1e-10)[0]
        return steps.Affine(np.asarray(weights[None], np.float64), mean[k : k + 1] - weights @ mean[:k])

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

    def residuals(self, maps: Sequence[steps.Affine]) -> Array:
        """(N,) root mean squares of what each map is off all tensors, in its own grey levels; infinite where it scales them by nothing."""
        count, mean, scatter = self._whole()
        matrices, offsets = np.stack([each.matrix for each in maps]), np.stack([each.offset for each in maps])
        scale = np.abs(matrices).sum(axis=2)
        both = np.concatenate([matrices, np.broadcast_to(-np.eye(scale.shape[1]), (len(maps), *[scale.shape[1]] * 2))], axis=2)
        bias = both @ mean + offsets
        off = ((both @ scatter) * both).sum(axis=2).clip(0) / count + bias**2
        found = np.sqrt((off / np.where(scale > 0, scale, 1) ** 2).mean(axis=1))
        return np.asarray(np.where((scale > 0).all(axis=1), found, np.inf))

    def merged(self) -> "Moments":
        """In one part."""
        count, mean, scatter = self._whole()
        return Moments(np.array([count]), mean[None], scatter[None], self.channels)

    def _whole(self) -> tuple[float, Array, Array]:
        """The count, the mean and the scatter of all parts as one."""
        if len(self.count) == 1:
            return float(self.count[0]), self.mean[0], self.scatter[0]
        count = float(self.count.sum())
        mean = (self.count @ self.mean) / max(count, 1.0)
        off = self.mean - mean
        return count, mean, self.scatter.sum(axis=0) + (off * self.count[:, None]).T @ off
