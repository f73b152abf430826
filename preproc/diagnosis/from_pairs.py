"""From pairs to an answer."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import PreprocError
from ..host import Progress, silent
from ..steps import FromPixels, Step
from . import judging
from .answer import Candidate, Diagnosis
from .bench import Bench
from .constants import Constants, constants_of
from .geometry import absent, steps_of
from .judging import Judged, Precision
from .open_questions import open_questions
from .pairs import Pairs, read_pairs
from .recipe import text_of
from .search import Search

NEAR = 8.0
"""Grey levels, root mean square: beyond it nothing that was tried is near."""


def diagnose_pairs(place: str | Path | Callable[..., Any], *, images: Path | None = None, progress: Progress = silent) -> Diagnosis:
    """Which preprocessing made the tensors of the pictures: geometry and kernel by search, the affine part by least squares.

    place, images: as read_pairs()'s. Raises PreprocError for pairs that cannot be read. What cannot be told is no
    error: the verdict says it.
    """
    return answered(read_pairs(place, images=images), progress=progress)


def answered(pairs: Pairs, *, progress: Progress = silent) -> Diagnosis:
    """diagnose_pairs(), of pairs that are read."""
    benches = _benches(pairs)
    search = Search(benches, progress)
    left = search.run()
    progress("what is left, on all pairs")
    found = judging.judged(benches, left)
    notes = (*pairs.notes, *(f"{library}: {told}" for library, told in absent().items()))
    precision = Precision.of([pair.tensor for pair in pairs.pairs])
    if not found:
        return Diagnosis.of_none(_why_none(benches), notes, len(benches), tried=len(search.scored))
    best = found[0]
    limit = judging.explained(best, precision)
    exact = best.largest <= limit
    kept = [each for each in found if not judging.worse(each, best) and (not exact or each.largest <= judging.explained(each, precision))]
    rest = [each for each in found if each not in kept]
    constants = constants_of(best.solved, steps_of(best.geometry) or (), precision=precision.levels(best.solved.affine))
    asked = open_questions(benches, kept, pairs)
    verdict = _verdict(kept, exact, asked.narrows)
    steps, recipe = _recipe(kept, constants, len(benches)) if verdict != "not identified" else (None, None)
    return Diagnosis(
        verdict=verdict,
        fits=tuple(_candidate(each) for each in kept) if verdict != "not identified" else (_candidate(best),),
        second=_candidate(rest[0]) if rest else None,
        explained=limit,
        exact=exact,
        constants=constants,
        steps=steps,
        recipe=recipe,
        ambiguous=asked.told,
        notes=notes,
        pictures=len(benches),
        tried=len(search.scored),
        precision=precision.name,
    )


def _benches(pairs: Pairs) -> list[Bench]:
    benches = []
    for pair in pairs.pairs:
        bench = Bench.of(pair)
        try:
            bench.source.picture()
        except PreprocError as error:
            raise PreprocError(f"{pair.picture}: {error}") from error
        benches.append(bench)
    return benches


def _why_none(benches: Sequence[Bench]) -> str:
    """Why no geometry can be judged."""
    if all(bench.source.picture().std(axis=(0, 1)).max() < 1e-3 for bench in benches):
        return "every picture has one colour, which tells no geometry and no constants"
    if all(bench.pair.tensor.std(axis=(1, 2)).max() < 1e-12 for bench in benches):
        return "every tensor has one value in each channel, which tells nothing"
    return "nothing that was tried makes tensors of these sizes of these pictures, or they have no pixel that follows the picture's"


def _verdict(kept: Sequence[Judged], exact: bool, narrows: bool) -> str:
    best = kept[0]
    if not exact and best.rms > NEAR:
        return "not identified"
    return "identified" if exact and len(kept) == 1 and not narrows else "narrowed"


def _candidate(one: Judged) -> Candidate:
    return Candidate(one.geometry, one.solved, one.rms, one.largest, one.alike)


def _recipe(kept: Sequence[Judged], constants: Constants, pictures: int) -> tuple[tuple[Step, ...] | None, str | None]:
    """Of the first that a recipe can say."""
    for one in kept:
        for geometry in one.alike:
            moving = steps_of(geometry)
            if moving is not None and geometry.turn == "as stored":
                steps = (*moving, *constants.steps)
                text = text_of(steps, color=constants.color, pictures=pictures, words=constants.name)
                return (FromPixels(layout="NHWC", color="RGB", to=constants.color), *steps), text
    return None, None
