"""Sums over the pixels of pairs, of which every line between a picture's channel and a tensor's follows, with its residual."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_PICTURE, _TENSOR, _ONE = slice(0, 3), slice(3, 6), 6
_CENTER = 127.5
"""What grey levels are summed around, for their squares would lose digits."""


@dataclass(frozen=True, eq=False)
class Lines:
    """The least-squares line of each tensor channel c on each picture channel k.

    slope, at_zero: (3, 3), [c, k]; tensor = slope * level + at_zero.  mean_squares: (3, 3) of the residual, in grey levels of that line.
    """

    slope: Array
    at_zero: Array
    mean_squares: Array

    def squares(self, order: tuple[int, ...]) -> float:
        """The mean square of the residual of all channels, in grey levels."""
        return float(self.mean_squares[range(3), order].mean())

    def constants(self, order: tuple[int, ...]) -> tuple[Array, Array]:
        return self.slope[range(3), order], self.at_zero[range(3), order]


@dataclass(frozen=True, eq=False)
class Moments:
    """parts: (P, 7, 7), for each part of a picture the sums of the products of its channels, the tensor's, and 1."""

    parts: Array

    @staticmethod
    def of(levels: NDArray[Any], tensor: NDArray[Any]) -> "Moments":
        """levels: (3, H, W) grey levels, none finite where there is no picture.  tensor: (3, H, W). Four parts: the quarters."""
        height, width = levels.shape[1:]
        rows, columns = (slice(0, height // 2), slice(height // 2, None)), (slice(0, width // 2), slice(width // 2, None))
        return Moments(np.stack([_sums(levels[:, row, column], tensor[:, row, column]) for row in rows for column in columns]))

    @staticmethod
    def undivided(levels: NDArray[Any], tensor: NDArray[Any]) -> "Moments":
        """of(), in one part."""
        return Moments(_sums(levels, tensor)[None])

    def lines(self) -> Lines | None:
        """None where a channel of the picture, or of the tensor, has one value only."""
        sums = self.parts.sum(axis=0)
        count = sums[_ONE, _ONE]
        if not count:
            return None
        means = sums[_ONE] / count
        products = sums / count - np.outer(means, means)
        of_picture, of_tensor = np.diag(products)[_PICTURE], np.diag(products)[_TENSOR]
        crossed = products[_TENSOR, _PICTURE]
        if (of_picture < 1e-6).any() or (of_tensor <= 1e-14 * (1 + means[_TENSOR] ** 2)).any():
            return None
        slope = crossed / of_picture
        left = np.maximum(of_tensor[:, None] - crossed * slope, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            squares = np.where(slope != 0, left / slope**2, np.inf)
        return Lines(slope, means[_TENSOR, None] - slope * (means[_PICTURE] + _CENTER), squares)

    def squares(self, order: tuple[int, ...], scale: Array, offset: Array) -> Array:
        """(P,) the mean square of the residual of each part, in grey levels, with those constants. NaN for parts without pixels."""
        count = self.parts[:, _ONE, _ONE]
        total = np.zeros(len(self.parts))
        for channel, read in enumerate(order):
            line = np.zeros(7)
            line[3 + channel], line[read], line[_ONE] = 1.0, -scale[channel], -(offset[channel] + scale[channel] * _CENTER)
            total += np.maximum(np.einsum("i,pij,j->p", line, self.parts, line), 0.0) / scale[channel] ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(total / (3 * count))


def _sums(levels: NDArray[Any], tensor: NDArray[Any]) -> Array:
    rows = np.ones((7, levels[0].size))
    rows[_PICTURE] = levels.reshape(3, -1)
    rows[_TENSOR] = tensor.reshape(3, -1)
    rows[_PICTURE] -= _CENTER
    known = np.isfinite(rows[_PICTURE]).all(axis=0)
    if not known.all():
        rows = rows[:, known]
    return np.asarray(rows @ rows.T)
