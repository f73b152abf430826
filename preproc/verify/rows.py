"""Outputs that list rows in an order that nothing defines: which row of an answer is which of the reference's."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVELS = (*(2.0**power for power in range(-22, 2)), np.inf)
"""Rows are matched from one to the next: as many as can be that are no further apart than it says, relative to their scale. Those nearer
than the first, a few roundings of float32, stay where they are."""
MOST_ROWS = 2048
"""That are out of their places; more are compared where they are."""
MOST_VALUES = 256
"""Of a row in one output, by which it is matched: of masks some pixels will do."""


@dataclass(frozen=True)
class Rows:
    """Outputs that list the same things in one order, a row for each. axes: by output, the axis of its rows; where that is not the first,
    each entry of the first, a picture, has an order of its own.  keys: by output, which of the values of a row, all its axes as one, sort
    the rows: these are compared in their places, too, so that only rows change places whose keys are equal; {}: any order will do."""

    axes: Mapping[str, int]
    keys: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def laid(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        """(entries, rows, values of a row), of the output's values."""
        axis = self.axes[name]
        moved = np.moveaxis(values, axis, 1) if axis else values[None]
        return moved.reshape(*moved.shape[:2], math.prod(moved.shape[2:]))

    def back(self, name: str, laid: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
        """What was laid out, in the shape of `like`."""
        axis = self.axes[name]
        if not axis:
            return laid.reshape(like.shape)
        return np.moveaxis(laid.reshape(np.moveaxis(like, axis, 1).shape), 1, axis)


@dataclass(frozen=True)
class Listed:
    """What an output lists, laid out: got and expected, how large the units of the latter are (0: compared for equality), and whether a
    value of it is compared."""

    got: NDArray[Any]
    expected: NDArray[Any]
    units: NDArray[np.float64]
    resolved: NDArray[np.bool_]

    def put(self, found: NDArray[np.int64]) -> NDArray[Any]:
        """What was got, its rows in these places; -1: what is expected."""
        if not self.got.shape[1]:
            return self.expected
        there = np.take_along_axis(self.got, np.maximum(found, 0)[:, :, None], axis=1)
        return np.where((found < 0)[:, :, None], self.expected, there) if (found < 0).any() else there

    def apart(self, entry: int, rows: NDArray[np.int64], got: NDArray[np.int64]) -> NDArray[np.float64]:
        """How far these rows of what is expected are from those of what was got, as far as the two can be broadcast."""
        worst = np.zeros(np.broadcast_shapes(rows.shape, got.shape))
        step = max(1, self.got.shape[2] // MOST_VALUES)
        for value in range(0, self.got.shape[2], step):
            one, other = self.expected[entry, rows, value], self.got[entry, got, value]
            units = self.units[entry, rows, value]
            if self.got.dtype.kind in "fc":
                far = np.abs(one.astype(np.float64) - other) / np.where(units > 0, units, 1.0)
                far = np.where(np.isnan(far), np.inf, far)
            else:
                far = (one != other).astype(np.float64)
            worst = np.maximum(worst, np.where(self.resolved[entry, rows, value], far, 0.0))
        return worst


def places(outputs: Mapping[str, Listed]) -> NDArray[np.int64]:
    """(entries, rows): where each row that is expected stands in what was got, of all these outputs together, so that as many as can be
    are near to theirs."""
    entries, rows = next(iter(outputs.values())).expected.shape[:2]
    return np.array([_places(outputs, entry, rows) for entry in range(entries)], np.int64).reshape(entries, rows)


def _places(outputs: Mapping[str, Listed], entry: int, rows: int) -> NDArray[np.int64]:
    found = np.arange(rows)
    here = np.max([listed.apart(entry, found, found) for listed in outputs.values()], axis=0)
    out = np.flatnonzero(here > LEVELS[0])
    if 1 < len(out) <= MOST_ROWS:
        apart = np.max([listed.apart(entry, out[:, None], out[None]) for listed in outputs.values()], axis=0)
        found[out] = out[matched(apart)]
    return found


def matched(apart: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n, n) -> (n,): a column for each row, each once: level by level as many as can be whose distance is no larger; the row's own if that
    is one of these."""
    size = len(apart)
    taken, owner = np.full(size, -1), np.full(size, -1)
    for level in LEVELS:
        near = apart <= level
        for row in np.flatnonzero(taken < 0):
            if near[row, row] and owner[row] < 0:
                taken[row] = owner[row] = row
        for row in np.flatnonzero(taken < 0):
            _augment(near, taken, owner, int(row))
        if (taken >= 0).all():
            break
    return taken


def _augment(near: NDArray[np.bool_], taken: NDArray[np.int64], owner: NDArray[np.int64], row: int) -> None:
    """Finds a column for the row, in place, though others may have to take other ones: breadth first (Kuhn's algorithm)."""
    reached_from, waiting = np.full(len(near), -1), [row]
    for at in waiting:
        for column in np.flatnonzero(near[at] & (reached_from < 0)).tolist():
            reached_from[column] = at
            if owner[column] >= 0:
                waiting.append(int(owner[column]))
                continue
            while column >= 0:
                holder = int(reached_from[column])
                owner[column] = holder
                taken[holder], column = column, int(taken[holder])
            return
