"""Pictures and what was made of them, and the parts of them that tell causes apart: what causes are ranked on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..geometry import Source
from .mistake import Array

Places = NDArray[np.intp]
ENOUGH = 2**19
"""Pixels of whole pictures that causes are ranked on, and one picture at least."""
ROWS = 192
"""Rows, and columns, of a large tensor that are compared, at least; its first and last among them."""
BANDS, BAND, SEAM = 12, 20, 2
"""Rows, and columns, that stay of a picture in which no pixel moves: how many bands of how many, spread evenly. At each end of a band a
pixel's neighbours may be others than in the picture: so many are not compared. All three even, for pixels that share their U and V."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture and what was made of it. tensor: (C, h, w) float64.  rows, columns: those of the tensor that are compared where causes are
    ranked; None for all."""

    name: str
    source: Source
    tensor: Array
    rows: Places | None = None
    columns: Places | None = None

    def compared(self, x: Array) -> Array:
        """Of (C, h, w) what is compared."""
        return x if self.rows is None or self.columns is None else x[:, self.rows[:, None], self.columns]


def enough(samples: Sequence[Sample]) -> Iterator[Sample]:
    """The first of them that have ENOUGH pixels, and of large tensors some rows and columns: an odd number apart, so that no pattern of U
    and V that pixels share hides."""
    seen = 0
    for sample in samples:
        if seen >= ENOUGH:
            return
        picture = sample.source.picture()
        seen += picture[..., 0].size if np.ptp(picture) else 0  # of one colour it tells little
        rows, columns = (_thinned(size) for size in sample.tensor.shape[1:])
        yield replace(sample, rows=rows, columns=columns)


def _thinned(size: int) -> Places:
    apart = max((size // ROWS - 1) // 2 * 2 + 1, 1)
    return np.unique([*range(0, size, apart), size - 1]).astype(np.intp)


def mosaic(sample: Sample) -> Sample:
    """Bands of a picture, and of the tensor that has its pixels in their places; the sample where its tensor has another size."""
    picture = sample.source.picture()
    if picture.shape[:2] != sample.tensor.shape[1:]:
        return sample
    (rows, own_rows), (columns, own_columns) = (_bands(size) for size in picture.shape[:2])
    taken = Source(np.ascontiguousarray(picture[rows[:, None], columns]))
    return Sample(sample.name, taken, sample.tensor[:, rows[:, None], columns], own_rows, own_columns)


def _bands(size: int) -> tuple[Places, Places]:
    """(which stay, which of these are compared)."""
    if size <= BANDS * BAND:
        return np.arange(size), np.arange(size)
    starts = np.linspace(0, size - BAND, BANDS).astype(np.intp) // 2 * 2
    inside = np.arange(BANDS * BAND).reshape(BANDS, BAND)[:, SEAM:-SEAM]
    return (starts[:, None] + np.arange(BAND)).ravel(), inside.ravel()
