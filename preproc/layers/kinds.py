"""The steps as nn.Modules: (N, C, H, W) float in and out; dtype and device kept; constants are non-persistent buffers."""

from collections.abc import Callable, Mapping

import torch

from .. import steps
from .base import Device, Layer
from .channel_affine import ChannelAffine
from .crops import CenterCrop, Pad
from .lrn import LocalResponseNorm
from .minmax import MinMaxNormalize, MinMaxScale
from .normalize import Normalize, Rescale
from .pixels import FromPixels
from .resize import Letterbox, Resize
from .standardize import Standardize

_KINDS: Mapping[type[steps.Step], Callable[..., Layer]] = {
    steps.FromPixels: FromPixels,
    steps.Rescale: Rescale,
    steps.Normalize: Normalize,
    steps.MinMaxScale: MinMaxScale,
    steps.MinMaxNormalize: MinMaxNormalize,
    steps.Standardize: Standardize,
    steps.ChannelAffine: ChannelAffine,
    steps.LocalResponseNorm: LocalResponseNorm,
    steps.Resize: Resize,
    steps.CenterCrop: CenterCrop,
    steps.Letterbox: Letterbox,
    steps.Pad: Pad,
}


def from_step(step: steps.Step, *, device: Device = None, dtype: torch.dtype | None = None) -> Layer:
    """The layer that computes this step."""
    return _KINDS[type(step)](**vars(step), device=device, dtype=dtype)
