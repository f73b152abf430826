"""Lists whose number of rows a few roundings decide: which of the expected rows are there, and where."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .precision import MOST
from .rows import MOST_ROWS, Listed, matched

Places = NDArray[np.int64]


def places_of(outputs: Mapping[str, Listed], may_miss: NDArray[np.bool_], more: int, *, in_order: bool) -> Places | None:
    """(entries, rows): where each row that is expected stands in what was got, of all these outputs together; -1: it is not there.

    may_miss: (entries, rows), those that need not be there.  more: how many rows that nobody expects there may be, at most.
    in_order: whether the rows that are there have to follow each other as they are expected.
    None where so many rows, or so few, cannot be these: nobody who leaves out a row that has to be there, or adds more, is let off.
    """
    first = next(iter(outputs.values()))
    (entries, rows, _), count = first.expected.shape, first.got.shape[1]
    if count > rows + more or max(count, rows + more) > MOST_ROWS or any(listed.got.shape[1] != count for listed in outputs.values()):
        return None
    found = np.zeros((entries, rows), np.int64)
    for entry in range(entries):
        wanted, given = np.arange(rows)[:, None], np.arange(count)[None]
        apart = np.max([listed.apart(entry, wanted, given) for listed in outputs.values()], axis=0)
        found[entry] = _in_order(apart, may_miss[entry]) if in_order else _anywhere(apart, may_miss[entry], more)
    lost = (found < 0) & ~may_miss
    return None if lost.any() or (count - (found >= 0).sum(axis=1) > more).any() else found


def _anywhere(apart: NDArray[np.float64], may_miss: NDArray[np.bool_], more: int) -> Places:
    """A row that nobody expects takes one of the further places, and a row that may be missing one where nothing is: each only where no row
    is nearer. NaN: never."""
    (rows, count), size = apart.shape, len(apart) + more
    square = np.full((size, size), np.nan)
    square[:rows, :count] = apart
    square[:rows, count:] = np.where(may_miss, np.inf, np.nan)[:, None]
    square[rows:] = np.inf
    taken = matched(square)[:rows]
    return np.where(taken < count, taken, -1)


def _in_order(apart: NDArray[np.float64], may_miss: NDArray[np.bool_]) -> Places:
    """The cheapest of all ways to go through both lists, by how far rows that are put together are apart; a row that is left out on either
    side costs what is taken for rounding (Needleman and Wunsch 1970, dynamic programming)."""
    rows, count = apart.shape
    columns = np.arange(count + 1)
    near, costs = np.minimum(apart, 2.0), MOST * columns
    together, before = np.zeros((rows, count + 1), bool), np.zeros((rows, count + 1), np.int64)
    for row in range(rows):
        best = costs + MOST if may_miss[row] else np.full(count + 1, np.inf)
        together[row, 1:] = costs[:-1] + near[row] <= best[1:]
        best[1:] = np.where(together[row, 1:], costs[:-1] + near[row], best[1:])
        alone = best - MOST * columns
        least = np.minimum.accumulate(alone)
        before[row] = np.maximum.accumulate(np.where(alone == least, columns, 0))
        costs = least + MOST * columns
    found, column = np.full(rows, -1), count
    for row in reversed(range(rows)):
        column = before[row, column]
        if together[row, column]:
            column -= 1
            found[row] = column
    return found
