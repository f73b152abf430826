"""What the tensors' own numbers can tell, and whether a line explains every one of them to that."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .affine import Affine

Array = NDArray[np.float64]
KERNELS_DIFFER = 0.01
"""Grey levels that a resize in floats may be off by on another machine."""
_SHORT = (("bfloat16", 8), ("float16", 11))
"""And the bits of their mantissas, the hidden one among them."""
_SINGLE = 24
_MANY = 16
"""Numbers of one exponent, whose last bits are all 0 by chance in one case of 2**16."""


@dataclass(frozen=True)
class Precision:
    """name: the narrowest format that rounded the tensors.  bits: of its mantissa, None of whole numbers.  largest: number of all."""

    name: str
    bits: int | None
    largest: float

    @staticmethod
    def of(tensors: Sequence[Array]) -> "Precision":
        largest = max(float(np.abs(tensor).max()) for tensor in tensors)
        if all(bool((np.rint(tensor) == tensor).all()) for tensor in tensors):
            return Precision("whole numbers", None, largest)
        for name, bits in _SHORT:
            if all(_holds(tensor, bits) for tensor in tensors) and _uses(tensors, bits):
                return Precision(name, bits, largest)
        single = all(_holds(tensor, _SINGLE) for tensor in tensors)
        return Precision("float32" if single else "float64", _SINGLE, largest)

    def rounded_by(self, tensor: Array) -> Array:
        """What each number is off by at most: half of its last place, once, behind arithmetic in float32."""
        work = 4 * self.largest * 2.0**-_SINGLE
        if self.bits is None:
            return np.full(tensor.shape, 0.5 + work)
        _, exponent = np.frexp(tensor)
        return np.asarray(np.ldexp(1.0, exponent - self.bits - 1) + work)

    @property
    def step(self) -> float:
        """The most of it."""
        return float(self.rounded_by(np.array([self.largest]))[0])

    def levels(self, affine: Affine) -> float:
        """step, in grey levels."""
        return self.step / float(np.abs(affine.scale).min())


def _holds(tensor: Array, bits: int) -> bool:
    """Whether numbers with so many bits hold it."""
    mantissa, _ = np.frexp(tensor)
    scaled = mantissa * 2.0**bits
    return bool((np.rint(scaled) == scaled).all())


def _uses(tensors: Sequence[Array], bits: int) -> bool:
    """Whether each channel sets the last of the bits at two exponents. What lies on an even grid (whole levels over 256) does so at one
    at most, and no format rounded it."""
    for channel in range(len(tensors[0])):
        mantissa, exponent = np.frexp(np.concatenate([tensor[channel].ravel() for tensor in tensors]))
        odd = np.rint(mantissa * 2.0**bits) % 2 == 1
        at, count = np.unique(exponent[mantissa != 0], return_counts=True)
        if sum(float(odd[exponent == each].mean()) >= 1 / 8 for each in at[count >= _MANY]) < 2:
            return False
    return True


@dataclass(frozen=True, eq=False)
class Left:
    """Of one channel of one picture. levels: (N,) grey levels.  off: (N,) how far the tensor is from the line there, and may: (N,) how far
    its rounding lets it be; both in grey levels."""

    levels: Array
    off: Array
    may: Array


def explained(left: Iterable[Left], within: float) -> bool:
    """Of one channel: whether a line that is at most `within` grey levels off the solved one, from black to white, explains all."""
    beyond = False
    kept = []
    for each in left:
        size = np.abs(each.off)
        if (size > each.may + within).any():
            return False
        beyond = beyond or bool((size > each.may).any())
        near = size > each.may - within
        kept.append((each.levels[near], each.off[near], each.may[near]))
    if not beyond:
        return True
    ends = (np.array([0.0, 255.0]), np.zeros(2), np.full(2, within))
    levels, off, may = (np.concatenate(parts) for parts in zip(ends, *kept, strict=True))
    return _is_line(levels, off - may, off + may, most=2 * within / 255)


def _is_line(at: Array, low: Array, high: Array, *, most: float) -> bool:
    """Whether a line of a slope up to `most` lies between them: the room that a slope leaves is concave, so its maximum is closed in."""

    def room(slope: float) -> float:
        return float((high - slope * at).min() - (low - slope * at).max())

    left, right = -most, most
    for _ in range(60):
        one, two = left + (right - left) / 3, right - (right - left) / 3
        if room(one) >= 0 or room(two) >= 0:
            return True
        left, right = (one, right) if room(one) < room(two) else (left, two)
    return False
