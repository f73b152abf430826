"""The vocabulary: one frozen dataclass per step. A step is data; reference.py, layers/ and graph/ interpret it independently.

A step validates itself when it is made, so a layer's constructor, a recipe and the command line fail with one sentence.
"""

from ._base import Step, ValueRange
from .constants import ChannelAffine, MinMaxScale, Normalize, Rescale
from .geometry import (
    FAST,
    INTERPOLATIONS,
    MOST_SIDE,
    PILLOWS,
    ROUNDINGS,
    TORCHES,
    CenterCrop,
    Geometry,
    Letterbox,
    Pad,
    Resampling,
    Resize,
    check_pillow,
    installed_pillow,
    output_size,
    with_pillow,
)
from .pictures import LocalResponseNorm, MinMaxNormalize, Standardize
from .pixels import COLORS, LAYOUTS, PIXEL_DTYPES, FromPixels
from .sequence import STEPS, as_steps, channels_in, channels_out, check, compose, parse

__all__ = [
    "COLORS",
    "FAST",
    "INTERPOLATIONS",
    "LAYOUTS",
    "MOST_SIDE",
    "PILLOWS",
    "PIXEL_DTYPES",
    "ROUNDINGS",
    "STEPS",
    "TORCHES",
    "CenterCrop",
    "ChannelAffine",
    "FromPixels",
    "Geometry",
    "Letterbox",
    "LocalResponseNorm",
    "MinMaxNormalize",
    "MinMaxScale",
    "Normalize",
    "Pad",
    "Resampling",
    "Rescale",
    "Resize",
    "Standardize",
    "Step",
    "ValueRange",
    "as_steps",
    "channels_in",
    "channels_out",
    "check",
    "check_pillow",
    "compose",
    "installed_pillow",
    "output_size",
    "parse",
    "with_pillow",
]
