"""Mean and squared deviations of pixels that are floats, which no histogram holds."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PreprocError


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
