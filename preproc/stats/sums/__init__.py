"""What is kept of pixels: sums that add to the same bits in any order, by kind of picture.

In: how many pixels of a picture have each value, or for floats their values. Out: mean, std, percentiles, shares; plain data, and back.
Never: a rounding on the way (but of floats), a sum over two kinds, or Pillow.
"""

from .accumulator import Accumulator, Counted, Kind
from .histogram import FLAT, SATURATED, Histogram
from .kinds import INDICES, channel_names
from .moments import Moments
from .over_images import FEW

__all__ = ["FEW", "FLAT", "INDICES", "SATURATED", "Accumulator", "Counted", "Histogram", "Kind", "Moments", "channel_names"]
