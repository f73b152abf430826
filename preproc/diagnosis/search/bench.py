"""One pair on the bench: what a geometry makes of its picture, and how far that is from its tensor."""

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..geometry import Geometry, Source
from ..pairs import Pair
from ..solving import Moments

PLAIN = 0.02
"""Of the tensor's range, that one colour may vary by."""
GRID = 48
"""Cells on a side, for a first look."""


@dataclass(eq=False)
class Bench:
    """A pair, its picture decoded, and what was made of that last. keep: how much of that."""

    pair: Pair
    source: Source
    keep: int = 1
    _kept: dict[Hashable, NDArray[Any]] = field(default_factory=dict)

    @staticmethod
    def of(pair: Pair) -> "Bench":
        return Bench(pair, Source(pair.picture))

    def size(self, geometry: Geometry) -> tuple[int, int]:
        """(height, width) of its picture, turned."""
        height, width = self.source.picture(geometry.decoder, geometry.turn).shape[:2]
        return height, width

    def plan(self, geometry: Geometry) -> Hashable:
        """What the geometry comes to with this picture; equal plans make equal pixels."""
        frame = geometry.frame(self.size(geometry))
        how = geometry.resampler.told_by(frame.cut[2:], frame.size) if frame.resizes and geometry.resampler else None
        fills = geometry.before and geometry.before.fill, geometry.after and geometry.after.fill
        return geometry.decoder, geometry.turn, frame, how, *fills, geometry.grey

    def levels(self, geometry: Geometry, plan: Hashable = None) -> NDArray[Any]:
        """(C, H, W) grey levels, as Geometry.pixels(): where they are grey as many of it as the tensor has channels. plan: its own, where
        that is known."""
        plan = plan or self.plan(geometry)
        found = self._kept.get(plan)
        if found is None:
            if len(self._kept) >= self.keep:
                self._kept.clear()
            found = geometry.pixels(self.source).transpose(2, 0, 1)
            if geometry.grey is not None:
                found = np.repeat(found, len(self.pair.tensor), axis=0)
            self._kept[plan] = found
        return found

    def fits(self, geometry: Geometry) -> bool:
        """Whether what it makes has the tensor's size, and the tensor one colour in what would be a border."""
        return self._fits(self.levels(geometry))

    def _fits(self, levels: NDArray[Any]) -> bool:
        return levels.shape[1:] == self.pair.size and self._is_plain(levels)

    def _is_plain(self, levels: NDArray[Any]) -> bool:
        """Whether the tensor has one colour where there is a border, but for noise, and a picture besides."""
        border = np.isposinf(levels[0]) if levels.dtype != np.uint8 else np.zeros((), bool)
        if not border.any():
            return True
        outside = self.pair.tensor[:, border]
        return not border.all() and bool(outside.std(axis=1).max() <= PLAIN * np.ptp(self.pair.tensor))

    def score(self, geometry: Geometry, plan: Hashable) -> float:
        """The mean square of the residual in grey levels, with constants of this picture's own. plan: of the geometry."""
        levels = self.levels(geometry, plan)
        return _own(Moments.undivided(levels, self.pair.tensor)) if self._fits(levels) else math.inf

    def glance(self, geometry: Geometry) -> float:
        """score() of both in a grid of GRID x GRID cells, the kernel aside."""
        picture = self.source.picture(geometry.decoder, geometry.turn)
        frame = geometry.frame((picture.shape[0], picture.shape[1]))
        spans = [
            _span(cut, length, resized, window, tensor, side)
            for cut, length, resized, window, tensor, side in zip(
                frame.cut[:2], frame.cut[2:], frame.size, frame.window[:2], self.pair.size, picture.shape[:2], strict=True
            )
        ]
        if any(span is None for span in spans):
            return math.inf
        (top, bottom, up, down), (left, right, west, east) = (span for span in spans if span is not None)
        grid = min(GRID, right - left), min(GRID, bottom - top)
        key = "tensor", top, bottom, left, right
        if key not in self._kept:
            self._kept[key] = self._cells((left, top, right, bottom), grid)
        small, by = self._small(geometry)
        box = west / by, up / by, min(east / by, small.width), min(down / by, small.height)
        seen = small.resize(grid, Image.Resampling.BILINEAR, box=box)
        return _own(Moments.undivided(np.asarray(seen).transpose(2, 0, 1), self._kept[key]))

    def _cells(self, box: tuple[int, int, int, int], grid: tuple[int, int]) -> NDArray[Any]:
        planes = [Image.fromarray(plane.astype(np.float32)) for plane in self.pair.tensor]
        return np.stack([np.asarray(plane.resize(grid, Image.Resampling.BILINEAR, box=box), np.float64) for plane in planes])

    def _small(self, geometry: Geometry) -> tuple[Image.Image, int]:
        """The picture in fewer pixels, and by how much."""
        key = "small", geometry.decoder, geometry.turn
        picture = self.source.picture(geometry.decoder, geometry.turn)
        by = max(1, min(picture.shape[:2]) // (4 * GRID))
        if key not in self._kept:
            self._kept[key] = np.asarray(Image.fromarray(picture).reduce(by)) if by > 1 else picture
        return Image.fromarray(self._kept[key]), by


def _span(cut: int, length: int, resized: int, window: int, tensor: int, side: int) -> tuple[int, int, float, float] | None:
    """Along one axis: from and to which pixel the tensor shows the picture, and where these lie in that. None for less than a quarter."""
    scale = resized / length
    first, last = (max(cut, 0) - cut) * scale - window, (min(cut + length, side) - cut) * scale - window
    low, high = math.ceil(max(first, 0) - 1e-9), math.floor(min(last, tensor) + 1e-9)
    if high - low < max(tensor / 4, 2):
        return None
    begin, end = ((at + window) / scale + cut for at in (low, high))
    return low, high, max(begin, 0.0), min(end, float(side))


def _own(moments: Moments) -> float:
    """Of one channel that is made of several the residual of the best mix: how they become grey is asked later."""
    if moments.channels > moments.mean.shape[1] - moments.channels:
        mixed = moments.mixed()
        return math.inf if mixed is None else mixed[1]
    lines = moments.lines()
    return math.inf if lines is None else float(lines.squares().min())
