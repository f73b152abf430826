"""Which outputs list rows in an order that nothing defines: those whose rows change places where the lists do that they are made of."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PreprocError
from ..host import Progress, silent
from .cases import Case, Truth
from .difference import differences
from .parts import Part, is_exact, listing, parts_of
from .precision import LEAST, MOST
from .rows import Rows
from .runtimes import Outputs


@dataclass(frozen=True)
class Lists:
    """Outputs that have lists in common. exchanged: opens the original with the first two rows of each in each other's places.
    scores_alone: where the lists are sorted by scores, with these alone in each other's places; None: their order is not defined."""

    outputs: Set[str]
    exchanged: Callable[[], Truth]
    scores_alone: Callable[[], Truth] | None


def found_rows(cases: Sequence[Case], lists: Sequence[Lists], *, progress: Progress = silent) -> tuple[Rows, ...]:
    """Of cases of a picture alone. What a list is made into otherwise than row by row has its order from it, and none of its own."""
    found = list[Rows]()
    for each in lists:
        known = {name for rows in found for name in rows.axes}
        names = [name for name in cases[0].expected if name in each.outputs and name not in known]
        several = [case for case in cases if any(max(case.expected[name].shape, default=0) > 1 for name in names)]
        if several:
            progress("looking for the order of rows")
            rows = _rows(several, names, each)
            found += [] if rows is None else [rows]
    return tuple(found)


def _rows(cases: Sequence[Case], names: Sequence[str], lists: Lists) -> Rows | None:
    """From the first case that shows them: all outputs together, for a row of one belongs to a row of each other. None where they have not
    as many rows in every case: they are compared where they stand then."""
    parts = parts_of(cases)
    try:
        exchanged, alone = lists.exchanged(), None if lists.scores_alone is None else lists.scores_alone()
        for ready, case in ((case.ready, _only(case, names)) for case in cases if case.ready is not None):
            got = exchanged(ready)
            axes = _followed(got, case, parts)
            if len({tuple(each.expected[name].shape[axis] for each in cases) for name, axis in axes.items()}) > 1:
                return None  # no row of the one is a row of the other, though the one may say which of the other's it is of
            rows = Rows(axes)
            if not axes or _apart({name: got[name] for name in axes}, _only(case, list(axes)), listing(parts, [rows])) > LEAST:
                continue
            rows = _with_others(rows, cases, names)
            if alone is None:
                return rows
            keys = _keys(alone(ready), case, rows, parts)
            if keys:
                return replace(rows, keys=keys)
    except PreprocError:  # ONNX Runtime does not run the file with other nodes in it
        return None
    return None


def _only(case: Case, names: Sequence[str]) -> Case:
    return replace(case, expected={name: case.expected[name] for name in names})


def _followed(got: Outputs, case: Case, parts: Mapping[str, Part]) -> dict[str, int]:
    """The outputs that are the same but for their rows' places, each by itself, and the axes of these."""
    axes = dict[str, int]()
    for name, expected in case.expected.items():
        if name not in got:
            continue
        one, answer = _only(case, [name]), {name: got[name]}
        if got[name].shape != expected.shape or _apart(answer, one, parts) <= MOST:
            continue
        for axis, side in enumerate(expected.shape):
            if side > 1 and _apart(answer, one, listing(parts, [Rows({name: axis})])) <= LEAST:
                axes[name] = axis
                break
    return axes


def _apart(got: Outputs, case: Case, parts: Mapping[str, Part]) -> float:
    return max(differences(got, case, {key: part for key, part in parts.items() if part.output in case.expected}).values())


def _with_others(rows: Rows, cases: Sequence[Case], names: Sequence[str]) -> Rows:
    """With the outputs that have a list in common and have as many rows in every case, though their first two may be alike."""
    first = next(iter(rows.axes))
    counts = [case.expected[first].shape[rows.axes[first]] for case in cases]
    axes = dict(rows.axes)
    for name in names:
        if name not in axes and len({case.expected[name].ndim for case in cases}) == 1:
            shapes = np.array([case.expected[name].shape for case in cases])
            fitting = [axis for axis in range(shapes.shape[1]) if shapes[:, axis].tolist() == counts]
            axes |= {name: fitting[0]} if fitting else {}
    return Rows({name: axes[name] for name in names if name in axes})


def _keys(got: Outputs, case: Case, rows: Rows, parts: Mapping[str, Part]) -> dict[str, tuple[int, ...]]:
    """By output, the values of a row that move where the scores alone do."""
    keys = dict[str, tuple[int, ...]]()
    for part in parts.values():
        name = part.output
        if name not in rows.axes or name not in got or got[name].shape != case.expected[name].shape:
            continue
        moved = np.zeros(got[name].shape, bool)
        moved[part.index()] = _moved(part.of(got[name]), part.of(case.expected[name]), part.scale)
        of = np.flatnonzero(rows.laid(name, moved).any(axis=(0, 1))).tolist()
        if of:
            keys[name] = tuple(sorted({*keys.get(name, ()), *of}))
    return keys


def _moved(got: NDArray[Any], expected: NDArray[Any], scale: float) -> NDArray[np.bool_]:
    moved: NDArray[np.bool_] = got != expected if is_exact(expected) else np.abs(got - expected) > LEAST * scale
    return moved
