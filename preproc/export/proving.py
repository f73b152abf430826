"""What is true: the reference's cases and their power, from the recipe and its original backbone."""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ..errors import NotAtHandError
from ..host import Progress, silent
from ..sources import Recipe
from ..steps import Geometry, Size, known
from ..verify import QUICK, Case, Noticed, Power, inputs, make_cases, measure_power, sizes_of, with_own_slack
from .original import through_original
from .sizing import with_sizes
from .truths import truths_of

if TYPE_CHECKING:
    from ..sources.backbones import Backbone

GOLDEN = (f"{inputs.PHOTO}astronaut", f"{inputs.MADE}astronaut", "noise", "border-impulse", "low-contrast")
"""The inputs that become golden samples, behind the first images of the user's own; where the network gets several sizes, a noise of the
second one, too."""
OWN_GOLDEN = 3
"""So many of these."""
SKETCH = GOLDEN[:3]
"""Those of a quick export."""


@dataclass(frozen=True)
class Proof:
    """cases: all inputs with the reference's outputs.  golden: those that are written into the bundle, on which `power` was measured.
    noticed: see measure_power().  sizes: (height, width) of the pixels where a side is free.  against: what the cases come from, for
    people.
    original: photographs with the outputs that the published Python pipeline leads to; ready_error: as verify.Original's.  no_original:
    why there are none."""

    cases: tuple[Case, ...]
    golden: tuple[Case, ...]
    power: Power
    noticed: Noticed
    sizes: tuple[Size, ...]
    against: str
    original: tuple[Case, ...] | None = None
    ready_error: float = 0.0
    no_original: str = ""


def prove(
    recipe: Recipe, backbone: "Backbone | Path", *, images: Path | None = None, quick: bool = False, progress: Progress = silent
) -> Proof:
    """Runs the reference: NumPy float64 steps, then the original backbone in float64 (an .onnx file: in ONNX Runtime).

    images: a folder of the user's own pictures.
    quick: on the inputs SKETCH and a few of the user's own, of one size, and not on the original pipeline; nothing passes then.
    """
    for note in [] if images is None else inputs.notes(images):
        progress(note)
    truths = truths_of(recipe, backbone)  # first: it refuses outputs that cannot be compared
    recipe = with_sizes(recipe, lambda ready: truths.bare(ready).values(), progress)
    progress("computing the float64 reference")
    sizes = sizes_of(recipe)[: 1 if quick else None]
    pictures = _pictures(recipe, sizes, images, quick=quick)
    cases = make_cases(recipe.steps, truths.reference, pictures, batch=recipe.pixels.batch, progress=progress)
    own = [name for name, _ in pictures if name.startswith(inputs.OWN)][:OWN_GOLDEN]
    others = [] if known(recipe.ready_size) else [_name("noise", size, sizes) for size in sizes[1:2]]
    golden = tuple(case for case in cases if case.name in (*own, *GOLDEN, *others))
    power, noticed = measure_power(
        recipe.steps,
        truths.reference,
        truths.bare,
        cases,
        golden,
        uncorrected=truths.uncorrected,
        asked=recipe.export.tolerance,
        progress=progress,
    )
    roomy = functools.partial(with_own_slack, recipe.steps, truths.reference, scale=power.scale, usual=sizes[0])
    told = f"{truths.name}, {len(cases)} inputs"
    free = () if known(recipe.pixels.size) else tuple(sizes)
    proof = Proof(tuple(roomy(cases=cases)), golden, dataclasses.replace(power, quick=quick), noticed, free, told)
    if quick:
        return dataclasses.replace(proof, no_original=f"quick: {QUICK}")
    try:
        compared, ready_error = through_original(recipe, truths.bare, sizes, power.scale, progress)
    except NotAtHandError as error:
        return dataclasses.replace(proof, no_original=str(error))
    return dataclasses.replace(proof, original=tuple(roomy(cases=compared)), ready_error=ready_error)


def _pictures(recipe: Recipe, sizes: Sequence[Size], images: Path | None, *, quick: bool) -> list[tuple[str, NDArray[Any]]]:
    """Of all sizes, by their names; those of another size than the first say it."""
    pixels, moving = recipe.pixels, any(isinstance(step, Geometry) for step in recipe.steps)
    pictures = []
    for size in sizes:
        own = list(inputs.from_folder(images, pixels, size)) if images else []
        named = [*own, *inputs.standard(pixels, size)]
        if quick:
            named = [*own[:OWN_GOLDEN], *((name, picture) for name, picture in named if name in SKETCH)]
        if moving and size != sizes[0]:  # large ones cost time, and what follows the resize has seen the others
            kept = ("noise", inputs.PHOTO, inputs.MADE, inputs.OWN)
            named = [(name, picture) for name, picture in named if name.startswith(kept)]
        pictures += [(_name(name, size, sizes), picture) for name, picture in named]
    return pictures


def _name(name: str, size: Size, sizes: Sequence[Size]) -> str:
    return name if size == sizes[0] else f"{name}-{size[0]}x{size[1]}"
