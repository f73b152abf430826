"""How many pixels have each value, exactly: what adds to the same bits in any order. Python's integers wherever 64 bits might not do."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PreprocError
from .over_images import UNIT, OverImages

FLAT, SATURATED = 0.02, 0.25
"""A picture is flat if each of its channels has a std of at most FLAT of the largest value, and saturated if at least the share SATURATED
of a channel's pixels is 0 or the largest value. How opaque it is, its alpha, is no such channel."""
_PER_CHANNEL = ("means", "stds", "mean_squares", "std_squares")
_NUMBERS = ("images", "flat", "saturated", "gray")
_POWERS = {bins: np.arange(bins, dtype=np.int64)[:, None] ** np.arange(3) for bins in (256, 65536)}


@dataclass(frozen=True, eq=False)
class Histogram:
    """Of the pictures of one kind, whose pixels are integers.

    counts: (channels, 256 or 65536) int64, how many pixels have each value.  images: how many pictures.
    means, stds: per channel, the sum over pictures of the picture's own mean and std (correction 0), in units of 2^-40.
    mean_squares, std_squares: the same of their squares, in units of 2^-80.
    flat, saturated, gray: how many pictures are so (gray: all channels have the same histogram).
    """

    counts: NDArray[np.int64]
    images: int
    means: tuple[int, ...]
    stds: tuple[int, ...]
    mean_squares: tuple[int, ...]
    std_squares: tuple[int, ...]
    flat: int
    saturated: int
    gray: int

    @staticmethod
    def of(stack: NDArray[np.int64], *, alpha: bool = False) -> "Histogram":
        """Of pictures, each given by how many of its pixels have each value, (pictures, channels, 256 or 65536), and with at least one
        pixel. alpha: whether the last channel is alpha."""
        means, stds = [], []  # per picture, a number per channel
        for moments in map(_power_sums, stack):
            means.append([total * UNIT // pixels for pixels, total, _ in moments])
            stds.append([math.isqrt((pixels * squares - total**2) * UNIT**2) // pixels for pixels, total, squares in moments])
        top, pixels, colors = stack.shape[2] - 1, stack[:, 0].sum(axis=1), stack.shape[1] - alpha
        cut = stack[:, :colors, 0] + stack[:, :colors, -1]
        return Histogram(
            counts=stack.sum(axis=0),
            images=len(stack),
            means=tuple(map(sum, zip(*means, strict=True))),
            stds=tuple(map(sum, zip(*stds, strict=True))),
            mean_squares=tuple(sum(value**2 for value in channel) for channel in zip(*means, strict=True)),
            std_squares=tuple(sum(value**2 for value in channel) for channel in zip(*stds, strict=True)),
            flat=sum(max(values[:colors]) <= FLAT * top * UNIT for values in stds),
            saturated=int((cut >= SATURATED * pixels[:, None]).any(axis=1).sum()),
            gray=int((stack == stack[:, :1]).all(axis=(1, 2)).sum()) if stack.shape[1] == 3 else 0,
        )

    def __add__(self, other: "Histogram") -> "Histogram":
        """Associative and commutative, bit for bit."""
        if self.counts.shape != other.counts.shape:
            raise PreprocError(
                f"expected histograms of one shape, got {self.counts.shape} and {other.counts.shape}", name="stats-not-mergeable"
            )
        counts = self.counts + other.counts
        if (counts < self.counts).any():
            raise PreprocError("expected fewer than 2^63 pixels of one value, got more", name="too-large")
        sums: dict[str, Any] = {
            name: tuple(a + b for a, b in zip(getattr(self, name), getattr(other, name), strict=True)) for name in _PER_CHANNEL
        }
        sums |= {name: getattr(self, name) + getattr(other, name) for name in _NUMBERS}
        return Histogram(counts=counts, **sums)

    @property
    def channels(self) -> int:
        return len(self.counts)

    @property
    def top(self) -> int:
        """The largest value that a pixel can have."""
        return int(self.counts.shape[1]) - 1

    @property
    def pixels(self) -> int:
        """Of one channel."""
        return sum(self.counts[0].tolist())

    def mean(self) -> list[float]:
        """Over all pixels, in grey levels."""
        return [total / pixels for pixels, total, _ in _power_sums(self.counts)]

    def std(self, *, correction: int = 0) -> list[float]:
        """Over all pixels, in grey levels; correction: as NumPy's ddof."""
        found = []
        for pixels, total, squares in _power_sums(self.counts):
            if pixels <= correction:
                raise PreprocError(
                    f"expected more than {correction} pixels for a std with correction {correction}, got {pixels}", name="stats-incomplete"
                )
            found.append(math.sqrt((pixels * squares - total**2) / (pixels * (pixels - correction))))
        return found

    def mean_over_images(self) -> OverImages:
        """Of the pictures' own means: each picture counts the same, whatever its size."""
        return OverImages.of(self.images, self.means, self.mean_squares)

    def std_over_images(self) -> OverImages:
        """Of the pictures' own stds: what ImageNet's 0.229, 0.224, 0.225 is about."""
        return OverImages.of(self.images, self.stds, self.std_squares)

    def range(self) -> list[tuple[int, int]]:
        """The smallest and the largest value in each channel."""
        return [(int(there[0]), int(there[-1])) for there in map(np.flatnonzero, self.counts)]

    def percentile(self, percent: int) -> list[int]:
        """The smallest value that at least `percent` % of the pixels do not exceed: numpy.percentile's method "inverted_cdf"."""
        rank = max(1, -(-percent * self.pixels // 100))
        return [int(np.searchsorted(np.cumsum(channel), rank)) for channel in self.counts]

    def saturation(self) -> list[tuple[float, float]]:
        """The shares of each channel's pixels that are 0, and that have the largest value."""
        return [(int(channel[0]) / self.pixels, int(channel[-1]) / self.pixels) for channel in self.counts]

    def to_json(self) -> dict[str, Any]:
        """Whole numbers only."""
        return vars(self) | {"counts": self.counts.tolist()} | {name: list(getattr(self, name)) for name in _PER_CHANNEL}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Histogram":
        """Raises PreprocError for what to_json() never writes."""
        counts = np.array(data["counts"], np.int64)
        if counts.ndim != 2 or counts.shape[1] not in (256, 65536) or (counts < 0).any():
            raise PreprocError(f"expected counts of shape (channels, 256 or 65536), got {counts.shape}", name="stats-damaged")
        sums: dict[str, Any] = {name: tuple(map(int, data[name])) for name in _PER_CHANNEL}
        if any(len(sums[name]) != len(counts) for name in _PER_CHANNEL) or len(set(counts.sum(axis=1).tolist())) != 1:
            raise PreprocError("expected as many pixels and sums for each channel, got different numbers", name="stats-damaged")
        sums |= {name: int(data[name]) for name in _NUMBERS}
        if not counts.any():
            raise PreprocError("expected sums of at least one picture, none below 0, got others", name="stats-damaged")
        _check_sums(sums)
        return Histogram(counts=counts, **sums)


def _check_sums(sums: Mapping[str, Any]) -> None:
    """Raises PreprocError for sums that no pictures have."""
    numbers = [value for name in _PER_CHANNEL for value in sums[name]] + [sums[name] for name in _NUMBERS]
    if min(numbers) < 0 or sums["images"] < 1 or max(numbers) > sums["images"] * (UNIT << 16) ** 2:
        raise PreprocError("expected sums of at least one picture, none below 0, got others", name="stats-damaged")
    for sums_of, squares_of in (("means", "mean_squares"), ("stds", "std_squares")):
        if any(a * a > sums["images"] * b for a, b in zip(sums[sums_of], sums[squares_of], strict=True)):
            raise PreprocError("expected sums of so many pictures, got sums that their squares are too small for", name="stats-damaged")


def _power_sums(counts: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """For each channel how many pixels, their sum, and the sum of their squares."""
    powers = _POWERS[counts.shape[1]]
    if int(counts.max()) < (1 << 63) // int(powers.sum()):  # then no sum leaves 64 bits
        return [(int(pixels), int(total), int(squares)) for pixels, total, squares in (counts @ powers).tolist()]
    columns = [column.tolist() for column in powers.T]
    return [tuple(sum(n * power for n, power in zip(channel, column, strict=True)) for column in columns) for channel in counts.tolist()]
