"""What is done to the operations that read the input, wherever they lie: the fold, and the mistake that is known of it.

modules/ and graph/ find them, and say where their weights lie and how they are written.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import PreprocError
from ..steps import Affine
from .arithmetic import folded_on_cells, folded_weights, groups_left, uncorrected_bias
from .cells import Cells
from .planning import FoldPlan
from .trail import Reader

Array = NDArray[np.float64]


class Convolution(Protocol):
    """One that reads the input, and may be changed in place; or a product with a matrix, which is one of a single pixel."""

    @property
    def reader(self) -> Reader: ...

    def weights(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """weight: (channels_out, channels_in / groups, *kernel).  bias: (channels_out,) or None. Raises NotFoldableError."""

    def put(self, weight: NDArray[Any] | None, bias: NDArray[Any] | None, *, groups: int | None = None) -> None:
        """Other ones in their place; None: as it is. groups: those of the weight; None: its own. Raises NotFoldableError where there is no
        place for a bias, or for other groups."""

    def put_on_cells(self, luma: NDArray[Any], shared: NDArray[Any], bias: NDArray[Any] | None, cells: Cells) -> None:
        """The weights of the two convolutions that it becomes, see Cells.weights(), and the first one's bias, or None. Raises
        NotFoldableError where there is no place for a second one, or for a bias."""


def rewrite(
    found: Sequence[Convolution], plan: FoldPlan, *, dtype: Any = None, grid: Callable[[Array, Array], Array] | None = None
) -> None:
    """Puts the weights into the convolutions that see what the plan leaves: all are computed before one is put.

    dtype, grid: what they are rounded to, and the biases correct for it, where they are to be narrower or coarser than they are now.

    Raises NotFoldableError with the reason.
    """
    pairs = list(zip(found, plan.after, strict=True))
    if plan.cells is not None:
        parts = [folded_on_cells(*item.weights(), plan, plan.cells, item.reader, after, dtype) for item, after in pairs]
        for item, (luma, shared, bias) in zip(found, parts, strict=True):
            item.put_on_cells(luma, shared, bias, plan.cells)
        return
    new = [folded_weights(*item.weights(), plan, item.reader, after, dtype, grid=grid) for item, after in pairs]
    for item, (weight, bias) in zip(found, new, strict=True):
        item.put(weight, bias, groups=groups_left(item.reader, plan))


def border_error(reader: Reader, affine: Affine) -> Array | None:
    """What folding `affine` without correcting the border gets wrong, as a number that is subtracted from each channel of the network's
    input, (channels_out,): how far a raw pixel of the padding's value is mapped from the padding.

    None if it is not, for then that fold happens to be right; or if there is no padding, or no such numbers.
    """
    slots = reader.slots
    if not reader.pads or not slots.scale.all():
        return None
    border = slots.borders[0]
    reached = np.isfinite(border)
    pixel = next((held[reached][0] for held in (border, slots.unscaled(border)) if np.ptp(held[reached]) == 0), None)
    if pixel is None:
        return None
    off = np.where(reached, (slots(affine(np.full(affine.channels_in, pixel))) - border) / slots.scale, 0.0)
    error = np.zeros(affine.channels_out)
    error[slots.channel] = off
    return error if error.any() and np.allclose(error[slots.channel], off, rtol=1e-12) else None


def spoil_border(found: Sequence[Convolution], affine: Affine) -> Array | None:
    """The negative control of verify: makes the mistake, in place, of folding the offset into the bias of a padded convolution.

    Where the padding should hold v it then acts as if it held p = T(A(v)), T what the network does in front, and conv(u) padded with p
    equals conv(u - (p - v)) padded with v, plus W (p - v) in the bias. The bias is changed here; what has to be subtracted from the
    network's input is returned, (C,). None where that fold would be right, or cannot be made.
    """
    try:
        errors = [error for item in found if (error := border_error(item.reader, affine)) is not None]
        if not errors:
            return None
        slots = [item.reader.slots for item in found]
        biases = [
            uncorrected_bias(*item.weights(), each.scale * errors[0][each.channel], groups=item.reader.groups)
            for item, each in zip(found, slots, strict=True)
        ]
        for item, bias in zip(found, biases, strict=True):
            item.put(None, bias)
    except PreprocError:
        return None
    return errors[0]
