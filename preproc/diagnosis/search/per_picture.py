"""Constants that every picture has of its own: which step makes them of the picture."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...oracle import reference
from ...steps import MinMaxNormalize, Standardize, Step
from ..solving import KERNELS_DIFFER, Moments, Precision
from .bench import Bench
from .constants import Constants, color_of
from .judging import Judged

Array = NDArray[np.float64]
TIMES = 10
"""As far off as the nearest step, and another may be the right one."""
_PER = ("image", "channel")
STEPS: tuple[tuple[str, Standardize | MinMaxNormalize], ...] = (
    *((f"standardized per {per}", Standardize(per=per)) for per in _PER),
    *((f"standardized per {per}, with N - 1", Standardize(per=per, correction=1)) for per in _PER),
    *((f"min-max per {per} to 0..1", MinMaxNormalize(per=per)) for per in _PER),
    *((f"min-max per {per} to -1..1", MinMaxNormalize(per=per, out=(-1.0, 1.0))) for per in _PER),
)


def are_own(found: Sequence[Judged]) -> bool:
    """Whether pictures with constants of their own are explained, and those with the same for all are not."""
    return min(each.own for each in found) + KERNELS_DIFFER < 0.5 * min(each.rms for each in found)


def nearest(found: Sequence[Judged]) -> list[Judged]:
    """Those that are as near as the best one where each picture has its own constants."""
    best = min(each.own for each in found)
    return sorted((each for each in found if each.own <= 1.02 * best + KERNELS_DIFFER), key=lambda each: each.own)


def steps_of(benches: Sequence[Bench], one: Judged, precision: Precision) -> list[Constants]:
    """The steps that make the tensors of what the geometry makes, the nearest first: it alone where no other is within TIMES of it."""
    if one.solved.affine.order not in ((0,), (0, 1, 2), (2, 1, 0)):
        return []
    color, within = color_of(one.solved.affine), precision.levels(one.solved.affine) + KERNELS_DIFFER
    told = [both for both in STEPS if both[1].per == "image" or len(one.solved.affine.order) > 1]  # both do the same to one channel
    offs = [(_furthest(benches, one, step, precision), name, step) for name, step in told]
    found = [Constants(color, (step,), name, off, within, (), each=True) for off, name, step in offs if off is not None]
    found.sort(key=lambda each: each.off)
    return [each for each in found if each.off <= TIMES * found[0].off]


def _furthest(benches: Sequence[Bench], one: Judged, step: Step, precision: Precision) -> float | None:
    """How far from the tensors the step's numbers are at most, in grey levels; None where one is further off than it is rounded by."""
    order, most = list(one.solved.affine.order), 0.0
    for bench in benches:
        levels = np.asarray(bench.levels(one.geometry), np.float64)[order]
        if not np.isfinite(levels).all():
            return None
        slopes = _slopes(bench, one, order)
        off = np.abs(reference.apply([step], levels[None])[0] - bench.pair.tensor) / slopes
        if not (off <= precision.rounded_by(bench.pair.tensor) / slopes + KERNELS_DIFFER).all():
            return None
        most = max(most, float(off.max()))
    return most


def _slopes(bench: Bench, one: Judged, order: list[int]) -> Array:
    """(C, 1, 1) of each channel of the tensor, this picture's own."""
    lines = Moments.undivided(bench.levels(one.geometry), bench.pair.tensor).lines()
    slopes = np.full(len(order), math.nan) if lines is None else np.abs(lines.of(tuple(order))[0])
    return slopes[:, None, None]
