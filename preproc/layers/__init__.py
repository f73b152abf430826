"""The steps as nn.Modules: (N, C, H, W) float in and out; dtype and device kept; constants are non-persistent buffers."""

from collections.abc import Callable, Mapping

import torch

from .. import steps
from ._common import Device, Layer
from .channel_affine import ChannelAffine
from .lrn import LocalResponseNorm
from .minmax import MinMaxNormalize, MinMaxScale
from .normalize import Normalize, Rescale
from .pixels import FromPixels
from .standardize import Standardize

__all__ = [
    "ChannelAffine",
    "FromPixels",
    "Layer",
    "LocalResponseNorm",
    "MinMaxNormalize",
    "MinMaxScale",
    "Normalize",
    "Rescale",
    "Standardize",
    "from_step",
]

_KINDS: Mapping[type[steps.Step], Callable[..., Layer]] = {
    steps.FromPixels: FromPixels,
    steps.Rescale: Rescale,
    steps.Normalize: Normalize,
    steps.MinMaxScale: MinMaxScale,
    steps.MinMaxNormalize: MinMaxNormalize,
    steps.Standardize: Standardize,
    steps.ChannelAffine: ChannelAffine,
    steps.LocalResponseNorm: LocalResponseNorm,
}


def from_step(step: steps.Step, *, device: Device = None, dtype: torch.dtype | None = None) -> Layer:
    """The layer that computes this step."""
    return _KINDS[type(step)](**vars(step), device=device, dtype=dtype)
