"""Mistakes in how Y, U and V become grey levels."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...oracle import reference
from ...steps import OTHER_CONVERSIONS, FromPixels, Geometry, mistaken
from .mistake import Array, Mistake


def converted_mistakes(first: FromPixels, moves: Sequence[Geometry]) -> Iterator[Mistake]:
    """Those of steps.mistaken(), one by one: where the recipe has whole levels chroma that is aside comes to such, too. moves: what needs
    these; behind it nothing is left unrounded."""
    for name, other in mistaken(first).items():
        if moves and not other.rounds and name in OTHER_CONVERSIONS:
            continue
        whole = first.rounds and not other.rounds and name not in OTHER_CONVERSIONS
        yield Mistake(
            name, f"Y, U and V read with {name}" if name not in OTHER_CONVERSIONS else name, planes=functools.partial(_planes, other, whole)
        )


def _planes(step: FromPixels, whole: bool, pixels: NDArray[Any]) -> Array:
    levels = reference.apply([step], pixels)
    return np.clip(np.floor(levels + 0.5), 0, 255) if whole else levels
