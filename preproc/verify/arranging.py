"""Answers with their rows where they are in what they are compared with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cases import Case
from .lengths import places_of
from .parts import Part
from .rows import Listed, Rows, places
from .runtimes import Outputs

EXCHANGED = 8
"""Of rows whose order is defined, so many may come while others go."""


@dataclass(frozen=True)
class Arranged:
    """Outputs whose rows, where nothing defines their order or a few roundings decide their number, stand where those of a case do that
    they are compared with. whole: these; in the place of a row that is not there, and need not be, what is expected.  keys: the same, but
    what sorts the rows as it was; None where nothing does.  moved: how many of the `rows` stood elsewhere."""

    whole: Outputs
    keys: Outputs | None
    moved: int
    rows: int

    @property
    def views(self) -> list[Outputs]:
        """All that has to agree."""
        return [self.whole] if self.keys is None else [self.whole, self.keys]


def arranged(got: Outputs, case: Case, parts: Mapping[str, Part]) -> Arranged:
    """What is of another shape, or dtype, stays as it is."""
    whole, keys, moved, count = dict(got), dict(got), 0, 0
    some_sorted = False
    for rows, names, in_order in _lists(got, case, parts):
        some_sorted |= bool(rows.keys)
        listed = {name: _listed(rows, name, got[name], case, parts) for name in names}
        found = _found(listed, case, names, in_order=in_order)
        if found is None:
            continue
        as_they_follow = _as_they_follow(found)
        for name, laid in listed.items():
            there = laid.put(found)
            whole[name] = keys[name] = rows.back(name, there, case.expected[name])
            if name in rows.keys:
                sorting = np.isin(np.arange(there.shape[2]), rows.keys[name])
                keys[name] = rows.back(name, np.where(sorting, laid.put(as_they_follow), there), case.expected[name])
        if not in_order:
            moved, count = moved + int((found != as_they_follow).sum()), count + int((found >= 0).sum())
    return Arranged(whole, keys if some_sorted else None, moved, count)


def _lists(got: Outputs, case: Case, parts: Mapping[str, Part]) -> Iterator[tuple[Rows, list[str], bool]]:
    """What the outputs list together, the names of these, and whether their order is defined: then they are lists for their number alone,
    which is open, and those belong together of which the same rows may be missing."""
    of = {part.output: part.rows for part in parts.values() if part.rows is not None and part.output in got}
    for rows in {id(rows): rows for rows in of.values()}.values():
        names = [name for name in of if of[name] is rows and name in case.expected]
        if names and all(_alike(got[name], case, name) for name in names):
            yield rows, names, False
    ordered: dict[tuple[Any, ...], dict[str, int]] = {}
    for name in case.expected:
        opened, mask = case.open_rows(name), case.undecided(name)
        if opened is not None and mask is not None and name not in of and name in got and _alike(got[name], case, name):
            axis, more = opened
            laid = Rows({name: axis}).laid(name, mask)
            ordered.setdefault((got[name].shape[axis], *laid.shape[:2], more, laid.all(axis=2).tobytes()), {})[name] = axis
    for axes in ordered.values():
        yield Rows(axes), [*axes], True


@dataclass(frozen=True)
class LinedUp:
    """An output with another number of rows than expected. axis: of the rows.  missing: in the output's shape, the rows that are not there.
    more: how many there are that nobody expects.  values: in the output's shape, what is there in its place."""

    axis: int
    missing: NDArray[np.bool_]
    more: int
    values: NDArray[Any]


def lined_up(got: Outputs, case: Case, parts: Mapping[str, Part]) -> dict[str, LinedUp]:
    """The outputs of which some rows are there and others are not, on either side; but for those that list something else altogether, or
    are not there at all."""
    made = dict[str, LinedUp]()
    for rows, names, in_order in _changed(got, case, parts):
        listed = {name: _listed(rows, name, got[name], case, parts) for name in names}
        entries, expected, _ = (first := next(iter(listed.values()))).expected.shape
        count = first.got.shape[1]
        may_miss, more = np.ones((entries, expected), bool), max(0, count - expected) + (EXCHANGED if in_order else 0)
        found = places_of(listed, may_miss, more, in_order=in_order)
        if found is None:
            continue
        for name, laid in listed.items():
            missing = np.broadcast_to((found < 0)[:, :, None], laid.expected.shape)
            back = (rows.back(name, values, case.expected[name]) for values in (missing, laid.put(found)))
            made[name] = LinedUp(rows.axes[name], next(back), int((count - (found >= 0).sum(axis=1)).max()), next(back))
    return made


def _changed(got: Outputs, case: Case, parts: Mapping[str, Part]) -> Iterator[tuple[Rows, list[str], bool]]:
    """As _lists(), of what has another number of rows, of the axes along which it has."""
    of = {part.output: part.rows for part in parts.values() if part.rows is not None}
    there = {name: values for name, values in case.expected.items() if name in got}
    axes = {name: axis for name, values in there.items() if (axis := _one_axis(got[name], values)) is not None}
    for rows in {id(rows): rows for rows in of.values()}.values():
        names = [name for name in of if of[name] is rows and name in case.expected]
        if all(axes.get(name) == rows.axes[name] for name in names):
            yield rows, names, False
    ordered: dict[tuple[int, ...], dict[str, int]] = {}
    for name, axis in axes.items():
        if name not in of:
            expected = case.expected[name]
            ordered.setdefault((1 if axis == 0 else len(expected), expected.shape[axis], got[name].shape[axis]), {})[name] = axis
    for each in ordered.values():
        yield Rows(each), [*each], True


def _one_axis(got: NDArray[Any], expected: NDArray[Any]) -> int | None:
    """The one along which they are not of one length, if there is no other."""
    if got.ndim != expected.ndim or got.dtype.kind != expected.dtype.kind:
        return None
    found = [axis for axis, (one, other) in enumerate(zip(got.shape, expected.shape, strict=True)) if one != other]
    return found[0] if len(found) == 1 else None


def _found(listed: Mapping[str, Listed], case: Case, names: list[str], *, in_order: bool) -> NDArray[np.int64] | None:
    opened = [case.open_rows(name) for name in names]
    if not any(opened):
        return places(listed)
    if not all(opened):
        return None
    may_miss = ~np.any([each.resolved.any(axis=2) for each in listed.values()], axis=0)
    known = {name: replace(each, resolved=each.resolved | may_miss[:, :, None]) for name, each in listed.items()}  # by what they are
    return places_of(known, may_miss, max(more for _, more in filter(None, opened)), in_order=in_order)


def _as_they_follow(found: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same rows in the order in which they were got."""
    made = found.copy()
    for entry in made:
        there = entry >= 0
        entry[there] = np.sort(entry[there])
    return made


def _alike(got: NDArray[Any], case: Case, name: str) -> bool:
    """Whether they can be compared row by row."""
    expected, opened = case.expected[name], case.open_rows(name)
    if got.dtype.kind != expected.dtype.kind or got.ndim != expected.ndim or case.is_open(name):
        return False
    sides = enumerate(zip(got.shape, expected.shape, strict=True))
    return all(one == other or (opened is not None and axis == opened[0]) for axis, (one, other) in sides)


def _listed(rows: Rows, name: str, got: NDArray[Any], case: Case, parts: Mapping[str, Part]) -> Listed:
    expected, undecided = case.expected[name], case.undecided(name)
    units, resolved = np.zeros(expected.shape), np.ones(expected.shape, bool) if undecided is None else ~undecided
    for part in parts.values():
        if part.output == name:
            units[part.index()] = part.scale
    return Listed(*(rows.laid(name, values) for values in (got, expected, units, resolved)))
