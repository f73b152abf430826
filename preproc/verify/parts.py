"""What of an output is compared by itself: all of it, or its channels group by group where they have units of their own, as the boxes of a
detector in pixels and its scores in 0..1."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cases import Case
from .rows import Rows

GAP = 16.0
"""Between the magnitudes of neighbouring channels, sorted: from here on they are two units."""
LEAST_SHARE = 1e-4
"""A unit's, of the output's largest magnitude: what is smaller is next to nothing, as scores where nothing is found, and has no
unit of its own."""
MOST_CHANNELS = 512
"""Of an axis that is looked at; longer ones are positions."""


@dataclass(frozen=True)
class Part:
    """What of an output is compared by itself. scale: what its errors are relative to, its largest magnitude on the reference; 1 for what
    is compared for equality.  axis, channels: which of its channels; None, (): all of it.  rows: what the output lists in an order that
    nothing defines, if it does."""

    output: str
    scale: float
    axis: int | None = None
    channels: tuple[int, ...] = ()
    rows: Rows | None = None

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """Of the output's values, or of what can be broadcast to them."""
        return values if self.axis is None or values.ndim == 0 else values.take(self.channels, self.axis)

    def index(self) -> tuple[Any, ...]:
        """Where it is in the output."""
        return (...,) if self.axis is None else (*[slice(None)] * self.axis, list(self.channels))

    def name(self, rank: int) -> str:
        """As NumPy writes it: output[:, 0:4], output[..., 4:85]; output[:, [0:4, 85:89]] where they are no range."""
        assert self.axis is not None
        runs = [[c for _, c in run] for _, run in itertools.groupby(enumerate(self.channels), lambda pair: pair[1] - pair[0])]
        told = ", ".join(f"{run[0]}:{run[-1] + 1}" for run in runs)
        before = "..." if self.axis > 1 and self.axis == rank - 1 else ", ".join([":"] * self.axis)
        return f"{self.output}[{before}{', ' if before else ''}{told if len(runs) == 1 else f'[{told}]'}]"


def is_exact(values: NDArray[Any]) -> bool:
    """Whether they are compared for equality: integers, booleans and strings are, floats are not."""
    return values.dtype.kind not in "fc"


def parts_of(cases: Sequence[Case], like: Mapping[str, Part] | None = None, rows: Sequence[Rows] = ()) -> dict[str, Part]:
    """By its name, each output, or each group of its channels whose magnitudes over all cases are apart from the others'. like: the parts
    to take instead, each with its scale in these cases.  rows: what they list in an order that nothing defines."""
    if like is None:
        like = listing({key: part for name in cases[0].expected for key, part in _parts(name, cases, rows).items()}, rows)
    return {key: replace(part, scale=_scale([part.of(case.expected[part.output]) for case in cases])) for key, part in like.items()}


def listing(parts: Mapping[str, Part], rows: Sequence[Rows]) -> dict[str, Part]:
    """The parts, each with the rows that its output lists."""
    of = {name: each for each in rows for name in each.axes}
    return {key: replace(part, rows=of.get(part.output)) for key, part in parts.items()}


def rows_of(parts: Mapping[str, Part]) -> tuple[Rows, ...]:
    """All that their outputs list, each once."""
    return tuple({id(part.rows): part.rows for part in parts.values() if part.rows is not None}.values())


def scale_of(parts: Mapping[str, Part]) -> dict[str, float]:
    """Each output's largest magnitude."""
    scale: dict[str, float] = {}
    for part in parts.values():
        scale[part.output] = max(scale.get(part.output, 0.0), part.scale)
    return scale


def _scale(arrays: Sequence[NDArray[Any]]) -> float:
    return max(1.0 if is_exact(values) else float(np.abs(values).max(initial=0.0)) for values in arrays)


def _parts(name: str, cases: Sequence[Case], rows: Sequence[Rows]) -> dict[str, Part]:
    """The groups along the axis with the widest gap, which is not that of rows; all of the output where there is none."""
    lists = {each.axes[name] for each in rows if name in each.axes}
    arrays = [case.expected[name] for case in cases]
    ranks = {values.ndim for values in arrays}
    widest, groups = 0.0, list[Part]()
    if not is_exact(arrays[0]) and len(ranks) == 1:
        for axis in (axis for axis in range(0 if cases[0].pixels.ndim == cases[0].axes else 1, arrays[0].ndim) if axis not in lists):
            gap, channels = _groups([values.shape[axis] for values in arrays], arrays, axis)
            if gap > widest:
                widest, groups = gap, [Part(name, 0.0, axis, tuple(sorted(group))) for group in channels]
    return {part.name(arrays[0].ndim): part for part in sorted(groups, key=lambda part: part.channels)} or {name: Part(name, 0.0)}


def _groups(sides: Sequence[int], arrays: Sequence[NDArray[Any]], axis: int) -> tuple[float, list[list[int]]]:
    """The widest gap between the magnitudes along an axis that is as long in all cases, and what lies between gaps; 0: there is none."""
    if len(set(sides)) > 1 or not 1 < sides[0] <= MOST_CHANNELS:
        return 0.0, []
    others = [tuple(other for other in range(values.ndim) if other != axis) for values in arrays]
    largest = np.max([np.abs(values).max(axis=rest, initial=0.0) for values, rest in zip(arrays, others, strict=True)], axis=0)
    order = np.argsort(-largest, kind="stable").tolist()
    widest, groups = 0.0, [order[:1]]
    for above, channel in itertools.pairwise(order):
        apart = largest[channel] > LEAST_SHARE * largest[order[0]] and largest[above] > GAP * largest[channel]
        if apart:
            widest = max(widest, float(largest[above] / largest[channel]))
            groups.append([])
        groups[-1].append(channel)
    return widest, groups
