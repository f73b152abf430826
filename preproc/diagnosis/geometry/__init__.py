"""The candidates of geometry: how a picture is decoded, turned, cut and resized, by the libraries themselves.

In: a picture's file or its pixels, and a Geometry, which is data. Out: grey levels (H, W, 3), NaN where there is no picture.
Never: an arithmetic of our own: Pillow, OpenCV, torch and torchvision compute; one that is not installed is told, not left out in silence.
"""

from .decoding import Source, decode
from .framing import Fit, Frame, Window
from .geometry import Geometry
from .in_recipes import geometry_of, resampler_of, steps_of
from .resampling import RESAMPLERS, Resampler, absent

__all__ = [
    "RESAMPLERS",
    "Fit",
    "Frame",
    "Geometry",
    "Resampler",
    "Source",
    "Window",
    "absent",
    "decode",
    "geometry_of",
    "resampler_of",
    "steps_of",
]
