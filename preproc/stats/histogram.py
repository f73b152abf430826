"""Exact statistics of pixels: counts, which add to the same bits in any order. Python's integers wherever 64 bits might not do."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PreprocError

UNIT = 1 << 40
"""Sums over pictures are kept as integers in units of 1 / UNIT grey levels, each picture's share rounded down."""
FLAT, SATURATED = 0.02, 0.25
"""A picture is flat if each of its channels has a std of at most FLAT of the largest value, and saturated if at least the share SATURATED
of a channel's pixels is 0 or the largest value. How opaque it is, its alpha, is no such channel."""
WITH_ALPHA = ("RGBA", "GRAY + alpha", "palette + alpha")
"""Kinds whose last channel is alpha, as they are called at 8 bits."""


def has_alpha(kind: str) -> bool:
    return kind.removesuffix(" 16 bit").removesuffix(" float") in WITH_ALPHA


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
        for moments in map(_moments, stack):
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
        return [total / pixels for pixels, total, _ in _moments(self.counts)]

    def std(self, *, correction: int = 0) -> list[float]:
        """Over all pixels, in grey levels; correction: as NumPy's ddof."""
        found = []
        for pixels, total, squares in _moments(self.counts):
            if pixels <= correction:
                raise PreprocError(
                    f"expected more than {correction} pixels for a std with correction {correction}, got {pixels}", name="stats-incomplete"
                )
            found.append(math.sqrt((pixels * squares - total**2) / (pixels * (pixels - correction))))
        return found

    def mean_over_images(self) -> "OverImages":
        """Of the pictures' own means: each picture counts the same, whatever its size."""
        return OverImages.of(self.images, self.means, self.mean_squares)

    def std_over_images(self) -> "OverImages":
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
        return {"counts": self.counts.tolist()} | {
            key.name: _plain(getattr(self, key.name)) for key in fields(self) if key.name != "counts"
        }

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
        numbers = [value for name in _PER_CHANNEL for value in sums[name]] + [sums[name] for name in _NUMBERS]
        if min(numbers) < 0 or sums["images"] < 1 or not counts.any() or max(numbers) > sums["images"] * (UNIT << 16) ** 2:
            raise PreprocError("expected sums of at least one picture, none below 0, got others", name="stats-damaged")
        for sums_of, squares_of in (("means", "mean_squares"), ("stds", "std_squares")):
            if any(a * a > sums["images"] * b for a, b in zip(sums[sums_of], sums[squares_of], strict=True)):
                raise PreprocError("expected sums of so many pictures, got sums that their squares are too small for", name="stats-damaged")
        return Histogram(counts=counts, **sums)


_PER_CHANNEL = ("means", "stds", "mean_squares", "std_squares")
_NUMBERS = ("images", "flat", "saturated", "gray")


FEW = 30
"""Pictures from which on a normal interval is told."""


@dataclass(frozen=True)
class OverImages:
    """mean: the mean over pictures, in grey levels.  spread: their std (correction 1), NaN for one picture.  images: how many."""

    mean: list[float]
    spread: list[float]
    images: int

    @staticmethod
    def of(images: int, sums: Sequence[int], squares: Sequence[int]) -> "OverImages":
        spread = [math.nan] * len(sums)
        if images > 1:
            spread = [math.sqrt(Fraction(images * b - a**2, images * (images - 1) * UNIT**2)) for a, b in zip(sums, squares, strict=True)]
        return OverImages([total / (images * UNIT) for total in sums], spread, images)

    def margin(self, population: int) -> list[float]:
        """Half of the 95 % confidence interval of the mean, if these are a random sample, without replacement, of `population` pictures.
        NaN for fewer than FEW pictures, whose spread says too little of the population's, unless they are all."""
        if self.images >= population:
            return [0.0] * len(self.spread)
        if self.images < FEW:
            return [math.nan] * len(self.spread)
        left = max(0.0, 1 - self.images / population)
        return [1.96 * spread * math.sqrt(left / self.images) for spread in self.spread]


def _moments(counts: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """For each channel how many pixels, their sum, and the sum of their squares."""
    powers = _POWERS[counts.shape[1]]
    if int(counts.max()) < (1 << 63) // int(powers.sum()):  # then no sum leaves 64 bits
        return [(int(pixels), int(total), int(squares)) for pixels, total, squares in (counts @ powers).tolist()]
    columns = [column.tolist() for column in powers.T]
    return [tuple(sum(n * power for n, power in zip(channel, column, strict=True)) for column in columns) for channel in counts.tolist()]


_POWERS = {bins: np.arange(bins, dtype=np.int64)[:, None] ** np.arange(3) for bins in (256, 65536)}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True, eq=False)
class Moments:
    """Of the pictures of one kind, whose pixels are floats: merged mean and M2 in float64 (Chan, Golub, LeVeque 1979, "Updating formulae
    and a pairwise algorithm for computing sample variances").

    Merged in another order the result differs by rounding: within 1e-12 of the largest value.
    pixels: of one channel.  mean, m2, low, high: (channels,) float64.  means, stds: sums over pictures, as Histogram's, in float64.
    """

    images: int
    pixels: int
    mean: NDArray[np.float64]
    m2: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    means: NDArray[np.float64]
    stds: NDArray[np.float64]

    @staticmethod
    def of(picture: NDArray[Any]) -> "Moments":
        """Of one picture, (channels, pixels) float."""
        values = np.asarray(picture, np.float64)
        if values.size == 0:
            raise PreprocError("expected a picture with pixels, got none (a mask that selects nothing?)", name="picture-unfit")
        if not np.isfinite(values).all():
            raise PreprocError("expected finite pixels, got an infinity or a NaN", name="not-finite")
        mean = values.mean(axis=1)
        with np.errstate(over="ignore"):
            m2 = ((values - mean[:, None]) ** 2).sum(axis=1)
        if not np.isfinite(m2).all():
            raise PreprocError("expected floats whose squares are finite, got larger ones", name="not-finite")
        std = np.sqrt(m2 / values.shape[1])
        return Moments(1, values.shape[1], mean, m2, values.min(axis=1), values.max(axis=1), mean, std)

    def __add__(self, other: "Moments") -> "Moments":
        if len(self.mean) != len(other.mean):
            raise PreprocError(
                f"expected pictures of one channel count, got {len(self.mean)} and {len(other.mean)}", name="stats-not-mergeable"
            )
        pixels, delta = self.pixels + other.pixels, other.mean - self.mean
        return Moments(
            self.images + other.images,
            pixels,
            self.mean + delta * (other.pixels / pixels),
            self.m2 + other.m2 + delta**2 * (self.pixels / pixels * other.pixels),
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.means + other.means,
            self.stds + other.stds,
        )

    @property
    def channels(self) -> int:
        return len(self.mean)

    def std(self, *, correction: int = 0) -> list[float]:
        """Over all pixels."""
        found: list[float] = np.sqrt(self.m2 / (self.pixels - correction)).tolist()
        return found

    def to_json(self) -> dict[str, Any]:
        return {key.name: np.asarray(getattr(self, key.name)).tolist() for key in fields(self)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Moments":
        lists = {key.name: np.array(data[key.name], np.float64) for key in fields(Moments) if key.name not in ("images", "pixels")}
        if not all(values.shape == (len(lists["mean"]),) and np.isfinite(values).all() and values.size for values in lists.values()):
            raise PreprocError("expected finite sums for each channel, got others", name="stats-damaged")
        if int(data["images"]) < 1 or int(data["pixels"]) < 1 or lists["m2"].min() < 0:
            raise PreprocError("expected sums of at least one picture, got others", name="stats-damaged")
        return Moments(images=int(data["images"]), pixels=int(data["pixels"]), **lists)


Kind = Histogram | Moments
Counted = tuple[str, NDArray[np.int64] | Moments]
"""One picture: its kind, and how many of its pixels have each value, (channels, 256 or 65536), or for floats their moments."""
BATCH = 32
"""Pictures whose histograms wait to be summed together."""


class _Batch:
    """Pictures of one kind whose histograms wait to be summed together. They are copied: as long as each one's own array lives, the
    allocator does not give the next picture the memory of the last, which costs a tenth of the time that decoding takes."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.counts, self.size = np.empty((BATCH, *shape), np.int64), 0

    def add(self, counts: NDArray[np.int64]) -> None:
        self.counts[self.size] = counts
        self.size += 1

    def histogram(self, kind: str) -> Histogram:
        return Histogram.of(self.counts[: self.size], alpha=has_alpha(kind))


@dataclass(frozen=True, eq=False)
class Accumulator:
    """Pictures by kind ("RGB", "GRAY", "GRAY 16 bit", "RGB float", ...), which are never mixed."""

    kinds: Mapping[str, Kind] = field(default_factory=lambda: MappingProxyType({}))

    def __add__(self, other: "Accumulator") -> "Accumulator":
        """Bit for bit the same in any order, but for kinds of floats."""
        merged = dict(self.kinds)
        for name, kind in other.kinds.items():
            if type(merged.get(name, kind)) is not type(kind):
                raise PreprocError(
                    f"expected pictures of {name} with integers in both, or with floats in both, got one of each", name="several-kinds"
                )
            merged[name] = kind if name not in merged else merged[name] + kind  # type: ignore[operator]
        return Accumulator(MappingProxyType(dict(sorted(merged.items()))))

    @property
    def images(self) -> int:
        return sum(kind.images for kind in self.kinds.values())

    @staticmethod
    def of(found: Iterable["Counted"]) -> "Accumulator":
        """Of pictures, in batches, so that Python's share is small."""
        total, waiting = Accumulator(), dict[str, _Batch]()
        for name, one in found:
            if isinstance(one, Moments):
                total += Accumulator({name: one})
                continue
            batch = waiting.get(name) or waiting.setdefault(name, _Batch(one.shape))
            batch.add(one)
            if batch.size == BATCH:
                total += Accumulator({name: waiting.pop(name).histogram(name)})
        return total + Accumulator({name: batch.histogram(name) for name, batch in waiting.items()})

    def to_json(self) -> dict[str, Any]:
        return {name: kind.to_json() for name, kind in self.kinds.items()}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Accumulator":
        """Raises PreprocError for what to_json() never writes."""
        try:
            kinds = {name: (Histogram if "counts" in kind else Moments).from_json(kind) for name, kind in data.items()}
        except PreprocError:
            raise
        except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise PreprocError(
                f"expected an accumulator of preproc stats, got one without or with a wrong {error}", name="stats-damaged"
            ) from error
        return Accumulator(MappingProxyType(dict(sorted(kinds.items()))))

    def to_bytes(self) -> bytes:
        """Canonical: the same accumulator, the same bytes."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":")).encode()

    def sha256(self) -> str:
        return hashlib.sha256(self.to_bytes()).hexdigest()
