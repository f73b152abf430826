"""Which preprocessing pictures went through: candidates of geometry, and an affine map per channel, solved for; which mistake was made.

In: pictures, and the model-ready tensors that some program made of them. Out: a verdict with its interval and its runner-up, and a recipe.
Never: a model, a label, or a guess that is not told as one; neither torch nor OpenCV is imported before it is needed.
"""

from .affine import affine_of, solve
from .against import diagnose_against
from .answer import Diagnosis, check_free
from .from_pairs import answered, diagnose_pairs
from .functions import find
from .mistake import Mistake
from .mistakes import Mistakes
from .pairs import Pair, Pairs, read_pairs
from .small_samples import at_least, student
from .variants import OWN, Variant, variants

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
