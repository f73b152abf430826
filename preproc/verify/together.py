"""Different pictures in one batch, with what is true of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arranging import arranged
from .cases import Case, Given, Truth, check_alike
from .difference import differences
from .parts import Part
from .precision import LEAST, rules_of
from .runtimes import Outputs
from .unresolved import with_unresolved

TOGETHER = 5
"""Pictures in a batch."""


def batches(
    singles: Sequence[Case], truth: Truth, parts: Mapping[str, Part], *, given: Given, ties: bool, precision: str = "float32"
) -> list[Case]:
    """Five different pictures of each size, from the cases of each alone. An output that has a row for each picture, whatever else is in
    the batch, is put together from these, or the reference's answer to the batch where that is another by more than half of the smallest
    tolerance; any other one is that answer, too, and its name is in `whole`.

    given, precision: as make_cases() has them.  ties: whether there may be some.
    """
    by_size: dict[tuple[int, ...], list[Case]] = {}
    for case in singles:
        by_size.setdefault(case.pixels.shape[1:], []).append(case)
    together = [same[:: max(1, len(same) // TOGETHER)][:TOGETHER] for same in by_size.values()]
    return [_batch(chosen, truth, parts, given=given, ties=ties, precision=precision) for chosen in together]


def _batch(chosen: Sequence[Case], truth: Truth, parts: Mapping[str, Part], *, given: Given, ties: bool, precision: str) -> Case:
    pixels = np.concatenate([case.pixels for case in chosen])
    axes = chosen[0].axes
    title = f"batch of {len(chosen)} ({'x'.join(map(str, chosen[0].pixels.shape[1:]))})"
    names = list(chosen[0].expected)
    rows = {name: _rows([case.expected[name] for case in chosen]) for name in names}
    joined = {name: values for name, values in rows.items() if values is not None}
    masks = unresolved_together(chosen, list(joined))
    ready = np.concatenate([case.ready for case in chosen if case.ready is not None])
    if truth.per_picture:
        return Case(title, pixels, joined, given(ready), unresolved=masks, axes=axes)
    answer = _as_alone(truth(ready), Case(title, pixels, joined, axes=axes), parts)
    made = Case(title, pixels, answer, given(ready), ready=ready, axes=axes)
    check_alike([chosen[0], made])
    off = {name: _off(made.expected[name], values, name, masks, parts) for name, values in joined.items()}
    apart = {name for name, error in off.items() if error <= rules_of(precision).rounding}
    whole = frozenset(set(names) - apart)
    if whole and ties:
        (made,) = with_unresolved([made], truth, parts, precision=precision)
    return replace(
        made,
        expected={name: joined[name] if off.get(name, np.inf) <= LEAST / 2 else made.expected[name] for name in names},
        unresolved={name: mask for name, mask in made.unresolved.items() if name in whole}
        | {name: mask for name, mask in masks.items() if name in apart},
        whole=whole,
        ready=None,
    )


def unresolved_together(cases: Sequence[Case], names: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """What is unresolved of these outputs, which have a row for each picture, where the cases are one batch."""
    some = [name for name in names if any(name in case.unresolved for case in cases)]
    return {name: np.concatenate([_mask(case, name) for case in cases]) for name in some}


def _mask(case: Case, name: str) -> NDArray[np.bool_]:
    """Of an output whose number of rows is open, nothing: it has not one for each picture."""
    mask = np.array(True) if case.open_rows(name) else case.unresolved.get(name, np.array(False))
    return np.array(np.broadcast_to(mask, case.expected[name].shape))


def _rows(arrays: Sequence[NDArray[Any]]) -> NDArray[Any] | None:
    """Of pictures alone, one behind the other; None where there is not one for each."""
    if any(array.shape[:1] != (1,) or array.shape[1:] != arrays[0].shape[1:] for array in arrays):
        return None
    return np.concatenate(arrays)


def _as_alone(answer: Outputs, joined: Case, parts: Mapping[str, Part]) -> Outputs:
    """The batch's answer with its rows where they are in its pictures' alone."""
    return arranged(answer, joined, parts).whole


def _off(answer: NDArray[Any], joined: NDArray[Any], name: str, masks: Mapping[str, NDArray[np.bool_]], parts: Mapping[str, Part]) -> float:
    """How far the batch's answer is from that of its pictures alone."""
    if answer.shape != joined.shape or answer.dtype.kind != joined.dtype.kind:
        return float("inf")
    case = Case("", np.zeros(0), {name: joined}, unresolved={name: masks[name]} if name in masks else {})
    return max(differences({name: answer}, case, parts).values())
