"""Mistakes in what is done to a picture before its grey levels become numbers: moved, turned, grey, and see resized.py."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ...steps import FromPixels, Geometry
from ..geometry import REC_709, TURNS
from .mistake import Array, Mistake, Moves, Picture
from .resized import SIDES, resized_mistakes

MOVED = "picture moved by one pixel"
LUMA = tuple(weight / (1 << 16) for weight in (19595, 38470, 7471))
"""Pillow's weights of luminance, ITU-R BT.601's in units of 2^-16 (Convert.c)."""
GREYS = (("", LUMA, "Rec. 601"), (" by Rec. 709", REC_709, "Rec. 709"), (" by average", (1 / 3,) * 3, "the plain average"))
"""What is behind a mistake's name, weights of R, G and B, and words."""


def moved_mistakes(first: FromPixels, moves: Sequence[Geometry], *, colours: bool, zero: Array | None) -> Iterator[Mistake]:
    """What is done wrong up to the grey levels that the network's values are made of. colours: whether these are made of colours.  zero:
    the levels, (C,), of which they make 0; None where there are none. Where the steps move planes of Y, U and V, nothing is done to a
    converted picture before them."""
    moves, whole = tuple(moves), not (moves and first.moves_planes)
    yield Mistake(
        MOVED,
        "the picture rolled by one pixel to the right and down, its last row and column in front",
        levels=lambda it: np.roll(it.made(moves), (1, 1), (2, 3)),
    )
    yield from _aside(moves, zero)
    if whole:
        yield Mistake("turned by EXIF", "the picture was rotated by EXIF", levels=lambda it: it.made(moves, _upright(it)))
        for words in list(TURNS)[1:]:
            yield Mistake(words, f"the picture was {words}", levels=_turned(moves, words))
    if whole and set(first.to) == set("RGB"):
        yield from _greyed(moves, first.to, behind=colours)
    yield Mistake("reshaped", "(H, W, C) reshaped to (C, H, W) in place of transposed", levels=lambda it: _reshaped(it.made(moves)))
    yield from resized_mistakes(moves, windows=whole)


def _aside(moves: Moves, zero: Array | None) -> Iterator[Mistake]:
    """By one pixel to a side, and what is behind it then."""
    behind: dict[str, tuple[str, Array | None]] = {
        "edge repeated": ("its edge repeated", None),
        "black behind": ("black behind it", np.zeros(1)),
    }
    if zero is not None and zero.any():
        behind["zeros behind"] = ("zeros of the tensor behind it", zero)
    for side, (down, across) in SIDES.items():
        for name, (words, fill) in behind.items():
            told = f"the picture moved by one pixel to the {side}, {words}"
            yield Mistake(f"moved to the {side}, {name}", told, levels=_moved_to(moves, down, across, fill))


def _moved_to(moves: Moves, down: int, across: int, fill: Array | None) -> Callable[[Picture], Array]:
    def levels(picture: Picture) -> Array:
        x = picture.made(moves)
        rows, columns = (np.arange(size) - by for size, by in zip(x.shape[2:], (down, across), strict=True))
        inside = np.outer((rows >= 0) & (rows < len(rows)), (columns >= 0) & (columns < len(columns)))
        moved = x[:, :, np.clip(rows, 0, len(rows) - 1)[:, None], np.clip(columns, 0, len(columns) - 1)]
        return moved if fill is None else np.where(inside, moved, fill[:, None, None])

    return levels


def _turned(moves: Moves, words: str) -> Callable[[Picture], Array]:
    return lambda it: it.made(moves, _turn(it.planes, words))


def _turn(planes: Array, words: str) -> Array:
    turned = TURNS[words](np.moveaxis(planes, (2, 3), (0, 1)))
    return np.moveaxis(turned, (0, 1), (2, 3))


def _upright(picture: Picture) -> Array:
    turned = 1 if picture.source is None else picture.source.turned
    return _turn(picture.planes, list(TURNS)[turned - 1])


def _greyed(moves: Moves, order: str, *, behind: bool) -> Iterator[Mistake]:
    """Before the steps, to whole levels, and behind them."""
    for name, weights, words in GREYS:
        told = "the picture was made grey, in all channels" + (f", by {words}" if name else "")
        yield Mistake(f"grey for colour{name}", told, levels=_grey(moves, order, weights, first=True))
        told = f"the picture was made grey behind its resize and crop, in all channels, by {words}, not rounded"
        if behind:
            yield Mistake(f"grey for colour behind{name}", told, levels=_grey(moves, order, weights, first=False))


def _grey(moves: Moves, order: str, weights: Sequence[float], *, first: bool) -> Callable[[Picture], Array]:
    def mixed(planes: Array) -> Array:
        weighted = np.tensordot(planes, [weights["RGB".index(name)] for name in order], axes=(1, 0))[:, None]
        return np.repeat(np.floor(weighted + 0.5) if first else weighted, len(order), axis=1)

    return lambda it: it.made(moves, mixed(it.planes)) if first else mixed(it.made(moves))


def _reshaped(levels: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(levels, 1, -1)).reshape(levels.shape)
