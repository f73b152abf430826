"""Which preprocessing pictures went through: candidates of geometry, and an affine map per channel, solved for; which mistake was made.

In: pictures, and the model-ready tensors that some program made of them. Out: a verdict with its interval and its runner-up, and a recipe.
Never: a model, a label, or a guess that is not told as one; neither torch nor OpenCV is imported before it is needed.
"""

from .mistakes import OWN, Mistake, Mistakes, Variant, diagnose_against, variants
from .pairs import Pair, Pairs, find, read_pairs
from .search import Diagnosis, answered, check_free, diagnose_pairs
from .solving import affine_of, at_least, solve, student

__all__ = [
    "OWN",
    "Diagnosis",
    "Mistake",
    "Mistakes",
    "Pair",
    "Pairs",
    "Variant",
    "affine_of",
    "answered",
    "at_least",
    "check_free",
    "diagnose_against",
    "diagnose_pairs",
    "find",
    "read_pairs",
    "solve",
    "student",
    "variants",
]
