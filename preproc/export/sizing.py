"""The sizes of pixels to verify with: where a side is free such as the network takes."""

import contextlib
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PreprocError, first_line
from ..host import Progress
from ..oracle import reference
from ..sources import Recipe, replace
from ..steps import Geometry, Sides, Size, known
from ..verify import candidates, inputs, sizes_of

Answer = Callable[[NDArray[np.float64]], Iterable[NDArray[Any]]]
"""What the bare network answers to a model-ready (N, C, H, W). Raises PreprocError where it refuses that."""
REFUSES = "network-refuses-picture"
ROWS = (32, 48, 64)
"""Of lines of text, as recognizers take them: their files may leave a height free that is none."""
MOST_VALUES = 200_000_000
"""In one batch: a gigabyte and a half in float64."""


def with_sizes(recipe: Recipe, answer: Answer, progress: Progress) -> Recipe:
    """The recipe with the sizes that are verified, where a side of what the network gets is free: those that it says, or the first
    candidates with which the network runs, on one picture of noise each. Such to which it answers NaNs, or nothing at all, come last: the
    size may be why.

    Raises PreprocError for sizes that are no answer, and with the network's own words where it takes none.
    """
    said = _said(recipe)
    recipe = replace(recipe, export={"verify_sizes": said})
    _check(recipe, sizes_of(recipe))
    if known(recipe.pixels.size) is not None or known(recipe.ready_size) is not None:
        return recipe
    ran, tried, words = list[Size](), list[Size](), ""
    for sizes in [list(said)] if said else candidates(recipe):
        tried += sizes
        try:
            whole = False not in [_answers(recipe, answer, size) for size in sizes]  # every one is tried
        except PreprocError as error:
            if error.name != REFUSES:
                raise
            words = str(error)
            continue
        ran = sizes if whole or not ran else ran
        if whole:
            break
    if not ran:
        mend = "say others" if said else "say some that it takes"
        raise PreprocError(
            f"expected sizes to verify with that the network takes, got none among {_listed(tried)}: it refuses {words}; {mend} with "
            f"--verify-size H,W (in a recipe [export] verify_sizes){'' if said else _rows(recipe, answer)}",
            name=REFUSES,
        )
    if not said:
        progress(f"sizes to verify with: {_listed(ran)}" + (f", for the network refuses {words}" if words else ""))
    return replace(recipe, export={"verify_sizes": tuple(ran)})


def _rows(recipe: Recipe, answer: Answer) -> str:
    """The end of a refusal: how the size of the pixels may be fixed, for a network that takes lines of text."""
    found, moved = [], any(isinstance(step, Geometry) for step in recipe.steps)
    for rows in ROWS if recipe.pixels.size == (None, None) and not moved else ():
        with contextlib.suppress(PreprocError):
            found += [f"--size {rows},*"] * all(_answers(recipe, answer, (rows, width)) for width in (128, 112))
    return ", or fix the size of the pixels" + (f": it takes {' or '.join(found)}" if found else "")


def _said(recipe: Recipe) -> tuple[Size, ...]:
    """The sizes that the recipe says, of those that its picture can have: of several, one may be of one size. Raises PreprocError for sizes
    that no picture can have."""
    said, own = recipe.export.verify_sizes, recipe.pixels.size
    free = list(dict.fromkeys(view.pixels.size for view in recipe.views() if known(view.pixels.size) is None))
    if said and not free:
        raise PreprocError(
            f"verify_sizes: expected with a side of the pixels that is free, got {_listed(said)} for pixels of one size, "
            f"{_listed(sizes_of(recipe))}, which are verified with that",
            name="option-without-effect",
        )
    for size in said:
        if not any(_can_be(sides, size) for sides in free):
            wanted = " or ".join("x".join("any" if side is None else str(side) for side in sides) for sides in free)
            raise PreprocError(
                f"verify_sizes: expected sizes that the pixels can have, {wanted}, got {_listed([size])}", name="shape-mismatch"
            )
    return () if known(own) else tuple(size for size in said if _can_be(own, size))


def _can_be(sides: Sides, size: Size) -> bool:
    return all(side in (None, own) for side, own in zip(sides, size, strict=True))


def _check(recipe: Recipe, sizes: Sequence[Size]) -> None:
    """Raises PreprocError for sizes that are too large."""
    pixels = recipe.pixels
    for size in sizes:
        values = math.prod((*pixels.front(), *pixels.shape(1, size)))
        if values > MOST_VALUES:
            raise PreprocError(f"expected a batch of pictures of at most {MOST_VALUES:,} values, got one of {values:,}", name="too-large")


def _answers(recipe: Recipe, answer: Answer, size: Size) -> bool:
    """Whether the network answers numbers to a picture of that size. Raises PreprocError, whose message begins with the size, where it
    refuses it."""
    noise = next(picture for name, picture in inputs.standard(recipe.pixels, size) if name == "noise")
    ready = reference.apply(recipe.steps, np.concatenate([noise] * math.prod(recipe.pixels.front())))
    try:
        values = list(answer(ready))
    except PreprocError as error:
        if error.name != REFUSES:
            raise
        raise PreprocError(f"{_listed([size])}: {first_line(error.__cause__ or error)}", name=REFUSES) from error
    return any(value.size for value in values) and all(np.isfinite(value).all() for value in values if value.dtype.kind == "f")


def _listed(sizes: Sequence[Size]) -> str:
    return ", ".join(f"{height}x{width}" for height, width in dict.fromkeys(sizes))
