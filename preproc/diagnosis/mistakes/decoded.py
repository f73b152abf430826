"""Mistakes in how a video was decoded, of pictures that are decoded from it rightly."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...oracle import reference
from ...steps import COLORS, RANGES, WEIGHTS, FromPixels, to_rgb
from ..geometry import Source
from .converted import readings
from .mistake import Array, Mistake, Moves, Picture
from .rounded import bounds, whole

LEAST = 64
"""Pixels that tell whether a picture is of Y, U and V."""
ROWS = 16
"""Of a picture that are looked at before the others."""


@dataclass(frozen=True)
class _Video:
    """pixels: (1, H, W, 3) uint8, Y, U and V of a picture.  known: (H, W), where no others could have made it.  is_one: whether the
    picture is just what they come to there, and there is enough of that."""

    pixels: NDArray[np.uint8]
    known: NDArray[np.bool_]
    is_one: bool


def decoded_mistakes(sources: Sequence[Source], to: str, moves: Moves) -> Iterator[Mistake]:
    """What a program makes that decodes the same video with another matrix or range, or with U and V exchanged. to: RGB or BGR.

    R, G and B of 8 bits tell which Y, U and V of 8 bits they were made of, where nothing was clipped: half a level in each of them is no
    more than half a level of Y, U or V. Where all pictures are what such numbers come to, in a matrix and a range, the mistake reads these
    numbers. Pictures of other origin are that by chance, in a quarter of the pixels at most. In the other definitions R, G and B are mixed
    as they would be if nothing had been rounded, which explains no tensors exactly.
    """
    known = [FromPixels(layout="NHWC", color="YUV444", matrix=m, range=r, conversion="rgb8") for m, r in product(WEIGHTS, RANGES)]
    videos = {own: functools.cache(functools.partial(_video, own)) for own in known}
    possible = [own for own in known if all(_may_be(own, source) for source in sources)]
    decoded = [own for own in possible if all(videos[own](source).is_one for source in sources)]
    told = set[str]()
    for own in sorted(known, key=lambda own: own not in decoded):
        for names, other in readings(own).items():
            matrix = names and names[0].startswith("matrix")
            of = f" (of {own.matrix} {own.range})" if own in decoded else "" if matrix else f" (of {own.matrix})"
            name = f"decoded from video with {' and '.join(names)}{of}"
            if names and name not in told:
                told.add(name)
                mixed = functools.partial(_mixed, own, other, to, moves)
                fields = _read(other, videos[own], to, moves) if own in decoded else {"levels": mixed}
                yield Mistake(name, f"the pictures are {name}", **fields)


def _may_be(own: FromPixels, source: Source) -> bool:
    """Whether a few rows of the picture are video's, as all are where the picture is."""
    picture = source.picture()
    known, same, _ = _compared(own, picture[:: max(len(picture) // ROWS, 1)])
    return bool(same[known].all())


def _video(own: FromPixels, source: Source) -> _Video:
    known, same, pixels = _compared(own, source.picture())
    return _Video(pixels, known, bool(same[known].all()) and int(known.sum()) >= max(LEAST, known.size // 2))


def _compared(own: FromPixels, picture: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.uint8]]:
    """(where nothing was clipped, where the picture is what its Y, U and V come to, these, (1, H, W, 3))."""
    affine = to_rgb(str(own.matrix), str(own.range))
    exact = np.linalg.solve(affine.matrix, (picture.reshape(-1, 3) - affine.offset).T)
    pixels = np.clip(np.rint(exact.T), 0, 255).astype(np.uint8).reshape(1, *picture.shape)
    low, high = (np.moveaxis(each[0], 0, 2) for each in bounds(own, pixels))
    known = np.asarray(((picture > 0) & (picture < 255)).all(axis=2))
    same = np.asarray(((low <= picture) & (picture <= high)).all(axis=2))
    return known, same, pixels


def _read(other: FromPixels, video: Callable[[Source], _Video], to: str, moves: Moves) -> dict[str, Any]:
    """What a Mistake has of it. Behind moves nothing is left that is not known."""
    order = ["RGB".index(channel) for channel in COLORS[to]]

    def levels(picture: Picture) -> Array:
        assert picture.source is not None
        return picture.made(moves, reference.apply([other], video(picture.source).pixels)[:, order])

    def within(picture: Picture) -> tuple[Array, Array]:
        assert picture.source is not None
        found = video(picture.source)
        clamped = reference.apply([other], found.pixels)  # black below black, as in OpenCV's integers
        low, high = bounds(other, found.pixels)
        low, high = np.minimum(low, clamped)[:, order], np.maximum(high, clamped)[:, order]
        free = ~found.known if found.is_one else np.zeros_like(found.known)
        return np.where(free, 0, low), np.where(free, 255, high)

    return {"levels": levels} if moves else {"levels": levels, "within": within}


def _mixed(own: FromPixels, other: FromPixels, to: str, moves: Moves, picture: Picture) -> Array:
    assert picture.source is not None
    back, forth = (to_rgb(str(step.matrix), str(step.range)) for step in (own, other))
    exchanged = [0, 1, 2] if own.color == other.color else [0, 2, 1]
    order = ["RGB".index(channel) for channel in COLORS[to]]
    matrix = (forth.matrix @ np.linalg.inv(back.matrix)[exchanged])[order]  # in one: of R, G and B, not of Y, U and V
    offset = forth.offset[order] - matrix @ back.offset
    rgb = np.moveaxis(picture.source.picture(), 2, 0).astype(np.float64)
    made = ((matrix @ rgb.reshape(3, -1)) + offset[:, None]).reshape(1, *rgb.shape)
    return picture.made(moves, whole(made)) if moves else np.clip(made, 0, 255)
