"""A Geometry: everything that is done to a picture before the affine part, as data that runs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .decoding import Source
from .framing import Fill, Fit, Frame, Window, frame
from .grey import Grey
from .resampling import Resampler


@dataclass(frozen=True)
class Geometry:
    """Decoded, turned, cut, resized, cut or filled up again, in this order.

    decoder: of DECODERS.  turn: of TURNS, or "upright", as the EXIF tags say.  before: cut in front of the resize.  fit: how large it
    becomes.  resampler: None where nothing is resized.  after: cut, or filled up, behind the resize.  grey: how its colours become one
    grey, behind the turn or behind all; None where they stay.
    """

    fit: Fit
    resampler: Resampler | None = None
    after: Window | None = None
    before: Window | None = None
    decoder: str = "Pillow"
    turn: str = "as stored"
    grey: Grey | None = None

    @property
    def words(self) -> str:
        """Readable, as one line."""
        told = [f"decoded by {self.decoder}"] if self.decoder != "Pillow" else []
        if self.turn != "as stored":
            told.append("turned as its EXIF tag says" if self.turn == "upright" else self.turn)
        if self.grey is not None and self.grey.first:
            told.append(self.grey.words)
        if self.before is not None:
            told.append(f"cut to {self.before.words}{self.before.filled}")
        resized = self.resampler is not None and self.fit.how != "as it is"
        told.append(self.fit.words + (f" ({self.resampler.words})" if self.resampler and resized else ""))
        if self.after is not None:
            told.append(f"{self.after.words} of that{self.after.filled}")
        if self.grey is not None and not self.grey.first:
            told.append(self.grey.words)
        return ", ".join(told)

    def frame(self, size: tuple[int, int]) -> Frame:
        """Of a picture, turned already, of that size, (height, width)."""
        return frame(self.before, self.fit, self.after, size)

    def pixels(self, source: Source) -> NDArray[Any]:
        """(H, W, 3), or (H, W, 1) where they are made grey, grey levels, uint8 or floats. Where a border has no fill that is known, floats,
        with infinity in the border and NaN where a resize mixes it with the picture."""
        picture = source.picture(self.decoder, self.turn)
        if self.grey is not None and self.grey.first:
            picture = self.grey(picture)
        framed = self.frame((picture.shape[0], picture.shape[1]))
        x = _windowed(picture, framed.cut, None if self.before is None else self.before.fill)
        if framed.resizes:
            x = self._resized(x, framed.size)
        x = _windowed(x, framed.window, None if self.after is None else self.after.fill)
        return self.grey(x) if self.grey is not None and not self.grey.first else x

    def _resized(self, x: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
        assert self.resampler is not None
        if x.dtype == np.uint8:
            return self.resampler(np.ascontiguousarray(x), size)
        dark, light = (self.resampler(np.where(np.isfinite(x), x, fill).astype(np.uint8), size).astype(np.float32) for fill in (0, 255))
        return np.where(dark == light, dark, np.where((dark == 0) & (light == 255), np.inf, np.nan))


def _windowed(x: NDArray[Any], box: tuple[int, int, int, int], fill: Fill | None) -> NDArray[Any]:
    top, left, height, width = box
    bottom, right = top + height, left + width
    inside = x[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if inside.shape[:2] == (height, width):
        return inside
    levels = np.full(x.shape[2], np.inf, np.float32) if fill is None else np.asarray(fill, np.float32)
    whole = x.dtype == np.uint8 and bool((np.rint(levels) == levels).all()) and fill is not None
    framed = np.full((height, width, x.shape[2]), levels, np.uint8 if whole else np.float32)
    framed[max(-top, 0) : max(-top, 0) + inside.shape[0], max(-left, 0) : max(-left, 0) + inside.shape[1]] = inside
    return framed
