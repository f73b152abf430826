"""The first convolutions of a network in half precision, with the weights that they had before: what is rounded once is not rounded
twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import PreprocError
from ..folding import Cells, Reader
from ..steps import Sides
from .first_convolutions import First
from .picture import picture_input
from .walk import first_convolutions

_ROUNDINGS = 8
"""How many the exporters make of a weight, where they multiply a BatchNorm into it in half precision."""


@dataclass(frozen=True)
class Wider:
    """A convolution of a narrow file with another's weights, in more digits."""

    narrow: First
    wide: First

    @property
    def reader(self) -> Reader:
        return self.narrow.reader

    def weights(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        return self.wide.weights()

    def put(self, weight: NDArray[Any] | None, bias: NDArray[Any] | None, *, groups: int | None = None) -> None:
        self.narrow.put(weight, bias, groups=groups)

    def put_on_cells(self, luma: NDArray[Any], shared: NDArray[Any], bias: NDArray[Any] | None, cells: Cells) -> None:
        self.narrow.put_on_cells(luma, shared, bias, cells)

    @property
    def agrees(self) -> bool:
        """Whether the one's weights are the other's, but for roundings."""
        pairs = list(zip(self.narrow.weights(), self.wide.weights(), strict=True))
        return all((narrow is None) == (wide is None) for narrow, wide in pairs) and all(
            narrow.shape == wide.shape and _are_near(narrow, wide) for narrow, wide in pairs if narrow is not None and wide is not None
        )


def widened(found: Sequence[First], wide: ir.Model | None, *, channels: int, size: Sides) -> Sequence[First] | Sequence[Wider]:
    """The convolutions with the weights of `wide`, the same network before it was narrowed; as they are where there is none, or its first
    convolutions are not the same."""
    if wide is None:
        return found
    try:
        others = first_convolutions(picture_input(wide), channels, size)
        made = [Wider(narrow, other) for narrow, other in zip(found, others, strict=True)]
        return made if all(each.agrees for each in made) else found
    except (PreprocError, ValueError):  # another network, or another number of convolutions
        return found


def _are_near(narrow: NDArray[Any], wide: NDArray[Any]) -> bool:
    one = 2.0**-8 if ir.DataType.from_numpy(narrow.dtype) == ir.DataType.BFLOAT16 else 2.0**-11
    far = np.abs(narrow.astype(np.float64) - wide)
    return bool(far.max(initial=0) <= _ROUNDINGS * one * np.abs(wide).max(initial=0))
