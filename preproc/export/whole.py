"""Steps in front of a network that takes whole numbers: whether they make such of its range."""

import numpy as np

from .. import graph
from ..errors import PreprocError
from ..folding import guard
from ..sources import Recipe
from ..steps import PIXEL_DTYPES, Affine, Geometry, Resampling, check


def check_whole(recipe: Recipe, picture: graph.Picture) -> None:
    """Raises PreprocError unless the steps make of every pixel a whole number that the model's input holds."""
    assert picture.value.dtype is not None
    dtype, channels = picture.value.dtype.numpy(), recipe.pixels.channels
    made, limits = check(recipe.steps, channels=channels), np.iinfo(dtype)
    affine = Affine.identity(channels)
    for step in recipe.steps:
        found = Affine.identity(affine.channels_out) if isinstance(step, Geometry) else step.affine(affine.channels_out)
        if found is None or (isinstance(step, Resampling) and not step.rounds):
            raise _not_whole(picture, f"{step.name}, whose values are not")
        affine = affine.then(found)
    scales, offsets = (np.abs(numbers - np.rint(numbers)).max() for numbers in (affine.matrix, affine.offset))
    if max(scales * PIXEL_DTYPES[recipe.pixels.dtype], offsets) > 1e-3:
        raise _not_whole(picture, guard.described(affine))
    if made is not None and (min(made.low) < limits.min - 0.5 or max(made.high) > limits.max + 0.5):
        raise _not_whole(picture, f"values in {made}")


def _not_whole(picture: graph.Picture, got: str) -> PreprocError:
    assert picture.value.dtype is not None
    limits = np.iinfo(picture.value.dtype.numpy())
    return PreprocError(
        f"expected steps that make whole numbers of {limits.min}..{limits.max}, which {picture.value.name} takes, got {got}: as, a "
        "number per channel, --mean 128,128,128 --std 1,1,1 --units 0-255 does for int8",
        name="pixel-dtype",
    )
