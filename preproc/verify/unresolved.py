"""What the original itself cannot resolve: the values that a few roundings of its input decide."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..host import Progress, paced, silent
from .arranging import arranged, lined_up
from .cases import Answers, Case
from .parts import Part, is_exact
from .precision import LEAST, UNITS, rules_of

PAIRS = 2
"""Of neighbours on opposite sides. A tie that a runtime's roundings may decide otherwise is nearer than these are by far, so that one of
each pair decides it otherwise."""


def has_ties(cases: Sequence[Case]) -> bool:
    """Whether there may be values that do not move by little: an output that is no float, or one whose shape depends on the picture."""
    shapes: dict[tuple[str, tuple[int, ...]], set[tuple[int, ...]]] = {}
    for case in cases:
        for name, values in case.expected.items():
            shapes.setdefault((name, case.pixels.shape), set()).add(values.shape)
    exact = any(is_exact(values) for case in cases for values in case.expected.values())
    return exact or any(len(found) > 1 for found in shapes.values())


def with_unresolved(
    cases: Sequence[Case],
    truth: Answers,
    parts: Mapping[str, Part],
    *,
    by: float = LEAST,
    precision: str = "float32",
    progress: Progress = silent,
) -> list[Case]:
    """The cases, those whose ready tensor is known with what a change of it by the roundings of the steps moves in the original. Of an
    output that has another number of rows then, those rows that come or go are unresolved, and one more may come.

    by: how large these are, relative to the largest ready value.  precision: of the files; in a lower one a few roundings of its own are
    larger.  A tensor of a sequence that is not there then is unresolved as a whole.
    """
    by = max(by, 4 * UNITS[precision])
    most = rules_of(precision).rounding
    return [
        case if case.ready is None else replace(case, unresolved=_unresolved(truth, case.ready, case, parts, by, most))
        for case in paced(list(cases), "looking for ties", progress)
    ]


def _unresolved(
    truth: Answers, ready: NDArray[Any], case: Case, parts: Mapping[str, Part], by: float, most: float
) -> dict[str, NDArray[np.bool_]]:
    expected, case = case.expected, replace(case, unresolved={})
    found = {name: np.zeros(values.shape, bool) for name, values in expected.items()}
    others, whole = dict[str, tuple[int, int]](), set[str]()
    for neighbour in _neighbours(ready, by):
        got = truth(neighbour)
        lists = lined_up(got, case, parts)
        whole |= {name for name, values in expected.items() if name not in got or (got[name].shape != values.shape and name not in lists)}
        for name, each in lists.items():
            found[name] |= each.missing
            axis, most_others = others.get(name, (each.axis, 1))
            whole |= {name} if axis != each.axis else set()
            others[name] = axis, max(most_others, each.more)
        for view in arranged(got, case, parts).views:
            there = {**view, **{name: each.values for name, each in lists.items()}}
            for part in (part for part in parts.values() if part.output not in whole):
                values, other = (part.of(each[part.output]) for each in (expected, there))
                found[part.output][part.index()] |= other != values if is_exact(values) else np.abs(other - values) > most * part.scale
    for name, (axis, more) in others.items():
        further = [(0, more if at == axis else 0) for at in range(found[name].ndim)]
        found[name] = np.pad(found[name], further, constant_values=True)
    found |= {name: np.array(True) for name in whole}
    return {name: mask for name, mask in found.items() if mask.any()}


def _neighbours(ready: NDArray[Any], by: float) -> Iterator[NDArray[np.float64]]:
    """Every value a little more or less, at random, repeatably."""
    rng = np.random.default_rng(0)
    for _ in range(PAIRS):
        step = by * float(np.abs(ready).max(initial=0.0)) * rng.choice((-1.0, 1.0), size=ready.shape)
        yield ready + step
        yield ready - step
