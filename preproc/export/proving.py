"""What is true: the reference's cases and their power, from the recipe and its original backbone."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ..bundle import EIGHT
from ..errors import NotAtHandError
from ..host import Progress, silent
from ..sources import Recipe
from ..steps import Geometry, Size, known, rounds_once
from ..verify import (
    FLOAT64,
    NOISE,
    QUICK,
    Answers,
    Part,
    Power,
    further_draws,
    inputs,
    known_of,
    make_cases,
    measure_power,
    sizes_of,
    with_own_slack,
)
from .original import through_original
from .proof import Proof, joined
from .sizing import with_sizes
from .truths import ORIGINAL_FILE, truths_of

if TYPE_CHECKING:
    from ..sources.backbones import Backbone

GOLDEN = (f"{inputs.PHOTO}astronaut", f"{inputs.MADE}astronaut", "noise", "border-impulse", "low-contrast")
"""The inputs that become golden samples, behind the first images of the user's own; where the network gets several sizes, a noise of the
second one, too."""
OWN_GOLDEN = 3
"""So many of these."""
OWN_IN_EIGHT = 16
"""Of the user's own pictures, with which alone a network in 8 bits is verified, where there are some: its ranges were taken from such, and
it saturates on noise, black and white, as it does without us."""
SKETCH = GOLDEN[:3]
"""Those of a quick export."""


def prove(
    recipe: Recipe, backbone: "Backbone | Path", *, images: Path | None = None, quick: bool = False, progress: Progress = silent
) -> Proof:
    """Runs the reference: NumPy float64 steps, then the original backbone in float64 (an .onnx file: where known_of() has it). Of several
    pictures, each is varied in its turn.

    images: a folder of the user's own pictures.
    quick: on the inputs SKETCH and a few of the user's own, of one size, and not on the original pipeline; nothing passes then.
    """
    for note in [] if images is None else inputs.notes(images):
        progress(note)
    views = recipe.views()
    proofs = list[Proof]()
    for view in views:
        like = proofs[0].power.parts if proofs else None
        proofs.append(_proof(view, backbone, images, like, quick=quick, progress=progress))
    return joined(views, proofs)


def _proof(
    recipe: Recipe, backbone: "Backbone | Path", images: Path | None, like: Mapping[str, Part] | None, *, quick: bool, progress: Progress
) -> Proof:
    """Of the recipe's own picture. like: as parts_of()'s."""
    truths = truths_of(recipe, backbone)  # first: it refuses outputs that cannot be compared
    recipe = with_sizes(recipe, lambda ready: truths.bare(ready).values(), progress)
    stage = "computing the float64 reference" if truths.file is None else "running the original file"
    progress(stage)
    sizes = sizes_of(recipe)[: 1 if quick else None]
    pictures = _pictures(recipe, sizes, images, quick=quick)
    cases, parts = make_cases(
        recipe.steps,
        truths.reference,
        pictures,
        front=recipe.pixels.front(),
        several=all(pixels.rows is None for pixels in (recipe.pixels, *(other.pixels for other in recipe.further))),
        given=truths.given,
        precision=recipe.export.precision,
        lists=truths.lists,
        like=like,
        stage=stage,
        progress=progress,
    )
    roomy = functools.partial(with_own_slack, recipe.steps, truths.reference, parts=parts, usual=sizes[0])
    evaluated = None
    if truths.file is not None:
        evaluated = known_of(roomy(cases=cases), truths.file, recipe.steps, parts, progress=progress)
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
        parts=parts,
        known=evaluated,
        asked=recipe.export.tolerance,
        precision=recipe.export.precision,
        progress=progress,
    )
    if evaluated is not None:
        names = {case.name for case in golden}
        golden = tuple(dataclasses.replace(case, slack={}) for case in evaluated.cases if case.name in names)
    verified = roomy(cases=cases) if evaluated is None else evaluated.cases
    proof = Proof(
        tuple(verified),
        golden,
        dataclasses.replace(power, quick=quick),
        noticed,
        truths.bare_in,
        () if known(recipe.pixels.size) else tuple(sizes),
        _origin(truths.name, power),
        rounds_once(recipe.steps, recipe.pixels.channels),
    )
    in_float64 = all(truth.kind == FLOAT64 for truth in power.truths.values())
    if not quick and in_float64:
        exact: Answers = truths.reference if truths.file is None else truths.file.exact()
        proof = dataclasses.replace(proof, draws=tuple(further_draws(golden, exact, recipe.export.precision)))
    if quick:
        return dataclasses.replace(proof, no_original=f"quick: {QUICK}")
    bare: Answers = truths.bare
    if truths.file is not None and recipe.export.half and in_float64:
        bare = truths.file.exact()  # its own answers have the noise that the tolerance is for
    try:
        compared, ready_error = through_original(recipe, bare, truths.given, sizes, parts, progress)
    except NotAtHandError as error:
        return dataclasses.replace(proof, no_original=str(error))
    return dataclasses.replace(proof, original=tuple(roomy(cases=compared)), ready_error=ready_error)


def _origin(name: str, power: Power) -> str:
    """Of the cases' outputs; of an .onnx file how much of that is float64."""
    if name != ORIGINAL_FILE:
        return name
    kinds = {truth.kind for truth in power.truths.values()}
    if kinds == {NOISE}:
        return f"{name} in its own {next(iter(power.truths.values())).precision}"
    return f"{name} in float64" if kinds == {FLOAT64} else f"{name} partly in float64"


def _pictures(recipe: Recipe, sizes: Sequence[Size], images: Path | None, *, quick: bool) -> list[tuple[str, NDArray[Any]]]:
    """Of all sizes, by their names; those of another size than the first say it."""
    pixels, moving = recipe.pixels, any(isinstance(step, Geometry) for step in recipe.steps)
    pictures = []
    for size in sizes:
        own = list(inputs.from_folder(images, pixels, size)) if images else []
        named = [*own, *inputs.standard(pixels, size)]
        if own and recipe.export.precision == EIGHT:
            named = own[:OWN_IN_EIGHT]
        if quick:
            named = [*own[:OWN_GOLDEN], *((name, picture) for name, picture in named if name in SKETCH)]
        if moving and size != sizes[0]:  # large ones cost time, and what follows the resize has seen the others
            kept = ("noise", inputs.PHOTO, inputs.MADE, inputs.OWN)
            named = [(name, picture) for name, picture in named if name.startswith(kept)]
        pictures += [(_name(name, size, sizes), picture) for name, picture in named]
    return pictures


def _name(name: str, size: Size, sizes: Sequence[Size]) -> str:
    return name if size == sizes[0] else f"{name}-{size[0]}x{size[1]}"
