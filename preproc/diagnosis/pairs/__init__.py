"""Pictures, and the model-ready tensors that some program made of them, as they are given.

In: a folder, an .npz file, or a function of the user's with pictures. Out: pairs, in one layout, or one sentence.
Never: a guess which of two layouts it is; a pickle; a function that the user did not name.
"""

from .functions import find
from .pairs import Pair, Pairs
from .reading import read_pairs

__all__ = ["Pair", "Pairs", "find", "read_pairs"]
