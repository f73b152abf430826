"""First layers in 8 bits: their weights on a grid, and an appended channel that makes none of them coarser. NumPy only.

Each output channel has a grid of its own, 127 steps on each side of 0. The weights of an appended channel are -W r / k, for what is left
of the constants, r, and the number k that it holds: the smaller k is, the larger they are, and the less of them is lost on the grid, until
they are larger than those of the pixels and the grid has to be widened for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .arithmetic import parts_of
from .convolutions import Convolution
from .planning import FoldPlan
from .whole import Whole

Array = NDArray[np.float64]
STEPS = 127
BRIGHT = 255
MOST = 1 << 30
"""Of a bias in steps: half of what int32 holds, for roundings move it."""


@dataclass(frozen=True)
class Eight:
    """How pixels are the quantized tensor. whole: which level is subtracted, as the zero point: "one", that nearest to the mean, or this.
    nearest: whether padding may be that level, without a channel for what is left."""

    whole: Whole = "one"
    nearest: bool = False


def scales_of(weight: NDArray[np.generic], bias: NDArray[np.generic] | None) -> Array:
    """(out,) the steps of each output channel's grid, as float32 has them. weight: (out, ...).  bias: (out,) or None.

    A bias is a whole number of such steps, an int32: of a channel whose weights are 0, or next to that, the steps are fine enough for
    the bias, and coarse enough for its number.
    """
    largest = np.abs(weight.astype(np.float64)).reshape(len(weight), -1).max(axis=1) / STEPS
    if bias is not None:
        largest = np.maximum(largest, np.abs(bias.astype(np.float64)) / MOST)
    return np.where(largest < np.finfo(np.float32).tiny, 1.0, largest.astype(np.float32).astype(np.float64))


def on_grid(weight: Array, bias: Array) -> Array:
    """The nearest on each output channel's grid. weight: (out, ...).  bias: (out,), that of weights that are not rounded yet."""
    scale = scales_of(weight, bias).reshape(-1, *[1] * (weight.ndim - 1))
    return np.asarray(np.clip(np.rint(weight / scale), -STEPS, STEPS) * scale)


def with_fine_constant(plan: FoldPlan, found: Sequence[Convolution]) -> FoldPlan:
    """The plan whose appended channel holds the whole number nearest to 0 that widens no grid; it is a level less the shift, so that pixels
    can hold it. Where padding is 0, in which all weights of that channel are in proportion to 1 / k. found: as rewrite()'s."""
    if not plan.constant or plan.extra is None or any(any(item.reader.pads) for item in found):
        return plan
    ratio = 0.0
    for item, after in zip(found, plan.after, strict=True):
        pixels, appended = (np.abs(part).max(axis=1) for part in parts_of(item.weights()[0], plan, item.reader, after))
        ratio = max(ratio, float((appended / np.where(pixels == 0, np.inf, pixels)).max()))
    shift = float(plan.shift[0])
    needed, room = max(1.0, np.ceil(abs(plan.constant) * ratio)), (BRIGHT - shift, -shift)
    constant = needed if needed <= room[0] else -needed if -needed >= room[1] else max(room, key=abs)
    return replace(plan, constant=constant, extra=plan.extra * (plan.constant / constant))
