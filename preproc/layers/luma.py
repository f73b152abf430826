"""Y alone of Y, U and V as cameras and video decoders give them, to floats (N, 1, H, W)."""

import dataclasses

import torch
from torch import Tensor, nn

from .. import steps
from .base import Device
from .channels import Mix
from .video import FromYuv


class Luma(nn.Module):
    """x: uint8 as the step's colour lies in memory.  y: (N, 1, H, W) in the dtype of `like`, as the step says."""

    def __init__(self, step: steps.FromPixels, *, device: Device, dtype: torch.dtype | None) -> None:
        super().__init__()
        whole = dataclasses.replace(step, to=steps.UNCONVERTED, matrix=None, range=None, conversion=None)
        self.split = FromYuv(whole, device=device, dtype=dtype).split
        self.rows = self.columns = 1
        self.convert: nn.Module = nn.Identity()
        if step.to != steps.LUMA:
            affine = step.affine(1)
            assert affine is not None
            self.convert = Mix(affine.matrix, affine.offset, device=device, dtype=dtype)

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        luma, _ = self.split(x)
        y: Tensor = self.convert(luma.to(like.dtype).contiguous())
        return y

    def apart(self, x: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """As FromYuv's, for what moves both: of chroma there is no channel."""
        luma, _ = self.split(x)
        luma = luma.to(like.dtype)
        return luma, luma[:, :0]

    def together(self, luma: Tensor, chroma: Tensor, like: Tensor) -> Tensor:  # noqa: ARG002
        y: Tensor = self.convert(luma)
        return y.to(like.dtype)
