"""What is kept of pixels: sums that add to the same bits in any order, by kind of picture. NumPy and Python's integers, no Pillow."""

from .accumulator import Accumulator, Counted, Kind
from .histogram import FLAT, SATURATED, Histogram
from .kinds import INDICES, channel_names
from .moments import Moments
from .over_images import FEW, OverImages

__all__ = [
    "FEW",
    "FLAT",
    "INDICES",
    "SATURATED",
    "Accumulator",
    "Counted",
    "Histogram",
    "Kind",
    "Moments",
    "OverImages",
    "channel_names",
]
