"""The candidates of geometry: how a picture is decoded, turned, cut and resized, by the libraries themselves.

In: a picture's file or its pixels, and a Geometry, which is data. Out: grey levels (H, W, 3), none finite where no picture is.
Never: an arithmetic of our own: Pillow, OpenCV, torch and torchvision compute; one that is not installed is told.
"""

from .decoding import DECODERS, TURNS, Source, decode
from .families import beside, families, simplicity
from .framing import Fit, Window
from .geometry import Geometry
from .grey import GREYS, REC_601, REC_709, WEIGHTED, Grey
from .in_recipes import geometry_of, steps_of
from .resampling import RESAMPLERS, Resampler, absent

__all__ = [
    "DECODERS",
    "GREYS",
    "REC_601",
    "REC_709",
    "RESAMPLERS",
    "TURNS",
    "WEIGHTED",
    "Fit",
    "Geometry",
    "Grey",
    "Resampler",
    "Source",
    "Window",
    "absent",
    "beside",
    "decode",
    "families",
    "geometry_of",
    "simplicity",
    "steps_of",
]
