"""How far outputs are from what was expected."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import VerificationError
from .cases import Case
from .power import LEAST
from .runtimes import Outputs


def top1(got: Outputs, expected: Mapping[str, NDArray[Any]]) -> tuple[int, int]:
    """How many rows of the (N, classes) outputs have their largest value where the reference has it, and how many rows there are."""
    scores = [name for name, values in expected.items() if values.ndim == 2 and values.shape[1] > 1]
    agreed = sum(int((expected[name].argmax(axis=1) == got[name].argmax(axis=1)).sum()) for name in scores)
    return agreed, sum(len(expected[name]) for name in scores)


def largest_error(got: Outputs, expected: Mapping[str, NDArray[Any]], scale: Mapping[str, float]) -> float:
    """The largest difference over all outputs, each relative to its scale; infinite where a value is not finite.

    Raises VerificationError if the names, shapes or kinds of the outputs differ.
    """
    if list(got) != list(expected):
        raise VerificationError(f"expected the outputs {', '.join(expected)}, got {', '.join(got)}")
    worst = 0.0
    for name, values in expected.items():
        if got[name].shape != values.shape:
            raise VerificationError(f"expected {name} of shape {values.shape}, got {got[name].shape}")
        if got[name].dtype.kind != values.dtype.kind:
            raise VerificationError(f"expected {name} in a dtype like {values.dtype}, got {got[name].dtype}")
        if not np.isfinite(got[name]).all() or not np.isfinite(values).all():
            return float("inf")
        difference = float(np.abs(got[name].astype(np.float64) - values).max(initial=0.0))
        worst = max(worst, difference / scale[name] if scale[name] > 0 else difference)
    return worst


def agree(one: Case, other: Case) -> bool:
    """Whether they are the same sample, its outputs but for roundings."""
    if not np.array_equal(one.pixels, other.pixels) or one.pixels.dtype != other.pixels.dtype or list(one.expected) != list(other.expected):
        return False
    if any(one.expected[name].shape != other.expected[name].shape for name in one.expected):
        return False
    scale = {name: float(np.abs(values).max()) for name, values in one.expected.items()}
    return largest_error(one.expected, other.expected, scale) <= LEAST
