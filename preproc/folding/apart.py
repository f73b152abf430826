"""What is tried before what: a whole map before one in two, of which one chooses channels and the other scales and shifts each of them;
luma and chroma apart before pixels."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from ..errors import NotFoldableError
from ..steps import Affine, Step
from .cells import Cells, cells_of

Made = TypeVar("Made")
FOLDED = "folded"
"""Of chroma that pixels share: the first layers read it as it is."""


def whole_or_scaled(affine: Affine, fold: Callable[[Affine, Affine | None], Made]) -> Made:
    """fold(A, None), or where the weights have no place for A, fold(D, P), of A = D P: P stays in front of the network, as a selection of
    the pixels' channels, and the weights take up D alone.

    P chooses, for each channel that A makes, the pixels' channel that it reads, (P x)_j = x[c(j)], and D is an affine map of each channel:
    where every row of A reads one channel, A_j(x) = d_j x[c(j)] + o_j, D_j(u) = d_j u + o_j. What the network is given in place of A(x) is
    then P x, of as many channels in the same order: so whatever handles its channels one by one (a Split, constants of so many channels,
    convolutions in groups, maps of its own behind a border) finds them where they were, D stays within each group, and as D is invertible
    a pixel of P x maps to any one padding value. The pixels' own order, or number, asks none of this.

    A is asked first: grey pixels in front of a convolution in three groups then make one without groups of two channels, one appended. That
    took two thirds of the time of three channels chosen and a convolution in groups (ONNX Runtime, CPU, 224 x 224).

    Raises NotFoldableError where D has no place either, or A is no such product: one that mixes channels, or changes no order.
    """
    try:
        return fold(affine, None)
    except NotFoldableError:
        apart = affine.apart()
        if apart is None:
            raise
    selection, scaled = apart
    return fold(scaled, selection)


def selected(selection: Affine | None) -> tuple[int, ...]:
    """Which of the pixels' channels are chosen, in order; () where all of them are handed on."""
    return () if selection is None else tuple(np.argmax(selection.matrix, axis=1).tolist())


def planes_or_pixels(kept: Sequence[Step], fold: Callable[[Cells | None], Made]) -> tuple[Made, str]:
    """fold(cells) of the pixels' cells, and FOLDED; or fold(None), where each pixel is given a chroma of its own in front, and why: "" for
    pixels that share none, else the reason why they have no cells, or why a network's first layers cannot read these.

    kept: the steps that stay in front.
    """
    why = ""
    try:
        cells = cells_of(kept)
        if cells is not None:
            return fold(cells), FOLDED
    except NotFoldableError as error:
        why = str(error)
    return fold(None), why
