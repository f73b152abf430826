"""What stats.json tells of the sums: a summary of each kind, the constants of a normalization, and how sure they are."""

import math
from typing import Any

from .sums import INDICES, Accumulator, Histogram, Kind, Moments, channel_names

COLORS = ("RGB", "GRAY", "RGBA")
"""Kinds that a recipe's colour has a word for."""


def summary(name: str, kind: Kind) -> dict[str, Any]:
    """One kind for people, in grey levels (floats: in their own unit)."""
    told: dict[str, Any] = {"images": kind.images, "pixels": kind.pixels, "channels": list(channel_names(name, kind.channels))}
    if name in INDICES:
        return told
    if isinstance(kind, Moments):
        told |= {"mean": kind.mean.tolist(), "std": kind.std(), "min": kind.low.tolist(), "max": kind.high.tolist()}
        return told | {"mean_of_stds": (kind.stds / kind.images).tolist()}
    low, high = zip(*kind.range(), strict=True)
    told |= {"top": kind.top, "mean": kind.mean(), "std": kind.std(), "min": list(low), "max": list(high)}
    told |= {"percentiles": {str(percent): kind.percentile(percent) for percent in (1, 5, 25, 50, 75, 95, 99)}}
    told |= {"share_at_0": [zero for zero, _ in kind.saturation()], "share_at_top": [full for _, full in kind.saturation()]}
    told |= {"mean_of_means": kind.mean_over_images().mean, "mean_of_stds": kind.std_over_images().mean}
    return told | {"flat_images": kind.flat, "saturated_images": kind.saturated, "gray_images": kind.gray}


def mean_and_std(kind: Kind, *, correction: int = 0) -> tuple[list[float], list[float]]:
    """Over all pixels, in the unit 0-1 (floats: in their own)."""
    top = kind.top if isinstance(kind, Histogram) else 1
    mean = kind.mean() if isinstance(kind, Histogram) else kind.mean.tolist()
    return [value / top for value in mean], [value / top for value in kind.std(correction=correction)]


def constants(accumulator: Accumulator) -> dict[str, Any]:
    """What Normalize.from_stats() reads, if all pictures are of one kind whose pixels are colours in 0-1."""
    if len(accumulator.kinds) != 1 or set(accumulator.kinds) & set(INDICES):
        return {}
    ((name, kind),) = accumulator.kinds.items()
    if isinstance(kind, Moments) and (kind.low.min() < 0 or kind.high.max() > 1):  # floats in 0..255 have another unit
        return {}
    mean, std = mean_and_std(kind)
    word = name.split()[0]
    told = {"unit": "0-1", "color": word if word in COLORS else "ANY", "mean": mean, "std": std, "correction": 0}
    return told | {"images": kind.images, "pixels": kind.pixels}


def intervals(accumulator: Accumulator, population: int) -> dict[str, Any]:
    """Of a sample of so many pictures: half of the 95 % confidence intervals of the pictures' means and stds, in grey levels; null for too
    few pictures."""
    found: dict[str, Any] = {}
    for name, kind in accumulator.kinds.items():
        if isinstance(kind, Histogram):
            both = {"mean_of_means": kind.mean_over_images(), "mean_of_stds": kind.std_over_images()}
            margins = {word: over.margin(population) for word, over in both.items()}
            found[name] = {word: None if math.isnan(values[0]) else values for word, values in margins.items()}
    return found
