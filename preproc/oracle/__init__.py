"""What is true: the steps on NumPy arrays in float64, written from their formulas, and Pillow's resize in its own integers.

In: steps and pixels. Out: model-ready numbers (N, C, H, W) float64, and how many of them a fast resize may round otherwise; a camera's Y, U
and V of a picture.
Never: a layer, a graph builder, or anything else that is judged by it.
"""

from . import reference
from .roundings import drawn, is_fast, rounded_otherwise
from .video import packed, planes

__all__ = ["drawn", "is_fast", "packed", "planes", "reference", "rounded_otherwise"]
