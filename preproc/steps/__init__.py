"""The vocabulary: one frozen dataclass per step, with its constants, their unit, and the affine map that it is, if it is one.

In: what users write, as tables or keywords. Out: steps that are right in themselves and behind one another, or one sentence.
Never: pixels. A step is data; oracle/, layers/ and graph/ interpret it independently.
"""

from . import plausibility, presets
from .affine import Affine
from .base import Step, ValueRange
from .blocks import check_blocks, check_crop
from .collapse import collapse_steps, rounds_once, split_affine_end, subtract_steps
from .constants import ChannelAffine, MinMaxScale, Normalize, Rescale
from .crops import CenterCrop, Pad
from .geometry import Geometry, Sides, Size, known
from .per_image import LocalResponseNorm, MinMaxNormalize, Standardize
from .pixels import (
    COLORS,
    LAYOUTS,
    NETWORK_LAYOUTS,
    OTHER_CONVERSIONS,
    PIXEL_COLORS,
    PIXEL_DTYPES,
    FromPixels,
    layouts_of,
    mistaken,
)
from .planes import chroma_moves
from .plausibility import BECAUSE
from .presets import PRESETS, UNITS, Statistics, preset
from .resize import (
    FAST,
    FORMS,
    INTERPOLATIONS,
    PILLOWS,
    Letterbox,
    Resampling,
    Resize,
    check_pillow,
    installed_pillow,
    with_form,
    with_pillow,
)
from .sequence import (
    STEPS,
    are_whole,
    as_steps,
    channels_in,
    channels_out,
    check,
    compose,
    constants_steps,
    divided,
    output_size,
    parse,
)
from .yuv import LUMA, RANGES, SHIFT, UNCONVERTED, WEIGHTS, YUV, phases, to_rgb, to_rgb_in_integers

__all__ = [
    "BECAUSE",
    "COLORS",
    "FAST",
    "FORMS",
    "INTERPOLATIONS",
    "LAYOUTS",
    "LUMA",
    "NETWORK_LAYOUTS",
    "OTHER_CONVERSIONS",
    "PILLOWS",
    "PIXEL_COLORS",
    "PIXEL_DTYPES",
    "PRESETS",
    "RANGES",
    "SHIFT",
    "STEPS",
    "UNCONVERTED",
    "UNITS",
    "WEIGHTS",
    "YUV",
    "Affine",
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
    "Sides",
    "Size",
    "Standardize",
    "Statistics",
    "Step",
    "ValueRange",
    "are_whole",
    "as_steps",
    "channels_in",
    "channels_out",
    "check",
    "check_blocks",
    "check_crop",
    "check_pillow",
    "chroma_moves",
    "collapse_steps",
    "compose",
    "constants_steps",
    "divided",
    "installed_pillow",
    "known",
    "layouts_of",
    "mistaken",
    "output_size",
    "parse",
    "phases",
    "plausibility",
    "preset",
    "presets",
    "rounds_once",
    "split_affine_end",
    "subtract_steps",
    "to_rgb",
    "to_rgb_in_integers",
    "with_form",
    "with_pillow",
]
