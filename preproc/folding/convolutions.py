"""What is done to the convolutions that read the input, wherever they lie: the fold, and the mistake that is known of it.

modules/ and graph/ find them, and say where their weights lie and how they are written.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from ..errors import PreprocError
from ..steps import Affine
from .arithmetic import Array, FoldPlan, border_error, fold_conv, uncorrected_bias
from .trail import Reader, common_through


class Convolution(Protocol):
    """One that reads the input, and may be changed in place."""

    @property
    def reader(self) -> Reader: ...

    def weights(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """weight: (channels_out, channels_in / groups, height, width).  bias: (channels_out,) or None. Raises NotFoldableError."""

    def put(self, weight: NDArray[Any] | None, bias: NDArray[Any] | None) -> None:
        """Other ones in their place; None: as it is. Raises NotFoldableError where there is no place for a bias."""


def rewrite(found: Sequence[Convolution], plan: FoldPlan) -> None:
    """Puts the weights into the convolutions that see what the plan leaves: all are computed before one is put.

    Raises NotFoldableError with the reason.
    """
    new = [fold_conv(*item.weights(), plan, pad=item.reader.pad, groups=item.reader.groups) for item in found]
    for item, (weight, bias) in zip(found, new, strict=True):
        item.put(weight, bias)


def spoil_border(found: Sequence[Convolution], affine: Affine) -> Array | None:
    """The negative control of verify: makes the mistake, in place, of folding the offset into the bias of a padded convolution.

    Where the padding should hold v it then acts as if it held p = T(A(v)), and conv(u) padded with p equals
    conv(u - (p - v)) padded with v, plus W (p - v) in the bias. The bias is changed here; what has to be subtracted from the
    network's input is returned, (C,). None where that fold would be right, or cannot be made.
    """
    try:
        through = common_through([item.reader for item in found])
        back = None if through is None else through.inverse()
        pads = [item.reader.pad for item in found if item.reader.pad is not None]
        error = border_error(affine if through is None else affine.then(through), pads[0]) if pads else None
        if error is None:
            return None
        biases = [uncorrected_bias(*item.weights(), error, groups=item.reader.groups) for item in found]
        for item, bias in zip(found, biases, strict=True):
            item.put(None, bias)
    except PreprocError:
        return None
    return error if back is None else back.matrix @ error
