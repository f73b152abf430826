"""The steps as nn.Modules, their pipeline, and the model that it makes with a backbone.

In and out: (N, C, H, W) float, dtype and device kept; integer pixels in front of FromPixels. Constants are non-persistent buffers.
Never: a branch that computes something else in an export.
"""

from .base import Layer
from .channel_affine import ChannelAffine
from .crops import CenterCrop, Pad
from .early import in_order
from .kinds import from_step
from .lrn import LocalResponseNorm
from .minmax import MinMaxNormalize, MinMaxScale
from .normalize import Normalize, Rescale
from .pipeline import Model, Pipeline, build, prepend
from .pixels import FromPixels
from .resize import Letterbox, Resize
from .standardize import Standardize

__all__ = [
    "CenterCrop",
    "ChannelAffine",
    "FromPixels",
    "Layer",
    "Letterbox",
    "LocalResponseNorm",
    "MinMaxNormalize",
    "MinMaxScale",
    "Model",
    "Normalize",
    "Pad",
    "Pipeline",
    "Rescale",
    "Resize",
    "Standardize",
    "build",
    "from_step",
    "in_order",
    "prepend",
]
