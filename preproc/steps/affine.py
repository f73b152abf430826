"""Affine maps on channels in float64. NumPy only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import PreprocError

Array = NDArray[np.float64]
_COMPOSED = 16 * float(np.finfo(np.float64).eps)
"""How far the roundings of composed steps may be from the number that they mean."""


@dataclass(frozen=True, eq=False)
class Affine:
    """y = matrix @ x + offset for the channel vector x of every pixel.

    matrix: (channels_out, channels_in) float64.  offset: (channels_out,) float64.
    """

    matrix: Array
    offset: Array

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        offset = np.array(self.offset, dtype=np.float64)
        if matrix.ndim != 2 or offset.shape != matrix.shape[:1] or 0 in matrix.shape:
            raise PreprocError(
                f"expected a matrix of (channels_out, channels_in) numbers and channels_out offsets, "
                f"got shapes {matrix.shape} and {offset.shape}",
                name="step-value",
            )
        if not (np.isfinite(matrix).all() and np.isfinite(offset).all()):
            raise PreprocError("expected finite numbers in the matrix and the offset, got an infinity or a NaN", name="step-value")
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "offset", offset)

    @staticmethod
    def identity(channels: int) -> "Affine":
        return Affine(np.eye(channels), np.zeros(channels))

    @staticmethod
    def diagonal(scale: Sequence[float] | Array, offset: Sequence[float] | Array) -> "Affine":
        return Affine(np.diag(np.asarray(scale, np.float64)), np.asarray(offset, np.float64))

    @property
    def channels_in(self) -> int:
        return int(self.matrix.shape[1])

    @property
    def channels_out(self) -> int:
        return int(self.matrix.shape[0])

    @property
    def is_identity(self) -> bool:
        return self.channels_in == self.channels_out and bool((self.matrix == np.eye(self.channels_in)).all() and not self.offset.any())

    @property
    def is_diagonal(self) -> bool:
        return self.channels_in == self.channels_out and not (self.matrix - np.diag(np.diag(self.matrix))).any()

    @property
    def is_monomial(self) -> bool:
        """Every output channel reads exactly one input channel: a selection, scaled."""
        return bool(((self.matrix != 0).sum(axis=1) == 1).all())

    def apart(self) -> "tuple[Affine, Affine] | None":
        """(P, D) with self = D P: P chooses the channels that the rows read, D scales and shifts each. None where a row reads no channel or
        several, and where P would be the identity."""
        if not self.is_monomial or self.is_diagonal:
            return None
        read = np.argmax(self.matrix != 0, axis=1)
        scale = self.matrix[np.arange(len(read)), read]
        return Affine(np.eye(self.channels_in)[read], np.zeros(len(read))), Affine.diagonal(scale, self.offset)

    def mean_and_std(self) -> tuple[Array, Array] | None:
        """One of each per row, if every row is (x - mean) / std of a channel, or of a sum of channels with weights of one sign."""
        scale = self.matrix.sum(axis=1)
        if not (scale != 0).all() or not np.allclose(np.abs(self.matrix).sum(axis=1), np.abs(scale)):
            return None
        return -self.offset / scale, 1 / scale

    def rounded_once(self) -> tuple[Array, Array] | None:
        """(mean, std) of a monomial map, one of each per row, if (x - mean) / std on whole numbers below 2^16 is the correctly rounded
        value in float32: the mean is a multiple of 1/256, so that nothing is rounded before the division, and float32 holds the std. As
        x * scale + offset, which rounds twice and the scale first, what a level means may come out beside a tie on which it lies. None
        where that form computes the same, for the scale is a power of two, and where there is no such mean and std."""
        if not self.is_monomial:
            return None
        scale = self.matrix.sum(axis=1)
        if (np.frexp(np.abs(scale))[0] == 0.5).all():
            return None
        mean, std = np.round(-self.offset / scale * 256) / 256, (1 / scale).astype(np.float32).astype(np.float64)
        near = np.allclose(-mean * scale, self.offset, rtol=_COMPOSED, atol=0) and np.allclose(std * scale, 1, rtol=_COMPOSED, atol=0)
        return (mean, std) if near and bool((np.abs(mean) < 2**16).all()) else None

    @property
    def is_rounded_once(self) -> bool:
        """Whether float32 gives the correctly rounded value: in the form above, or with a scale that is a power of two."""
        if not self.is_monomial:
            return False
        exact = (np.frexp(np.abs(self.matrix.sum(axis=1)))[0] == 0.5).all() and (self.offset.astype(np.float32) == self.offset).all()
        return bool(exact) or self.rounded_once() is not None

    def close_to(self, other: "Affine", *, tolerance: float = 1e-5) -> bool:
        """Whether both do the same to grey levels, up to the digits in which constants are published."""
        if self.matrix.shape != other.matrix.shape:
            return False
        size = np.abs(other.matrix).max()
        return all(
            bool((np.abs(mine - theirs) <= tolerance * (np.abs(theirs) + size)).all())
            for mine, theirs in ((self.matrix, other.matrix), (self.offset, other.offset))
        )

    def __call__(self, x: Array) -> Array:
        """Maps one channel vector, x: (channels_in,)."""
        return self.matrix @ x + self.offset

    def then(self, after: "Affine") -> "Affine":
        """after(self(x)) as one map."""
        if after.channels_in != self.channels_out:
            raise PreprocError(
                f"expected {after.channels_in} channels, got {self.channels_out} from the step before", name="channel-mismatch"
            )
        return Affine(after.matrix @ self.matrix, after.matrix @ self.offset + after.offset)

    def solve(self, y: Array) -> Array | None:
        """The smallest x with self(x) = y, (channels_in,), or None if no x reaches y."""
        x = self.nearest(y)
        reach = np.abs(self.matrix) @ np.abs(x) + np.abs(self.offset) + np.abs(y)
        return x if bool((np.abs(self(x) - y) <= 1e-11 * reach).all()) else None

    def nearest(self, y: Array) -> Array:
        """The least-squares solution of self(x) = y, (channels_in,). Exact for a diagonal map."""
        if self.is_diagonal and np.diag(self.matrix).all():
            nearest: Array = (y - self.offset) / np.diag(self.matrix)
        else:
            nearest = np.linalg.lstsq(self.matrix, y - self.offset, rcond=None)[0].astype(np.float64)
        return nearest
