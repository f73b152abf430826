"""The Python pipeline that steps were published as, run on photographs: what every runtime is compared with, too."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray

from ..errors import NotAtHandError, PreprocError
from ..host import Progress
from ..oracle import reference
from ..sources import Recipe
from ..sources.published import original, through_floats, title
from ..steps import PILLOWS, Resampling, Size, Step, installed_pillow, with_pillow
from ..verify import Answers, Case, Given, Part, check_alike, has_ties, inputs, with_unresolved

MOST_READY = 1e-5
"""How far the original pipeline's model-ready tensors, in float32, may be from the reference's, relative: a hundredth of a grey level."""


def through_original(
    recipe: Recipe, bare: Answers, given: Given, sizes: Sequence[Size], parts: Mapping[str, Part], progress: Progress
) -> tuple[list[Case], float]:
    """Photographs of all sizes through the Python pipeline that the steps were published as, and the bare backbone in float32; and how far
    its model-ready tensors are from the reference's. Raises NotAtHandError, with the reason: also where the Pillow that is installed here
    resizes these photographs otherwise than the recipe's. Then, too, the steps are those of the pipeline but for the order of passes."""
    pixels, published = recipe.pixels, recipe.steps_from
    if published is None:
        raise NotAtHandError("its steps are the recipe's own")
    if not set("RGB") <= set(pixels.color) or pixels.dtype != "uint8":
        raise NotAtHandError(f"it takes RGB pictures of 8 bits, the model {pixels.color} of {pixels.dtype}")
    transform, as_here, most = original(published), with_pillow(recipe.steps, installed_pillow()), _most_ready(recipe.steps)
    progress(f"running {title(published)} on photographs")
    cases, worst, apart, where = list[Case](), 0.0, 0.0, ""
    for size in sizes:
        named = list(inputs.photographs(pixels, size))
        for position, (name, _, _) in enumerate(named):
            chosen = [named[(position + further) % len(named)] for further in range(math.prod(pixels.front()))]
            picture = np.concatenate([picture for _, _, picture in chosen])
            ready, ours = np.concatenate([transform(image) for _, image, _ in chosen]), reference.apply(as_here, picture)
            if ready.shape != ours.shape:
                raise PreprocError(
                    f"expected {title(published)} to make {ours.shape} of {name}, got {ready.shape}", name="reading-disagrees"
                )
            further = float(np.abs(ready - ours).max() / np.abs(ours).max())
            if further > most:
                raise PreprocError(
                    f"expected the steps to compute what {title(published)} computes here, got model-ready tensors {further:.1e} of the "
                    f"largest value away from its own on {name}: {_cause(recipe.steps, picture, ready, ours)}",
                    name="reading-disagrees",
                )
            worst = max(worst, further)
            if as_here != recipe.steps:
                other = reference.apply(recipe.steps, picture)
                further = float(np.abs(other - ours).max() / np.abs(other).max())
                apart, where = max((apart, where), (further, name))
            arranged = picture.reshape(*pixels.front(), *picture.shape[1:])
            cases.append(Case(name, arranged, bare(ready), given(ready), ready=ready.astype(np.float64), axes=picture.ndim - 1))
    if apart > most:
        (pillow,) = {step.pillow for step in recipe.steps if isinstance(step, Resampling)} - {None, installed_pillow()}
        raise NotAtHandError(
            f"Pillow {PIL.__version__} here resizes otherwise than Pillow {pillow}, whose order of passes the file has: model-ready "
            f"tensors differ by up to {apart:.1e} of the largest value (on {where})",
            name="pillow-version",
        )
    check_alike(cases)
    if has_ties(cases):
        cases = with_unresolved(cases, bare, parts, by=most, progress=progress)
    return [dataclasses.replace(case, ready=None) for case in cases], worst


def _most_ready(sequence: Sequence[Step]) -> float:
    """Ten times as far where torch resizes floats, with weights of float32."""
    return MOST_READY * (1 if all(step.rounds for step in sequence if isinstance(step, Resampling)) else 10)


def _cause(sequence: Sequence[Step], picture: NDArray[Any], theirs: NDArray[np.float32], ours: NDArray[np.float64]) -> str:
    """What parts a pipeline's values from those of the steps, as far as the picture itself shows it."""
    for pillow in PILLOWS:
        other = reference.apply(with_pillow(sequence, pillow), picture)
        if np.abs(theirs - other).max() <= MOST_READY * np.abs(other).max():
            return f"Pillow {PIL.__version__} here has the order of passes of Pillow {pillow}"
    told = []
    for channel in range(ours.shape[1]):
        x, y = ours[:, channel].ravel(), theirs[:, channel].ravel().astype(np.float64)
        scale = float(np.cov(x, y, ddof=0)[0, 1] / max(x.var(), 1e-12))
        offset = float(y.mean() - scale * x.mean())
        if np.abs(y - scale * x - offset).max() > 10 * MOST_READY * np.abs(y).max():
            why = through_floats(sequence)
            if not why and any(isinstance(step, Resampling) and step.pillow is not None for step in sequence):
                why = "and in no order of passes of Pillow's"
            return "its pixels are others, so it resizes, crops or converts them otherwise" + (f", {why}" if why else "")
        told.append(f"{scale:.4g} x {offset:+.4g}")
    return f"its pixels are the same, its constants are not: channel by channel it has {', '.join(told)} for the x of the steps"
