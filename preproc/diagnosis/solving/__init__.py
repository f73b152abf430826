"""The affine part between grey levels and tensors, by least squares; and what the tensors' own numbers let be told of it.

In: grey levels and tensors, (C, H, W) each. Out: a line per channel with its interval, and whether it explains every number.
Never: a picture's geometry; a rounding that the numbers do not show.
"""

from .affine import CONFIDENCE, Affine, Solved, affine_of, fit, solve
from .exactness import KERNELS_DIFFER, Left, Precision, explained
from .moments import Moments
from .small_samples import at_least, student

__all__ = [
    "CONFIDENCE",
    "KERNELS_DIFFER",
    "Affine",
    "Left",
    "Moments",
    "Precision",
    "Solved",
    "affine_of",
    "at_least",
    "explained",
    "fit",
    "solve",
    "student",
]
