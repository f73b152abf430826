"""From pairs to a preprocessing: geometry and kernel by search, the affine part by least squares, and a recipe.

In: pairs. Out: a verdict with what fits, the runner-up and what stays open, and a recipe where one says it.
Never: a guess that is not told as one; a recipe of what nothing is near to.
"""

from .answer import Diagnosis, check_free
from .from_pairs import answered, diagnose_pairs

__all__ = ["Diagnosis", "answered", "check_free", "diagnose_pairs"]
