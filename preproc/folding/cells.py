"""A convolution of pixels as two: one of luma, and one of the chroma of which several pixels share one value.

In 4:2:0 a cell is 2 x 2 pixels with one U and one V, in 4:2:2 one of 1 x 2. What a network reads of that picture, in Y, U and V, is luma
as it is, and along a side whose cells have m pixels x[c, r] = z[c, floor(r / m)], where chroma's planes z are 1 / m as long. A convolution
is a sum over channels. Its part of luma is the same convolution, of one channel. Its part of chroma is one of z:

    sum over t of w[c, t] x[c, s i + o(t)]      with o(t) = dilation t - padding, the place that tap t reads from where output i starts
    = sum over t of w[c, t] z[c, (s / m) i + q(t)]      with q(t) = floor(o(t) / m)

as long as m divides the stride s, for only then is q(t) the same for each i. Taps that meet at one q are added. Of both sides together that
is W' = R W C^T, where R and C have a one where a tap of a row, of a column, lands.

Where the padding is zero it stays zero, on the border, too. Sides are whole multiples of m, so that floor(r / m) is outside of the planes
just where r is outside of the picture: no cell is half in it, and a cell in the padding is read as the number that each of its pixels would
be, which is what padding a plane with that number gives. That x may be padded with zeros is the rest of the fold's part: it subtracts from
Y, U and V what maps to the padding, see planning.py. As outputs go on while m (h + ...) allows, the planes' padding is

    in front -min q = ceil(padding / m), behind floor((padding behind + m - 1 - (o(last) mod m)) / m).

One convolution of planes of half the size, in which luma has four, is as exact, but its kernel is rounded up to whole cells for luma, too:
for each output of each channel, 7 x 7 with stride 2 multiplies 6 * 4 * 4 = 96 times there in 4:2:0, and 49 + 2 * 4 * 4 = 81 times in two.
Nor is luma taken apart for two.

Chroma between its samples ("bilinear") is linear, too, but no map of this kind where the convolution is padded. The picture's first row is
1/4 of a row before it and 3/4 of its own, and is its own all the same: so the row before would have to be the first one. The padded row
above it is 3/4 of the row before and 1/4 of the first, and has to be the padding: so it would have to be another. So that chroma is made in
front, and the matrix alone is in the weights. Where nothing is padded, as of patches, the first of the two alone is in the way: planes
whose border is repeated once could be read, by a kernel that is two cells longer and wider (of 16 x 16 patches 10 x 10 for 8 x 8). That is
an operation in front as well, and a fold of its own for these alone: it is not built, and their chroma is made in front, too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import NotFoldableError
from ..steps import UNCONVERTED, YUV, FromPixels, Geometry, Step

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

    def places(self, cell: int) -> tuple[NDArray[np.int64], int]:
        """q of each tap, (kernel,), in cells of so many pixels, and which of a cell's pixels the last one meets."""
        reads = self.dilation * np.arange(self.kernel) - self.before
        return reads // cell, int(reads[-1] % cell)

    def of_cells(self, cell: int) -> "Side":
        """How the same convolution reads cells of so many pixels. Its stride is a multiple of these."""
        q, last = self.places(cell)
        steps = math.gcd(*np.diff(q).tolist())
        behind = (self.behind + cell - 1 - last) // cell
        return Side(1 if steps == 0 else int(q[-1] - q[0]) // steps + 1, self.stride // cell, -int(q[0]), behind, max(steps, 1))


@dataclass(frozen=True)
class Window:
    """Of a convolution: how it reads rows and columns."""

    rows: Side
    columns: Side


@dataclass(frozen=True)
class Cells:
    """How the pixels of a picture share chroma.

    size: rows and columns of pixels in a cell.  shared: the channels of which a cell has one number, plane by plane as in memory. Of
    channel 0, luma, each pixel has its own.
    """

    size: Pair
    shared: tuple[int, ...]

    def with_constant(self, channel: int) -> "Cells":
        """With a plane for a channel that holds one number everywhere."""
        return replace(self, shared=(*self.shared, channel))

    @property
    def parts(self) -> tuple[list[int], list[int]]:
        """The channels of what the first of the two convolutions reads, and of what the second does."""
        return [0], list(self.shared)

    def window(self, window: Window) -> Window:
        """Of the convolution that reads the shared planes. Raises NotFoldableError where there is none."""
        sides = ((window.rows, self.size[0], "down"), (window.columns, self.size[1], "across"))
        for side, cell, word in sides:
            if side.stride % cell:
                raise NotFoldableError(
                    f"the first convolution has the stride {side.stride} {word}, and {cell} pixels share one chroma value: only with a "
                    f"multiple of {cell} does each of its taps meet the same place in a cell",
                    name="fold-moved-pixels",
                )
        return Window(*(side.of_cells(cell) for side, cell, _ in sides))

    def weights(self, weight: Array, window: Window) -> tuple[Array, Array]:
        """weight: (out, channels, *kernel) of the convolution that reads the picture in `window`. Returns (out, 1, *kernel) of the one that
        reads luma in it, and (out, len(shared), *kernel) of the one that reads the shared planes in self.window(window)."""
        luma, shared = (weight[:, channels] for channels in self.parts)
        new = self.window(window)
        rows, columns = (_landing(*each) for each in zip((window.rows, window.columns), self.size, (new.rows, new.columns), strict=True))
        return luma, np.einsum("Kk,ockl,Ll->ocKL", rows, shared, columns)


def _landing(side: Side, cell: int, new: Side) -> Array:
    """R, or C: (new taps, taps), a one where a tap lands."""
    q, _ = side.places(cell)
    lands: Array = np.equal.outer(np.arange(new.kernel), (q - q[0]) // new.dilation).astype(np.float64)
    return lands


def cells_of(kept: Sequence[Step]) -> Cells | None:
    """How the pixels share chroma, as they are or behind what moves their planes, which leaves whole cells, see steps.chroma_moves(); None
    where they share none, or where more is done to them than to give each its own. kept: what stays in front of a fold.

    Raises NotFoldableError for chroma between its samples, and where the conversion rounds.
    """
    step, *moves = kept or (None,)
    if not isinstance(step, FromPixels) or step.color not in YUV or step.of_luma or YUV[step.color].block == (1, 1):
        return None
    if step.conversion == "rgb8":
        raise NotFoldableError('conversion = "rgb8" clips and rounds R, G and B, which no weights do', name="fold-not-affine")
    if step.to != UNCONVERTED or not all(isinstance(each, Geometry) for each in moves):
        return None
    if step.chroma != "replicate":
        raise NotFoldableError(f"chroma = {step.chroma!r} gives each pixel a chroma of its own", name="fold-moved-pixels")
    letters = "".join(YUV[step.color].planes[step.layout]).replace("Y", "")
    return Cells(YUV[step.color].block, tuple(map("YUV".index, letters)))
