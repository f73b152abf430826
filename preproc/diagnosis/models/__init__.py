"""Which preprocessing a network was trained with: by what its BatchNorms hold, or by its answers to pictures whose class is known.

In: a recipe, a bundle, an .onnx file or a module of torch, and pictures. Out: a verdict, candidates by rank, and intervals.
Never: a pickle; the answer of a network as proof of what no candidate was.
"""

from .batch_norms import OWN_CONSTANTS
from .diagnosing import diagnose_model
from .labelled import Z_SCORE_OF_THESE

__all__ = ["OWN_CONSTANTS", "Z_SCORE_OF_THESE", "diagnose_model"]
