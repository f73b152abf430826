"""The affine part between grey levels and tensors, by least squares; and what the tensors' own numbers let be told of it.

In: grey levels and tensors, (C, H, W) each. Out: a line per channel with its interval, and whether it explains every number.
Never: a picture's geometry; a rounding that the numbers do not show.
"""

from .affine import Affine, Solved, affine_of, fit, solve, student
from .exactness import KERNELS_DIFFER, Left, Precision, explained
from .moments import Moments

__all__ = ["KERNELS_DIFFER", "Affine", "Left", "Moments", "Precision", "Solved", "affine_of", "explained", "fit", "solve", "student"]
