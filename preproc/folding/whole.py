"""Whole numbers in the place of the constants that are subtracted, for precisions that hold little else. NumPy only.

Half precision holds the whole numbers up to 2048, bfloat16 up to 256: a pixel minus one of them is exact, a pixel minus 123.675 is not.
An int8 network reads pixels with one zero point, which is a whole number for all channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..steps import Affine

Array = NDArray[np.float64]
Whole = Literal["each", "one"] | int
"""Which constants that are subtracted have to be whole numbers: one for each channel, one for all of them, or this one for all of them."""
_NONE_LEFT = 1e-9
"""How far a constant may be from the whole number that it is, in levels: the steps are composed with roundings."""

_MOST_HELD = 256.0
"""Up to which whole numbers are exact in float16 and in bfloat16."""


@dataclass(frozen=True)
class Rounding:
    """Of the constants that are subtracted, (channels_in,) each. unit: what whole numbers are counted in, which is 1 for pixels, and the
    power of two that they are multiplied with."""

    whole: Whole | None
    unit: float
    affine: Affine

    def __call__(self, exact: Array) -> Array:
        """The nearest that may be subtracted. A channel that nothing reads has no say in what all of them subtract."""
        if self.whole is None:
            return exact
        if isinstance(self.whole, int):
            return np.full(len(exact), self.whole * self.unit)
        levels = exact / self.unit
        if self.whole == "one":
            read = self.affine.matrix.any(axis=0)
            levels = np.full(len(levels), levels[read].mean() if read.any() else 0.0)
        return np.round(levels) * self.unit + 0.0  # no -0

    def left(self, exact: Array) -> float:
        """The largest part of the constants that is not subtracted, in levels: 0 where it is only roundings."""
        off = float(np.abs(exact - self(exact)).max()) / self.unit
        return off if off > _NONE_LEFT else 0.0

    @property
    def no_pixel(self) -> str:
        words: dict[Whole | None, str] = {None: "no pixel", "each": "no pixel of whole numbers"}
        return words.get(self.whole, "no pixel of one whole number")

    def why(self, exact: Array, place: str) -> str:
        """The reason for the form. place: where what is left of the constants goes."""
        if self.whole is None:
            return ""
        held = self._held(self(exact) / self.unit) if self.whole == "each" else "one whole number is the pixels' zero point"
        left = self.left(exact)
        rest = f"what is left of the constants, up to {left:.3g} levels, is in {place}" if left else "nothing is left of the constants"
        return f"{held}; {rest}"

    @staticmethod
    def _held(levels: Array) -> str:
        """Whether pixels of 8 bits less the whole numbers are exact: bfloat16 holds those up to 256."""
        if levels.min() >= -1 and levels.max() <= _MOST_HELD:
            return "whole numbers are exact in half precision"
        return "whole numbers are subtracted, of which float16 holds those up to 2048 and bfloat16 those up to 256"


def unit_for(weights: Sequence[NDArray[Any]], affine: Affine, *, top: float = 255.0) -> float:
    """What the pixels are multiplied with in float16, in front of weights that take up the map: 1, or the power of two from the map's
    largest factor on, with which no weight grows and few shrink by more than a half, where otherwise some would be subnormal, or
    something would overflow.

    weights: of the operations that read the pixels, in any dtype.  top: the largest pixel. float32 and bfloat16 have eight bits of
    exponent, and need none.
    """
    least, most = (float(bound) for bound in (np.finfo(np.float16).tiny, np.finfo(np.float16).max))
    sizes, factors = (np.abs(np.concatenate([each[each != 0] for each in of], dtype=np.float64)) for of in (weights, [affine.matrix]))
    if not len(sizes) or not len(factors):
        return 1.0
    fits = sizes.min() * factors.min() >= least and max(sizes.max() * factors.max(), top) <= most
    return 1.0 if fits else float(2.0 ** np.ceil(np.log2(factors.max())))
