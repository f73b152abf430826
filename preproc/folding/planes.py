"""What an operation makes of flat planes tells what it does to channels, however it is spelt. NumPy only.

A network is fed with a few pictures whose channels are constant planes. As long as every number that it makes of them is an affine map
of the planes' levels, its values still are the pixels' own channels, shifted and scaled: reshaped, cut, stacked, resized or not. A
normalization is such a map, and its constants are found by regression.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..steps import Affine

BRIGHTEST = (1.0, 255.0, 65535.0)
"""What full brightness may be for a network: behind a clip to 0..1 larger levels would look alike, in float32 smaller ones beside 32768."""
FEEDS = 6
"""Pictures: more than the levels of four channels and an offset, so that the regression has something left to fail by."""
MIXED = 4
"""Up to so many channels sums of them are told as well: a luminance."""
SAMPLES = 4096
FLOAT, HALF = 2e-4, 3e-2
"""How far numbers may be from an affine map, as a share of how far they move: a sigmoid between 0 and 1 is 1e-2 from a line."""
SAME, OTHERS = 1e-3, 1e-2
"""How far a scale, or an offset, may be from another that is the same; and how small one beside the largest is none at all."""
_MOST = 8

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """What numbers are in terms of the planes' levels: the distinct rows of `map`, in the order in which they come up; None if all are
    constants. averaged: whether a constant that differs from place to place was averaged, as that of a mean image.  half: whether half
    precision was on their way, and left few digits."""

    map: Affine | None
    averaged: bool = False
    half: bool = False

    @property
    def digits(self) -> float:
        """How far their map may be off."""
        return HALF if self.half else FLOAT

    @property
    def are_single(self) -> bool:
        """Whether each channel is shifted and scaled in one way: a learned layer does it in several."""
        if self.map is None or not self.map.is_monomial or self.averaged:
            return False
        return len(np.unique(np.argmax(self.map.matrix != 0, axis=1))) == self.map.channels_out


class Planes:
    """The pictures that a network is probed with. levels: (FEEDS, channels), of 0..top.

    In 0..1 they are grey levels over 255 that come back whole when they are multiplied by 255 in float32, in 0..255 whole numbers:
    what rounds them, or casts them to pixels, leaves them as they are.
    """

    def __init__(self, channels: int, top: float) -> None:
        rng, grey = np.random.default_rng(7), np.arange(30, 226)
        exact = grey[(grey / 255).astype(np.float32) * np.float32(255) == grey]
        chosen = rng.choice(exact, (FEEDS, channels)).astype(np.float64)
        self.top = top
        self.levels: Floats = chosen / 255 if top == 1 else chosen * (top / 255)
        self._centred: Floats = self.levels - self.levels.mean(axis=0)

    def sample(self, array: NDArray[np.generic]) -> Floats:
        """Some numbers of an array, always the same of its size, in order."""
        flat = array.reshape(-1)
        most = max(SAMPLES, 16 * self.levels.shape[1])
        if flat.size > most:
            chosen = np.random.default_rng(flat.size).integers(flat.size, size=most)
            flat = flat[np.union1d(np.arange(most // 4), chosen)]
        sample: Floats = flat.astype(np.float64)
        return sample

    def rows(self, values: Sequence[Floats], *, half: bool = False) -> Rows | None:
        """values: one sample per picture, all of one length.  half: whether half precision is on their way.  None if they are no affine
        map of the levels."""
        if len({len(sample) for sample in values}) != 1 or not len(values[0]):
            return None
        stacked = np.stack(values)
        stacked = stacked[:, np.isfinite(stacked).any(axis=0)]  # a padding of -inf
        if not np.isfinite(stacked).all():
            return None
        moved, span = stacked - stacked.mean(axis=0), np.abs(stacked).max(axis=0, initial=0)
        spread = np.sqrt((moved**2).sum(axis=0))
        alive = spread > 1e-6 * span
        if not alive.any():
            return Rows(None, half=half)
        matrix = self._regress(moved[:, alive])
        off = np.sqrt(((moved[:, alive] - self._centred @ matrix) ** 2).sum(axis=0)) / spread[alive]
        if off.max() > (HALF if half else FLOAT):
            return None
        matrix[np.abs(matrix) < OTHERS * np.abs(matrix).max(axis=0)] = 0
        offset = stacked[:, alive].mean(axis=0) - self.levels.mean(axis=0) @ matrix
        offset[np.abs(offset) <= 4 * off * np.abs(matrix).sum(axis=0) * self.top] = 0
        found = self._distinct(matrix, offset)
        return found and replace(found, half=half)

    def _regress(self, moved: Floats) -> Floats:
        """(channels, numbers): the coefficients of all channels, or of the one that fits best."""
        centred = self._centred
        if centred.shape[1] <= MIXED:
            found: Floats = np.linalg.lstsq(centred, moved, rcond=None)[0].astype(np.float64)
            return found
        slopes = centred.T @ moved / (centred**2).sum(axis=0)[:, None]
        best = np.argmax(np.abs(slopes) * np.sqrt((centred**2).sum(axis=0))[:, None], axis=0)  # what explains most leaves least
        single: Floats = np.zeros_like(slopes)
        at = best, np.arange(moved.shape[1])
        single[at] = slopes[at]
        return single

    def _distinct(self, matrix: Floats, offset: Floats) -> Rows | None:
        found, averaged = list[tuple[int, Floats, float]](), False
        single = (matrix != 0).sum(axis=0) == 1
        channel = np.argmax(matrix != 0, axis=0)
        for c in np.unique(channel[single]):
            numbers = np.flatnonzero(single & (channel == c))
            groups, told = _clusters(matrix[c, numbers], SAME * np.abs(matrix[c, numbers]).max())
            averaged |= not told
            for group in groups:
                scale = matrix[c, numbers[group]]
                parts, told = _clusters(offset[numbers[group]], SAME * np.abs(scale).max() * self.top)
                averaged |= not told
                for part in parts:
                    row = np.zeros(len(matrix))
                    row[c] = scale[part].mean()
                    found.append((int(numbers[group][part].min()), row, float(offset[numbers[group][part]].mean())))
        if not single.all():
            mixed = np.flatnonzero(~single)
            sizes = np.abs(matrix[:, mixed]).max(axis=0)
            key = np.round(np.vstack([matrix[:, mixed] / sizes, offset[mixed] / (sizes * self.top)]), 2)
            _, first = np.unique(key, axis=1, return_index=True)
            if len(first) > _MOST**2:
                return None
            found += [(int(mixed[i]), matrix[:, mixed[i]], float(offset[mixed[i]])) for i in first]
        found.sort(key=lambda row: row[0])
        rows, offsets = _short(np.array([row for _, row, _ in found])), np.array([number for *_, number in found])
        sizes = np.abs(rows).sum(axis=1) * self.top
        return Rows(Affine(rows, np.round(offsets / sizes, 7) * sizes), averaged)


def _clusters(values: Floats, gap: float) -> tuple[list[NDArray[np.intp]], bool]:
    """The positions of values that are the same but for `gap`; all in one, and False, where there are many different ones."""
    order = np.argsort(values, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(values[order]) > gap) + 1)
    return (groups, True) if len(groups) <= _MOST else ([order], False)


def _short(numbers: Floats) -> Floats:
    """To seven digits: what float32 leaves of them."""
    digits = 10.0 ** (6 - np.floor(np.log10(np.abs(numbers) + (numbers == 0))))
    rounded: Floats = np.round(numbers * digits) / digits
    return rounded
