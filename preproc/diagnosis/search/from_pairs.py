"""From pairs to an answer."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PreprocError
from ...host import Progress, silent
from ..geometry import absent
from ..pairs import Pairs, read_pairs
from ..solving import KERNELS_DIFFER, Precision
from . import judging, per_picture
from .answer import Candidate, Diagnosis
from .bench import Bench
from .constants import Constants, constants_of
from .fronts import apart, front_of
from .judging import Judged
from .open_questions import open_questions
from .recipe import Said, said
from .search import Search

NEAR = 4.0
"""Grey levels, root mean square: beyond it nothing that was tried is near."""

SAME = 0.01
"""Of a channel: as much of it as no line makes of another one is a rounding."""
NO_STEP = "every picture has constants of its own, and no step that is known makes them"


def diagnose_pairs(place: str | Path | Callable[..., Any], *, images: Path | None = None, progress: Progress = silent) -> Diagnosis:
    """Which preprocessing made the tensors of the pictures: geometry and kernel by search, the affine part by least squares.

    place, images: as read_pairs()'s. Raises PreprocError for pairs that cannot be read. What cannot be told is no
    error: the verdict says it.
    """
    return answered(read_pairs(place, images=images), progress=progress)


def answered(pairs: Pairs, *, progress: Progress = silent) -> Diagnosis:
    """diagnose_pairs(), of pairs that are read."""
    benches = _benches(pairs)
    search = Search(_of_one_channel(benches) or benches, progress)
    left = search.run()
    progress("what is left, on all pairs")
    precision = Precision.of([pair.tensor for pair in pairs.pairs])
    found = judging.alike_but_for_grey(judging.judged(benches, left, precision))
    notes = (*pairs.notes, *(f"{library}: {told}" for library, told in absent().items()))
    if not found:
        return Diagnosis.of_none(_why_none(benches), notes, len(benches), tried=len(search.scored))
    judgement = _judgement(found, benches, precision)
    kept, exact, own = judgement.kept, judgement.exact, judgement.own
    best, rest = kept[0], [each for each in found if each not in kept]
    made = list(judgement.made)
    constants: Constants | None
    if own:
        constants = made.pop(0) if made else None
    else:
        front = front_of(best.geometry, best.solved.affine)
        constants = constants_of(best.solved, front.steps if front else (), precision=precision.levels(best.solved.affine))
    decoders = {each.decoder for each in search.scored}
    asked = open_questions(benches, kept, pairs, own=own, steps=[each.name for each in made], decoders=decoders)
    near = exact or (best.own if own else best.rms) <= NEAR
    verdict = "not identified" if not near else "identified" if exact and len(kept) == 1 and not asked.narrows else "narrowed"
    recipe = _recipe(benches, kept, constants) if near and constants is not None else None
    return Diagnosis(
        verdict=verdict,
        fits=tuple(_candidate(each, own=own) for each in (kept if near else kept[:1])),
        second=_candidate(rest[0], own=own) if rest else None,
        explained=precision.levels(best.solved.affine) + KERNELS_DIFFER,
        exact=exact,
        constants=constants,
        said=recipe,
        ambiguous=asked.told,
        notes=notes,
        pictures=len(benches),
        tried=len(search.scored),
        precision=precision.name,
        reason=NO_STEP if own and constants is None else None,
    )


@dataclass(frozen=True, eq=False)
class _Judgement:
    """kept: what fits, the best first.  exact: whether to the last bit.  own: whether every picture has constants of its own.  made: the
    steps that make the tensors with such constants, of the first that is kept, the best first."""

    kept: list[Judged]
    exact: bool
    own: bool
    made: Sequence[Constants]


def _judgement(found: Sequence[Judged], benches: Sequence[Bench], precision: Precision) -> _Judgement:
    """Constants that are the same for all come first where both explain the tensors."""
    kept = judging.fitting(found)
    if kept[0].exact:
        return _Judgement(kept, True, False, per_picture.steps_of(benches, kept[0], precision))
    nearest = per_picture.nearest(found)
    made = [(each, steps) for each in nearest if (steps := per_picture.steps_of(benches, each, precision))]
    if made:
        return _Judgement([each for each, _ in made], True, True, made[0][1])
    if per_picture.are_own(found) and len(benches) > 1:
        return _Judgement(nearest, False, True, ())
    return _Judgement(kept, False, False, ())


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


def _of_one_channel(benches: Sequence[Bench]) -> list[Bench] | None:
    """With the first channel of their tensors alone, where the others say the same as it, and the pictures' do not: they were made grey."""
    if any(_mean_apart(bench.pair.tensor) > SAME for bench in benches):
        return None
    if all(_mean_apart(bench.source.picture().transpose(2, 0, 1)) <= 3 * SAME for bench in benches):
        return None
    return [Bench(replace(bench.pair, tensor=bench.pair.tensor[:1]), bench.source) for bench in benches]


def _mean_apart(planes: NDArray[Any]) -> float:
    """Of channels: what share of them, at most, no line makes of the first one."""
    flat = planes.reshape(len(planes), -1).astype(np.float64)
    off = flat - flat.mean(axis=1, keepdims=True)
    spread = np.sqrt((off**2).sum(axis=1))
    if len(planes) == 1 or not (spread > 0).all():
        return math.inf
    return float(np.sqrt((1 - ((off @ off[0]) / (spread * spread[0])) ** 2).clip(0)).max())


def _why_none(benches: Sequence[Bench]) -> str:
    """Why no geometry can be judged."""
    if all(bench.source.picture().std(axis=(0, 1)).max() < 1e-3 for bench in benches):
        return "every picture has one colour, which tells no geometry and no constants"
    if all(bench.pair.tensor.std(axis=(1, 2)).max() < 1e-12 for bench in benches):
        return "every tensor has one value in each channel, which tells nothing"
    return "nothing that was tried makes tensors of these sizes of these pictures, or they have no pixel that follows the picture's"


def _candidate(one: Judged, *, own: bool) -> Candidate:
    rms, largest = (one.own, None) if own else (one.rms, one.largest)
    return Candidate(one.geometry, one.solved, rms, largest, one.alike)


def _recipe(benches: Sequence[Bench], kept: Sequence[Judged], constants: Constants) -> Said | None:
    """Of the first that a recipe can say, of pictures that are turned already, if they were by their tags."""
    best = kept[0].geometry
    for one in kept:
        for geometry in one.alike:
            front = front_of(geometry, one.solved.affine)
            if front is not None and geometry.turn == best.turn:
                return said(front, constants, apart(benches, geometry, front), pictures=len(benches))
    return None
