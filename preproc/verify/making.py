"""Inputs with what is true of them: each picture alone, and different ones together."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PreprocError
from ..host import Progress, paced, silent
from ..oracle import reference
from ..steps import Step
from .cases import Case, Given, Truth, check_alike
from .ordering import Lists, found_rows
from .parts import Part, is_exact, parts_of
from .together import batches
from .unresolved import has_ties, with_unresolved

MOST_HALF = 65504
"""The largest number of float16."""


def make_cases(
    sequence: Sequence[Step],
    truth: Truth,
    pictures: Iterable[tuple[str, NDArray[Any]]],
    *,
    front: Sequence[int] = (1,),
    several: bool = True,
    given: Given | None = None,
    precision: str = "float32",
    lists: Sequence[Lists] = (),
    like: Mapping[str, Part] | None = None,
    stage: str = "computing the float64 reference",
    progress: Progress = silent,
) -> tuple[list[Case], dict[str, Part]]:
    """Every picture alone, and if `several` a batch of five different ones of each size. Where there may be ties, with those. And what of
    their outputs is compared by itself.

    front: how many pictures stand in front of a picture's own axes: (1,); (), no batch; (3,), a fixed batch; (1, 4), frames. Of more than
    one they are different pictures, called after the first.  stage: what progress says.
    given: what the file that is verified takes beside the picture; None: what the original does.  precision: that file's.
    lists: what the original's outputs list, and may list in another order.  like: as parts_of()'s.
    """
    given = given or truth.others
    by_size: dict[tuple[int, ...], list[tuple[str, NDArray[Any]]]] = {}
    for name, pixels in pictures:
        by_size.setdefault(pixels.shape[1:], []).append((name, pixels))
    cases = []
    all_of_them = [(same, position) for same in by_size.values() for position in range(len(same))]
    for same, position in paced(all_of_them, stage, progress):
        together = [same[(position + further) % len(same)][1] for further in range(math.prod(front))]
        pixels = np.concatenate(together)
        ready = reference.apply(sequence, pixels)
        pixels, axes = pixels.reshape(*front, *pixels.shape[1:]), pixels.ndim - 1
        cases.append(Case(same[position][0], pixels, truth(ready), given(ready), ready=ready, axes=axes))
    check_alike(cases)
    _check_finite(cases, precision)
    rows = () if like is not None else found_rows(cases, lists, progress=progress)
    parts, ties = parts_of(cases, like, rows), has_ties(cases)
    if ties:
        cases = with_unresolved(cases, truth, parts, precision=precision, progress=progress)
    together_too = batches(cases, truth, parts, given=given, ties=ties, precision=precision) if several else []
    _check_finite(together_too, precision)
    cases += together_too
    return cases, parts_of(cases, like, rows)


def _check_finite(cases: Sequence[Case], precision: str) -> None:
    for case in cases:
        if all(is_exact(values) or np.isfinite(values).all() for values in case.expected.values()):
            continue
        told = f"expected a backbone that answers finite numbers, got a NaN or an infinity on {case.name}"
        largest = 0.0 if case.ready is None else float(np.abs(case.ready).max())
        if precision == "float16" and largest > MOST_HALF:
            raise PreprocError(
                f"{told}: the steps make values up to {largest:.4g} of it, and float16 ends at {MOST_HALF}; check their constants",
                name="precision-overflow",
            )
        also = f", and whether it computes values beyond {MOST_HALF}, where float16 ends" if precision == "float16" else ""
        raise PreprocError(f"{told}; check its weights{also}", name="not-finite")
