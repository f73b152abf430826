"""What stands along the axis that a linear operation sums over: which channel of the picture each number is. NumPy only.

In front of a convolution that reads the picture itself these are its channels. Behind a space-to-depth they are the channels of several
pixels side by side, one phase per pixel: S(M x + o) = (M (x) I) S(x) + o (x) 1, so that a map on channels is the same map in every phase.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import NotFoldableError
from ..steps import Affine

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Slots:
    """scale * x[channel] + offset for each of J numbers, where x are the channels of one pixel: the same pixel for all of one phase.

    channel, phase: (J,) int64.  scale, offset: (J,) float64.
    borders: (K, J) float64, what they are where a border of constants lies in place of the picture; a row per border, not a number for
    those that it does not reach.
    """

    channel: Indices
    phase: Indices
    scale: Array
    offset: Array
    borders: Array

    @staticmethod
    def of_channels(channels: int) -> "Slots":
        return Slots(np.arange(channels), np.zeros(channels, np.int64), np.ones(channels), np.zeros(channels), np.empty((0, channels)))

    def __len__(self) -> int:
        return len(self.channel)

    def __call__(self, x: Array) -> Array:
        """The numbers where every pixel is x, (channels,)."""
        values: Array = self.scale * x[self.channel] + self.offset
        return values

    @property
    def digest(self) -> str:
        """Of which channel of which pixel stands where: 12 digits of a sha256."""
        held = np.stack([self.channel, self.phase]).astype("<i8")
        return hashlib.sha256(held.tobytes()).hexdigest()[:12]

    def take(self, rows: NDArray[np.integer]) -> "Slots":
        return Slots(self.channel[rows], self.phase[rows], self.scale[rows], self.offset[rows], self.borders[:, rows])

    def then(self, scale: Array | float, offset: Array | float) -> "Slots":
        return replace(self, scale=self.scale * scale, offset=self.offset * scale + offset, borders=self.borders * scale + offset)

    def spread(self, count: int) -> "Slots":
        """Each of them `count` times, one behind the other, each time of another pixel."""
        rows, turn = np.divmod(np.arange(len(self) * count), count)
        taken = self.take(rows)
        return replace(taken, phase=taken.phase * count + turn)

    def unscaled(self, borders: Array) -> Array:
        """What the picture would hold where these numbers do, (J,) or (K, J)."""
        values: Array = (borders - self.offset) / self.scale
        return values

    def is_level(self, borders: Array) -> bool:
        """Whether all channels of a pixel hold the same in each of the borders (K, J)."""
        order = np.argsort(self.phase, kind="stable")
        turned = borders[:, order]
        same = np.diff(self.phase[order]) == 0
        return bool(np.allclose(turned[:, 1:][:, same], turned[:, :-1][:, same], rtol=1e-12, atol=1e-12, equal_nan=True))

    def beside(self, border: Array) -> "Slots":
        """With the borders (K, J), too."""
        return replace(self, borders=np.unique(np.concatenate([self.borders, border]), axis=0))

    @staticmethod
    def joined(parts: Sequence["Slots"]) -> "Slots":
        """One behind the other. Where one of them has a border, another may be in the picture."""
        most = max(len(part.borders) for part in parts)
        rows = [np.pad(part.borders, [(0, most - len(part.borders)), (0, 0)], constant_values=np.nan) for part in parts]
        columns = [[getattr(part, name) for part in parts] for name in ("channel", "phase", "scale", "offset")]
        channel, phase, scale, offset = map(np.concatenate, columns)
        return Slots(channel, phase, scale, offset, np.concatenate(rows, axis=1))

    def through(self, channels: int) -> Affine | None:
        """The map on channels that makes the numbers of each phase; None where the phases are made by different ones."""
        order = np.argsort(self.phase, kind="stable")
        phases, counts = np.unique(self.phase, return_counts=True)
        if len(set(counts.tolist())) != 1:
            return None
        rows = [values[order].reshape(len(phases), -1) for values in (self.channel, self.scale, self.offset)]
        if any((each != each[0]).any() for each in rows):
            return None
        channel, scale, offset = (each[0] for each in rows)
        return Affine(np.eye(channels)[channel] * scale[:, None], offset)

    def partners(self, phase: Indices, channel: int) -> Indices:
        """Where this channel of the same pixel stands, for each phase of (K,); -1 where it does not. The first of several."""
        where = np.flatnonzero(self.channel == channel)
        if not len(where):
            return np.full(len(phase), -1)
        known, first = np.unique(self.phase[where], return_index=True)
        found = np.minimum(np.searchsorted(known, phase), len(known) - 1)
        return np.where(known[found] == phase, where[first[found]], -1)

    def check_invertible(self) -> None:
        """Raises NotFoldableError for numbers that have lost the channel they come from."""
        if not self.scale.all():
            raise NotFoldableError(
                "the backbone multiplies a channel by 0 before the first convolution, which has no inverse", name="fold-padding"
            )
