"""How far outputs are from what was expected: floats by their size, integers, booleans and strings by the share that is not equal."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import VerificationError
from .arranging import arranged
from .cases import Case
from .parts import Part, is_exact, parts_of
from .precision import LEAST
from .runtimes import Outputs


def top1(got: Outputs, case: Case, parts: Mapping[str, Part]) -> tuple[int, int]:
    """How many rows of the (N, classes) outputs of floats have their largest value where the reference has it, and how many there are.
    What is listed in an order that nothing defines is no class."""
    classes = {part.output for part in parts.values() if part.rows is None}
    expected = {name: case.expected[name] for name in case.expected if name in classes}
    expected = {
        name: values for name, values in expected.items() if name in got and values.shape[:1] == (case.batch,) == got[name].shape[:1]
    }
    scores = [name for name, values in expected.items() if values.ndim == 2 and values.shape[1] > 1 and not is_exact(values)]
    agreed = sum(int((expected[name].argmax(axis=1) == got[name].argmax(axis=1)).sum()) for name in scores)
    return agreed, sum(len(expected[name]) for name in scores)


def differences(got: Outputs, case: Case, parts: Mapping[str, Part]) -> dict[str, float]:
    """By part of the case's outputs: the largest difference of floats, relative to its scale, infinite where a value is not finite; of
    others the share of the values that are not equal. What the case says is unresolved is not compared: a tensor of a sequence that is
    wholly so need not even be there.

    Raises VerificationError if the names, shapes or dtypes of the outputs differ: of floats the kind, of others the dtype.
    """
    if list(got) != [name for name in case.expected if name in got or not case.is_open(name)]:
        raise VerificationError(f"expected the outputs {', '.join(case.expected)}, got {', '.join(got)}")
    views = arranged(got, case, parts).views
    return {
        key: max(_difference(view[part.output], case, part) for view in views) if part.output in got else 0.0
        for key, part in parts.items()
        if part.output in case.expected
    }


def movements(got: Outputs, case: Case, parts: Mapping[str, Part]) -> dict[str, float]:
    """As differences(), of what the original answers to something else, in these parts: another number of rows is a movement, by 1,
    and so is a tensor of a sequence that is not there."""
    found, views = {}, arranged(got, case, parts).views
    for key, part in parts.items():
        name = part.output
        if case.is_open(name):
            found[key] = 0.0
        elif name not in got or views[0][name].shape != case.expected[name].shape:
            found[key] = 1.0
        else:
            found[key] = max(_difference(view[name], case, part) for view in views)
    return found


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
    name, values, unresolved = part.output, case.expected[part.output], case.undecided(part.output)
    if got.shape != values.shape and not (case.is_open(name) and got.ndim == values.ndim):
        more = "" if case.open_rows(name) is None else ", but for rows that a few roundings decide"
        raise VerificationError(f"expected {name} of shape {values.shape}{more}, got {got.shape}")
    as_texts_or_floats = not is_exact(values) or values.dtype.kind == "U"
    if got.dtype.kind != values.dtype.kind or not (as_texts_or_floats or got.dtype == values.dtype):
        raise VerificationError(f"expected {name} in a dtype like {values.dtype}, got {got.dtype}")
    if case.is_open(name):
        return 0.0
    resolved = True if unresolved is None else ~part.of(unresolved)
    got, values = part.of(got), part.of(values)
    if is_exact(values):
        return float(np.mean((got != values) & resolved)) if values.size else 0.0
    if not np.isfinite(got).all() or not np.isfinite(values).all():
        return float("inf")
    difference = float((np.abs(got.astype(np.float64) - values) * resolved).max(initial=0.0))
    return difference / part.scale if part.scale > 0 else difference
