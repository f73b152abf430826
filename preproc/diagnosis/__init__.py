"""Which preprocessing pictures went through: candidates of geometry, and an affine map per channel, solved for.

In: pictures, and the model-ready tensors that some program made of them. Out: a verdict with its interval and its runner-up, and a recipe.
Never: a model, a label, or a guess that is not told as one; neither torch nor OpenCV is imported before it is needed.
"""

from .affine import Affine, Solved, affine_of, solve
from .answer import Candidate, Diagnosis
from .from_pairs import answered, diagnose_pairs
from .pairs import Pair, Pairs, read_pairs

__all__ = ["Affine", "Candidate", "Diagnosis", "Pair", "Pairs", "Solved", "affine_of", "answered", "diagnose_pairs", "read_pairs", "solve"]
