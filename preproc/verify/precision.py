"""Precisions lower than float32: what one rounding of theirs is, and what their noise must not hide."""

from collections.abc import Mapping

TWICE = 2.0
"""In a lower precision a runtime may err by this many times what the bare network errs by in the same precision there: other roundings of
the same size, not larger ones."""
UNITS: Mapping[str, float] = {"float32": 2**-24, "tf32": 2**-11, "float16": 2**-11, "bfloat16": 2**-8, "int8": 2**-8}
"""Half of the distance between 1 and the next number; of int8 half a step of the 127 that are on each side of zero."""
MOST_LOWER = 0.1
"""What is taken for rounding in a lower precision, relative: a file that is farther from its own float64 evaluation computes something
else."""
GROSS = ("channels swapped", "normalization doubled", "rescale missing")
"""The known mistakes that no precision may hide: what is verified without them has seen nothing."""


def is_lower(precision: str) -> bool:
    """Than float32. What is judged in such a precision is judged by the bare network's error in it, see Power.bounds()."""
    return precision != "float32"
