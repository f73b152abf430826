"""Statistics over pictures, each of which counts the same, whatever its size; and how sure they are of a sample."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

UNIT = 1 << 40
"""Sums over pictures are kept as integers in units of 1 / UNIT grey levels, each picture's share rounded down."""
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
        """sums: per channel, in units of 1 / UNIT.  squares: the sums of their squares, in units of 1 / UNIT^2."""
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
