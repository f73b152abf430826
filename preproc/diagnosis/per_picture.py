"""Constants that every picture has of its own: which step makes them of the picture."""

import math
from collections.abc import Sequence

import numpy as np

from ..oracle import reference
from ..steps import MinMaxNormalize, Standardize, Step
from .bench import Bench
from .constants import Constants
from .judging import KERNELS_DIFFER, Judged, Precision
from .moments import Moments

_PER = ("image", "channel")
STEPS: tuple[tuple[str, Step], ...] = (
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


def step_of(benches: Sequence[Bench], one: Judged, precision: Precision) -> Constants | None:
    """The step that makes the tensors of what the geometry makes, or None."""
    order = list(one.solved.affine.order)
    for name, step in STEPS:
        off = max(_off(bench, one, step, order) for bench in benches)
        within = max(_within(bench, one, order, precision) for bench in benches)
        if off <= within:
            color = "BGR" if order == [2, 1, 0] else "RGB"
            return Constants(color, (step,), name, off, within, (), each=True) if order in ([0, 1, 2], [2, 1, 0]) else None
    return None


def _off(bench: Bench, one: Judged, step: Step, order: list[int]) -> float:
    """In grey levels."""
    levels = np.asarray(bench.levels(one.geometry), np.float64)[order]
    if not np.isfinite(levels).all():
        return math.inf
    made = reference.apply([step], levels[None])[0]
    return float((np.abs(made - bench.pair.tensor) / _slopes(bench, one, order)[:, None, None]).max())


def _within(bench: Bench, one: Judged, order: list[int], precision: Precision) -> float:
    return precision.step / float(_slopes(bench, one, order).min()) + KERNELS_DIFFER


def _slopes(bench: Bench, one: Judged, order: list[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """(3,) of each channel of the tensor, this picture's own."""
    lines = Moments.undivided(bench.levels(one.geometry), bench.pair.tensor).lines()
    return np.full(3, math.nan) if lines is None else np.abs(lines.constants(tuple(order))[0])
