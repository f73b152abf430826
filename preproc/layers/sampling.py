"""Resizes that are no two passes which round: (N, C, H, W) grey levels and the new sides in, the resized picture out."""

import torch
from torch import Tensor, nn

from .base import widened
from .filters import nearest, shares
from .whole import check_levels, levels

OPENCV_BITS = 11
"""Of OpenCV's: INTER_RESIZE_COEF_BITS."""


class Floats(nn.Module):
    """Two passes that do not round. x: (N, C, H, W) -> (N, C, height, width), in at least float32."""

    def __init__(self, interpolation: str) -> None:
        super().__init__()
        self.interpolation = interpolation

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = widened(x)
        return self.one(self.one(x, 3, width), 2, height)

    def one(self, x: Tensor, axis: int, new: int) -> Tensor:
        """A product with a matrix that has the weights where they are read."""
        position, share = shares(x.shape[axis], new, self.interpolation)
        inside = torch.zeros([new, x.shape[axis]], dtype=share.dtype).scatter_add(1, position, share)
        return (x.movedim(axis, -1) @ inside.t().to(x.device, x.dtype)).movedim(-1, axis)


class Linear(nn.Module):
    """Two taps, one rounding, as OpenCV's INTER_LINEAR. x: (N, C, H, W), grey levels."""

    def __init__(self) -> None:
        super().__init__()
        self.bits = OPENCV_BITS

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        check_levels(x)
        total = self.taps(self.taps(x, 3, width), 2, height)
        return (total + (1 << 2 * self.bits - 1)) >> 2 * self.bits

    def taps(self, x: Tensor, axis: int, new: int) -> Tensor:
        one = torch.ones(1, dtype=torch.float64)
        at = (torch.arange(new, dtype=torch.float64) + 0.5) * (one * x.shape[axis] / new) - 0.5
        low = at.floor()
        share = ((at - low) * (1 << self.bits) + 0.5).floor().to(torch.int32).to(x.device)
        share = share.unsqueeze(1) if axis == 2 else share
        last = (one * x.shape[axis] - 1).to(torch.int64)
        left = torch.minimum(low.to(torch.int64).clamp(min=0), last).to(x.device)
        right = torch.minimum((low.to(torch.int64) + 1).clamp(min=0), last).to(x.device)
        before, behind = x.index_select(axis, left).to(torch.int32), x.index_select(axis, right).to(torch.int32)
        return before * ((1 << self.bits) - share) + behind * share


class Nearest(nn.Module):
    """Pillow's NEAREST. x: (N, C, H, W), grey levels."""

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = x.index_select(2, nearest(x.shape[2], height).to(x.device))
        return levels(x.index_select(3, nearest(x.shape[3], width).to(x.device)))
