"""How far outputs are from what was expected: floats by their size, integers, booleans and strings by the share that is not equal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import VerificationError
from .cases import Case
from .parts import Part, is_exact, parts_of
from .precision import LEAST
from .rows import Listed, Rows, places
from .runtimes import Outputs


def top1(got: Outputs, case: Case, parts: Mapping[str, Part]) -> tuple[int, int]:
    """How many rows of the (N, classes) outputs of floats have their largest value where the reference has it, and how many there are.
    What is listed in an order that nothing defines is no class."""
    classes = {part.output for part in parts.values() if part.rows is None}
    expected = {name: case.expected[name] for name in case.expected if name in classes}
    expected = {name: values for name, values in expected.items() if values.shape[:1] == (case.batch,) == got[name].shape[:1]}
    scores = [name for name, values in expected.items() if values.ndim == 2 and values.shape[1] > 1 and not is_exact(values)]
    agreed = sum(int((expected[name].argmax(axis=1) == got[name].argmax(axis=1)).sum()) for name in scores)
    return agreed, sum(len(expected[name]) for name in scores)


def differences(got: Outputs, case: Case, parts: Mapping[str, Part]) -> dict[str, float]:
    """By part of the case's outputs: the largest difference of floats, relative to its scale, infinite where a value is not finite; of
    others the share of the values that are not equal. What the case says is unresolved is not compared.

    Raises VerificationError if the names, shapes or dtypes of the outputs differ: of floats the kind, of others the dtype.
    """
    if list(got) != list(case.expected):
        raise VerificationError(f"expected the outputs {', '.join(case.expected)}, got {', '.join(got)}")
    views = arranged(got, case, parts).views
    return {
        key: max(_difference(view[part.output], case, part) for view in views)
        for key, part in parts.items()
        if part.output in case.expected
    }


def movements(got: Outputs, case: Case, parts: Mapping[str, Part]) -> dict[str, float]:
    """As differences(), of what the original answers to something else, in these parts: another number of rows is a movement, by 1."""
    found, views = {}, arranged(got, case, parts).views
    for key, part in parts.items():
        same = got[part.output].shape == case.expected[part.output].shape or nothing_left(case.unresolved.get(part.output))
        found[key] = max(_difference(view[part.output], case, part) for view in views) if same else 1.0
    return found


@dataclass(frozen=True)
class Arranged:
    """Outputs whose rows, where nothing defines their order, stand where those of a case do that they are compared with. whole: these.
    keys: the same, but what sorts the rows where it was; None where nothing does.  moved: how many of the `rows` stood elsewhere."""

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
    of = {part.output: part.rows for part in parts.values() if part.rows is not None and part.output in got}
    for rows in {id(rows): rows for rows in of.values()}.values():
        names = [name for name in of if of[name] is rows and name in case.expected]
        if not names or not all(_alike(got[name], case.expected[name], case.unresolved.get(name)) for name in names):
            continue
        listed = {name: _listed(rows, name, got[name], case, parts) for name in names}
        where = places(listed)
        moved, count = moved + int((where != np.arange(where.shape[1])).sum()), count + where.size
        for name, laid in listed.items():
            there = np.take_along_axis(laid.got, where[:, :, None], axis=1)
            whole[name] = keys[name] = rows.back(name, there, got[name])
            if name in rows.keys:
                sorting = np.isin(np.arange(there.shape[2]), rows.keys[name])
                keys[name] = rows.back(name, np.where(sorting, laid.got, there), got[name])
    return Arranged(whole, keys if any(rows.keys for rows in of.values()) else None, moved, count)


def _alike(got: NDArray[Any], expected: NDArray[Any], unresolved: NDArray[np.bool_] | None) -> bool:
    return got.shape == expected.shape and got.dtype.kind == expected.dtype.kind and not nothing_left(unresolved)


def _listed(rows: Rows, name: str, got: NDArray[Any], case: Case, parts: Mapping[str, Part]) -> Listed:
    expected, units = case.expected[name], np.zeros(got.shape)
    for part in parts.values():
        if part.output == name:
            units[part.index()] = part.scale
    resolved = ~case.unresolved.get(name, np.zeros(got.shape, bool))
    return Listed(*(rows.laid(name, values) for values in (got, expected, units, resolved)))


def agree(one: Case, other: Case) -> bool:
    """Whether they are the same sample, its outputs but for roundings."""
    if not np.array_equal(one.pixels, other.pixels) or one.pixels.dtype != other.pixels.dtype or list(one.expected) != list(other.expected):
        return False
    if any(one.expected[name].shape != other.expected[name].shape for name in one.expected):
        return False
    if any(is_exact(one.expected[name]) != is_exact(other.expected[name]) for name in one.expected):
        return False
    whole = parts_of([one], {name: Part(name, 0.0) for name in one.expected})
    return max(differences(one.expected, other, whole).values(), default=0.0) <= LEAST


def _difference(got: NDArray[Any], case: Case, part: Part) -> float:
    name, values, unresolved = part.output, case.expected[part.output], case.unresolved.get(part.output)
    if got.shape != values.shape and not (nothing_left(unresolved) and got.ndim == values.ndim):
        raise VerificationError(f"expected {name} of shape {values.shape}, got {got.shape}")
    as_texts_or_floats = not is_exact(values) or values.dtype.kind == "U"
    if got.dtype.kind != values.dtype.kind or not (as_texts_or_floats or got.dtype == values.dtype):
        raise VerificationError(f"expected {name} in a dtype like {values.dtype}, got {got.dtype}")
    if nothing_left(unresolved):
        return 0.0
    resolved = True if unresolved is None else ~part.of(unresolved)
    got, values = part.of(got), part.of(values)
    if is_exact(values):
        return float(np.mean((got != values) & resolved)) if values.size else 0.0
    if not np.isfinite(got).all() or not np.isfinite(values).all():
        return float("inf")
    difference = float((np.abs(got.astype(np.float64) - values) * resolved).max(initial=0.0))
    return difference / part.scale if part.scale > 0 else difference


def nothing_left(unresolved: NDArray[np.bool_] | None) -> bool:
    """Whether nothing of the output is compared, not even its number of rows."""
    return unresolved is not None and unresolved.ndim == 0 and bool(unresolved)
