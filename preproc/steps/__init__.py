"""The vocabulary: one frozen dataclass per step. A step is data; reference.py, layers/ and graph/ interpret it independently.

A step validates itself when it is made, so a layer's constructor, a recipe and the command line fail with one sentence.
"""

from ._base import Step, ValueRange
from .constants import ChannelAffine, MinMaxScale, Normalize, Rescale
from .pictures import LocalResponseNorm, MinMaxNormalize, Standardize
from .pixels import COLORS, LAYOUTS, PIXEL_DTYPES, FromPixels
from .sequence import STEPS, channels_in, channels_out, check, compose, parse

__all__ = [
    "COLORS",
    "LAYOUTS",
    "PIXEL_DTYPES",
    "STEPS",
    "ChannelAffine",
    "FromPixels",
    "LocalResponseNorm",
    "MinMaxNormalize",
    "MinMaxScale",
    "Normalize",
    "Rescale",
    "Standardize",
    "Step",
    "ValueRange",
    "channels_in",
    "channels_out",
    "check",
    "compose",
    "parse",
]
