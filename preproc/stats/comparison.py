"""How far one data set is from another, channel by channel."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..errors import PreprocError
from .stats import Stats
from .sums import INDICES, Histogram, Kind, channel_names


@dataclass(frozen=True)
class Drift:
    """One channel of one kind. effect: Cohen's d, the difference of the means over the pooled std ("Statistical Power Analysis for the
    Behavioral Sciences", 1988): 0.2 is small, 0.8 is large.  distance: the Wasserstein distance between the two histograms, the work of
    moving one onto the other, as a share of the largest value; None for pixels that are floats.  shift: the same in pooled stds."""

    kind: str
    channel: str
    means: tuple[float, float]
    stds: tuple[float, float]
    effect: float
    distance: float | None
    shift: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain data; an effect without bound, of channels that do not vary, is null."""
        told = vars(self) | {"moved": self.moved}
        return {key: value if not isinstance(value, float) or math.isfinite(value) else None for key, value in told.items()}

    @property
    def moved(self) -> float:
        """The larger of the effect's size and the shift: what a threshold is for. Two channels of one mean may be as different as a picture
        and its negative."""
        return max(abs(self.effect), self.shift)


class Comparison(NamedTuple):
    """channels: of the kinds that both have, at least one.  alone: the kinds that only one has, each in a sentence."""

    channels: list[Drift]
    alone: list[str]

    @property
    def farthest(self) -> Drift:
        """The channel that has moved most."""
        return max(self.channels, key=lambda channel: channel.moved)

    def beyond(self, limit: float) -> list[str]:
        """What is wrong, if channels may move by so many stds at most, in sentences."""
        largest, where = self.farthest.moved, f"{self.farthest.kind} {self.farthest.channel}"
        reasons = [f"expected moves of at most {limit:g} stds, got {largest:.3g} in {where}"] if largest > limit else []
        return reasons + [f"expected the same kinds of pictures in both, but {text}" for text in self.alone]

    def to_json(self) -> dict[str, Any]:
        """Plain data; a move without bound is null."""
        farthest = self.farthest
        return {
            "channels": [channel.to_json() for channel in self.channels],
            "alone": self.alone,
            "largest": farthest.moved if farthest.moved < math.inf else None,
            "largest_in": f"{farthest.kind} {farthest.channel}",
        }


def drift(old: Stats, new: Stats) -> Comparison:
    """Raises PreprocError if no kind is common."""
    ours, theirs = dict(old.accumulator.kinds), dict(new.accumulator.kinds)
    alone = [f"{kind.images} pictures are {name} in the first and none in the second" for name, kind in ours.items() if name not in theirs]
    alone += [f"{kind.images} pictures are {name} in the second and none in the first" for name, kind in theirs.items() if name not in ours]
    common = [name for name in ours if name in theirs and name not in INDICES]
    if not common:
        raise PreprocError(
            f"expected pictures of a common kind to compare, got {', '.join(ours) or 'none'} and {', '.join(theirs) or 'none'}",
            name="several-kinds",
        )
    return Comparison([found for name in common for found in _channels(name, ours[name], theirs[name])], alone)


def _channels(name: str, old: Kind, new: Kind) -> list[Drift]:
    means, stds = [_mean(kind) for kind in (old, new)], [kind.std() for kind in (old, new)]
    found = []
    for number, channel in enumerate(channel_names(name, old.channels)):
        pair, spread = (means[0][number], means[1][number]), (stds[0][number], stds[1][number])
        pooled = math.sqrt((spread[0] ** 2 + spread[1] ** 2) / 2)
        shift = pair[1] - pair[0]
        effect = shift / pooled if pooled else 0.0 if shift == 0 else math.copysign(math.inf, shift)
        distance = _wasserstein(old, new, number) if isinstance(old, Histogram) and isinstance(new, Histogram) else None
        moved = 0.0
        if distance is not None and isinstance(old, Histogram):
            moved = distance * old.top / pooled if pooled else 0.0 if distance == 0 else math.inf
        found.append(Drift(name, channel, pair, spread, effect, distance, moved))
    return found


def _mean(kind: Kind) -> list[float]:
    found: list[float] = kind.mean() if isinstance(kind, Histogram) else kind.mean.tolist()
    return found


def _wasserstein(old: Histogram, new: Histogram, channel: int) -> float:
    shares = [np.cumsum(kind.counts[channel]) / kind.pixels for kind in (old, new)]
    return float(np.abs(shares[1] - shares[0]).sum() / old.top)
