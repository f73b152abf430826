"""A convolution of pixels as one of cells: what folds a video's chroma, of which several pixels share one value, into a first layer.

In 4:2:0 a cell is 2 x 2 pixels with one U and one V, in 4:2:2 one of 1 x 2. What a network reads of that picture, in Y, U and V, is
x[c, r] = z[c at (r mod m), floor(r / m)] along a side whose cells have m pixels: luma has a plane for each place r mod m in a cell, chroma
one plane for all of them. So a convolution of x is a convolution of the planes z, which are 1 / m as long:

    sum over t of w[c, t] x[c, s i + o(t)]      with o(t) = dilation t - padding, the place that tap t reads from where output i starts
    = sum over t of w[c, t] z[c at r(t), (s / m) i + q(t)]      with o(t) = m q(t) + r(t) and 0 <= r(t) < m

as long as m divides the stride s, for only then is r(t) the same for each i. Taps that meet in one plane at one q, as those of chroma do,
are added. Of both sides together that is W' = R W C^T, plane by plane, where R and C have a one where a tap of a row, of a column, lands.

Where the padding is zero it stays zero, on the border, too. Sides are whole multiples of m, so that floor(r / m) is outside of the planes
just where r is outside of the picture: no cell is half in it, and a cell in the padding is read as the number that each of its pixels would
be, which is what padding a plane with that number gives. That x may be padded with zeros is the rest of the fold's part: it subtracts from
Y, U and V what maps to the padding, see planning.py. As outputs go on while m (h + ...) allows, the planes' padding is

    in front -min q = ceil(padding / m), behind floor((padding behind + m - 1 - r(last)) / m).

Chroma between its samples ("bilinear") is linear, too, but no map of this kind where the convolution is padded. The picture's first row is
1/4 of a row before it and 3/4 of its own, and is its own all the same: so the row before would have to be the first one. The padded row
above it is 3/4 of the row before and 1/4 of the first, and has to be the padding: so it would have to be another. Where nothing is padded
there is such a map, of planes with copies of their border around them; but luma and chroma want kernels of their own then, for a patch of
16 x 16 four planes of 8 x 8 and two of 10 x 10, 456 multiplications in place of 384 (of 768), or 600 in one convolution. So that chroma is
made in front, and the matrix alone is in the weights.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NotFoldableError
from ..steps import UNCONVERTED, YUV, FromPixels, Step

Array = NDArray[np.float64]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Side:
    """How a convolution reads one side of a picture: output i reads stride * i + dilation * t - before, for the taps t below `kernel`, and
    there are as many outputs as fit in front of `behind` more places. Of places outside it reads zeros."""

    kernel: int
    stride: int = 1
    before: int = 0
    behind: int = 0
    dilation: int = 1

    def outputs(self, side: int) -> int:
        """How many there are of a side of so many pixels, 0 where the kernel does not fit."""
        return max(0, (side + self.before + self.behind - self.dilation * (self.kernel - 1) - 1) // self.stride + 1)

    def places(self, cell: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """q and r of each tap, in cells of so many pixels: (kernel,) each."""
        q, r = np.divmod(self.dilation * np.arange(self.kernel) - self.before, cell)
        return q, r

    def of_cells(self, cell: int) -> "Side":
        """How the same convolution reads cells of so many pixels. Its stride is a multiple of these."""
        q, r = self.places(cell)
        steps = math.gcd(*np.diff(q).tolist())
        behind = (self.behind + cell - 1 - int(r[-1])) // cell
        return Side(1 if steps == 0 else int(q[-1] - q[0]) // steps + 1, self.stride // cell, -int(q[0]), behind, max(steps, 1))


@dataclass(frozen=True)
class Window:
    """Of a convolution: how it reads rows and columns."""

    rows: Side
    columns: Side

    @property
    def taps(self) -> int:
        """How many numbers of each channel it multiplies for one output."""
        return self.rows.kernel * self.columns.kernel

    def multiplications(self, channels: int) -> int:
        """For one number of one output channel, of so many channels read (in / groups)."""
        return channels * self.taps


@dataclass(frozen=True)
class Cells:
    """How a picture of channels of different resolution is planes of one: the picture's sides over `size` long.

    size: rows and columns of pixels in a cell.  planes: the channel of each plane, and the place in a cell that its numbers are of, (row,
    column); None where they are of all the cell's pixels.
    """

    size: Pair
    planes: tuple[tuple[int, Pair | None], ...]

    @property
    def channels(self) -> NDArray[np.int64]:
        """(planes,) whose each of them is."""
        return np.array([channel for channel, _ in self.planes])

    def with_constant(self, channel: int) -> "Cells":
        """With a plane for a channel that holds one number everywhere."""
        return replace(self, planes=(*self.planes, (channel, None)))

    def window(self, window: Window) -> Window:
        """Of the convolution that reads the planes. Raises NotFoldableError where there is none."""
        sides = ((window.rows, self.size[0], "down"), (window.columns, self.size[1], "across"))
        for side, cell, word in sides:
            if side.stride % cell:
                raise NotFoldableError(
                    f"the first convolution has the stride {side.stride} {word}, and {cell} pixels share one chroma value: only with a "
                    f"multiple of {cell} does each of its taps meet the same place in a cell",
                    name="fold-moved-pixels",
                )
        return Window(*(side.of_cells(cell) for side, cell, _ in sides))

    def weights(self, weight: Array, window: Window) -> Array:
        """weight: (out, channels, *kernel) of the convolution that reads the picture in `window`. Returns (out, planes, *kernel) of the one
        that reads the planes, in self.window(window), with the same bias."""
        rows, columns = (
            _landing(side, cell, new)
            for side, cell, new in zip(
                (window.rows, window.columns), self.size, (self.window(window).rows, self.window(window).columns), strict=True
            )
        )
        made = [
            np.einsum("Kk,okl,Ll->oKL", rows(None if at is None else at[0]), weight[:, channel], columns(None if at is None else at[1]))
            for channel, at in self.planes
        ]
        return np.stack(made, axis=1)


def _landing(side: Side, cell: int, new: Side) -> Any:
    """R, or C: (new taps, taps), a one where a tap lands that reads this place in a cell; None: any place."""
    q, r = side.places(cell)
    lands = ((q - q[0]) // new.dilation)[None, :] == np.arange(new.kernel)[:, None]
    return lambda at: (lands & ((r == at) | (at is None))).astype(np.float64)


def cells_of(kept: Sequence[Step]) -> Cells | None:
    """How the pixels lie in cells, plane by plane as in memory; None where no pixels share a chroma value, or where more is done to them
    than to give each its own. kept: what stays in front of a fold.

    Raises NotFoldableError for chroma between its samples.
    """
    step = kept[0] if len(kept) == 1 else None
    if not isinstance(step, FromPixels) or step.to != UNCONVERTED or YUV[step.color].block == (1, 1):
        return None
    if step.chroma != "replicate":
        raise NotFoldableError(f"chroma = {step.chroma!r} gives each pixel a chroma of its own", name="fold-moved-pixels")
    (rows, columns), planes = YUV[step.color].block, list[tuple[int, Pair | None]]()
    for letters in YUV[step.color].planes[step.layout]:
        if letters == "Y":
            planes += [(0, (row, column)) for row in range(rows) for column in range(columns)]
            continue
        lumas = iter(range(columns))
        planes += [(0, (0, next(lumas))) if letter == "Y" else ("YUV".index(letter), None) for letter in letters]
    return Cells((rows, columns), tuple(planes))
