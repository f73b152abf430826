"""Mistakes in how Y, U and V become grey levels."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...oracle import reference
from ...steps import OTHER_CONVERSIONS, FromPixels, Geometry, Step, mistaken
from .mistake import Array, Mistake, Picture


def converted_mistakes(first: FromPixels, moves: Sequence[Geometry]) -> Iterator[Mistake]:
    """Those of steps.mistaken(), one by one: where the recipe has whole levels chroma that is aside comes to such, too. moves: of what is
    whole; behind it nothing is left unrounded. Of the planes where these are converted behind it: the mistake converts as it does."""
    for name, other in mistaken(first).items():
        words = f"Y, U and V read with {name}" if name not in OTHER_CONVERSIONS else name
        if moves and first.moves_planes:
            yield Mistake(name, words, levels=functools.partial(_moved, (other, *moves)))
            continue
        if moves and not other.rounds and name in OTHER_CONVERSIONS:
            continue
        whole = first.rounds and not other.rounds and name not in OTHER_CONVERSIONS
        yield Mistake(name, words, planes=functools.partial(_planes, other, whole))


def _moved(steps: Sequence[Step], picture: Picture) -> Array:
    assert picture.pixels is not None
    return reference.apply(steps, picture.pixels)


def _planes(step: FromPixels, whole: bool, pixels: NDArray[Any]) -> Array:
    levels = reference.apply([step], pixels)
    return np.clip(np.floor(levels + 0.5), 0, 255) if whole else levels
