"""Which of the geometries that are left explain the tensors of all pairs, and which differ from the best by more than chance."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..geometry import Geometry, simplicity
from ..solving import CONFIDENCE, KERNELS_DIFFER, Affine, Left, Moments, Precision, Solved, explained, fit, student
from .bench import Bench

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Judged:
    """One plan. geometry: the simplest of `alike`, which all do the same to these pictures.  solved: its affine part.  parts: (P,) the mean
    square of the residual of each quarter of a picture.  rms, largest: of the residual of all, borders included.  own: its root mean square
    with constants of each picture's own.  exact: whether a line in the interval of the solved one explains every number of the tensors, but
    for their rounding."""

    geometry: Geometry
    alike: tuple[Geometry, ...]
    solved: Solved
    parts: Array
    rms: float
    largest: float
    own: float
    exact: bool


def judged(benches: Sequence[Bench], geometries: Sequence[Geometry], precision: Precision) -> list[Judged]:
    """All that can be, by their residual."""
    plans: dict[Hashable, list[Geometry]] = {}
    for each in geometries:
        plans.setdefault(tuple(bench.plan(each) for bench in benches), []).append(each)
    found = [one for alike in plans.values() if (one := _judge(benches, sorted(alike, key=simplicity), precision)) is not None]
    return sorted(found, key=lambda each: each.rms)


def _judge(benches: Sequence[Bench], alike: Sequence[Geometry], precision: Precision) -> Judged | None:
    geometry = alike[0]
    if not all(bench.fits(geometry) for bench in benches):
        return None
    moments = [Moments.of(bench.levels(geometry), bench.pair.tensor) for bench in benches]
    solved = fit(moments)
    if solved is None:
        return None
    affine = solved.affine
    fill = _fill(benches, geometry, affine)
    filled = [_filled(each, fill) for each in alike]
    parts = Moments.all(moments).squares(affine.map)
    own = [lines.of(affine.order)[2] for each in moments if (lines := each.lines()) is not None]
    residuals = [_residual(bench, filled[0], affine) for bench in benches]
    rms = math.sqrt(sum(squares for squares, _, _ in residuals) / sum(count for _, count, _ in residuals))
    largest = max(most for _, _, most in residuals)
    within = min(solved.within, 1.0)
    channels = range(len(affine.order))
    exact = all(explained((_left(bench, filled[0], affine, precision, channel) for bench in benches), within) for channel in channels)
    return Judged(filled[0], tuple(filled), solved, parts[np.isfinite(parts)], rms, largest, math.sqrt(float(np.mean(own))), exact)


def _fill(benches: Sequence[Bench], geometry: Geometry, affine: Affine) -> tuple[float, ...] | None:
    """Grey levels of the border, or None where there is none; a whole one where it is near."""
    found = []
    for bench in benches:
        levels = bench.levels(geometry)
        border = np.isposinf(levels[0]) if levels.dtype != np.uint8 else np.zeros(levels.shape[1:], bool)
        if border.any():
            found.append(affine.levels(bench.pair.tensor[:, border].mean(axis=1)))
    if not found:
        return None
    levels = np.mean(found, axis=0)
    if geometry.grey is not None:
        levels = levels[:1] / (1.0 if geometry.grey.first else sum(geometry.grey.weights))
    near = np.rint(levels)
    whole = near if np.abs(levels - near).max() < 0.02 else levels
    return tuple(whole.tolist())


def _filled(geometry: Geometry, fill: tuple[float, ...] | None) -> Geometry:
    if fill is None:
        return geometry
    return replace(
        geometry,
        before=geometry.before and replace(geometry.before, fill=fill),
        after=geometry.after and replace(geometry.after, fill=fill),
    )


def _residual(bench: Bench, geometry: Geometry, affine: Affine) -> tuple[float, int, float]:
    """The sum of its squares, of how many numbers, and the largest; in grey levels, borders included where their fill is known."""
    residual = np.abs(affine(bench.levels(geometry)) - bench.pair.tensor) / np.abs(affine.scale)[:, None, None]
    known = residual[np.isfinite(residual)]
    return float((known**2).sum()), known.size, float(known.max())


def _left(bench: Bench, geometry: Geometry, affine: Affine, precision: Precision, channel: int) -> Left:
    """Of one channel of the tensor, what _residual() sums up."""
    levels = np.asarray(bench.levels(geometry)[affine.order[channel]], np.float64)
    tensor, scale = bench.pair.tensor[channel], float(affine.scale[channel])
    known = np.isfinite(levels)
    off = (tensor[known] - levels[known] * scale - affine.offset[channel]) / scale
    return Left(levels[known], off, precision.rounded_by(tensor[known]) / abs(scale) + KERNELS_DIFFER)


def fitting(found: Sequence[Judged]) -> list[Judged]:
    """Those that are not worse than the best one; where some explain every number, of them only, whatever else has a smaller residual."""
    fits = [each for each in found if each.exact] or found
    return [each for each in fits if not _worse(each, fits[0])]


def alike_but_for_grey(found: Sequence[Judged]) -> list[Judged]:
    """Those that explain every number and differ in nothing but how colours became grey as one, the nearest."""
    kept: list[Judged] = []
    for each in found:
        bare = replace(each.geometry, grey=None)
        place = next((at for at, other in enumerate(kept) if other.exact and replace(other.geometry, grey=None) == bare), None)
        if each.exact and each.geometry.grey is not None and place is not None:
            kept[place] = replace(kept[place], alike=(*kept[place].alike, *each.alike))
        else:
            kept.append(each)
    return kept


def _worse(one: Judged, best: Judged) -> bool:
    """Whether its residual is larger than the best one's by more than chance, part by part, and by something that counts."""
    if one.rms <= best.rms * 1.02 + KERNELS_DIFFER / 10:
        return False
    if len(one.parts) != len(best.parts) or len(one.parts) < 2:
        return True
    more = one.parts - best.parts
    error = float(more.std(ddof=1)) / math.sqrt(len(more))
    return float(more.mean()) > student(len(more) - 1, CONFIDENCE) * error


def essence(geometry: Geometry) -> Hashable:
    """What is told of it where half a pixel, an order of passes or a gap make no difference."""
    windows = [window and (window.sides, window.at == "corner", window.shift) for window in (geometry.before, geometry.after)]
    how = geometry.resampler
    kernel = how and (how.library, how.kernel, how.antialias, how.align_corners, how.floats, how.clamps)
    return geometry.decoder, geometry.turn, (geometry.fit.how, geometry.fit.sides), tuple(windows), kernel
