"""Resizes with Pillow's own integer arithmetic, or torch's: (N, C, H, W) grey levels and the new sides in, the resized picture out."""

import torch
from torch import Tensor, nn
from torch.jit import is_scripting  # type: ignore[attr-defined]

from ..errors import PreprocError
from .base import widened
from .filters import nearest, shares
from .sides import recorded, vertical_first

BITS = 22
"""Of Pillow's weights: PRECISION_BITS in its Resample.c."""
TORCH_WEIGHT = 1 << 15
"""What torch's weights for uint8 stay below: 16 bits with a sign."""
OPENCV_BITS = 11
"""Of OpenCV's: INTER_RESIZE_COEF_BITS."""
SMALL = 8.0
"""Pictures whose largest value is below it are looked at: they are dark, or no grey levels."""


class Passes(nn.Module):
    """Two passes that round. x: (N, C, H, W), grey levels -> (N, C, height, width) int32. from_13: with the order of the passes of Pillow
    13, else that of 12, which is torch's as well."""

    def __init__(self, interpolation: str, *, from_13: bool, torch: str | None) -> None:
        super().__init__()
        self.interpolation, self.from_13 = interpolation, from_13
        self.of_torch, self.bits, self.most = torch is not None, BITS, TORCH_WEIGHT

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = _levels(x)
        if is_scripting() or not recorded():  # the same numbers, with less memory; its number of rounds depends on the size
            first, last = (2, 3) if self.from_13 and vertical_first(x.shape[2], x.shape[3], height, width) else (3, 2)
            x = self.taps(x, first, height if first == 2 else width)
            return self.taps(x, last, height if last == 2 else width)
        across_first = self.whole(self.whole(x, 3, width), 2, height)
        if not self.from_13:
            return across_first
        one = torch.ones(1, dtype=torch.int64)
        removed = one * x.shape[2] - one * height
        vertical = (removed > 0) & (removed > 2 * (one * x.shape[3] - one * width))
        return torch.where(vertical.to(x.device), self.whole(self.whole(x, 2, height), 3, width), across_first)

    def taps(self, x: Tensor, axis: int, new: int) -> Tensor:
        """One pass, a tap at a time."""
        if x.shape[axis] == new:
            return x
        position, weight, unit = self.weights(x.shape[axis], new)
        position, weight = position.t().contiguous().to(x.device), weight.t().contiguous().to(x.device)
        y = x.movedim(axis, 0).contiguous()
        total = torch.zeros([new, y.shape[1], y.shape[2], y.shape[3]], dtype=torch.int32, device=x.device)
        for tap in range(position.shape[0]):
            total.addcmul_(y.index_select(0, position[tap]), weight[tap].reshape(-1, 1, 1, 1))
        return self.levels(total, unit).movedim(0, axis)

    def whole(self, x: Tensor, axis: int, new: int) -> Tensor:
        """One pass, all taps at once."""
        position, weight, unit = self.weights(x.shape[axis], new)
        y = x.movedim(axis, -1)
        read = y.index_select(-1, position.flatten().to(x.device)).unflatten(-1, (new, -1))
        total = (read * weight.to(x.device)).sum(-1, dtype=torch.int32)
        return self.levels(total, unit).movedim(-1, axis)

    def weights(self, size: int, new: int) -> tuple[Tensor, Tensor, Tensor]:
        """Positions, int32 weights, and what stands for 1 in them."""
        position, share = shares(size, new, self.interpolation)
        unit = torch.full([1], 1 << self.bits, dtype=torch.int32)
        if self.of_torch:  # as many bits as leave the largest weight within 16
            powers = 2.0 ** torch.arange(1, self.bits + 1, dtype=torch.float64)
            unit = (2.0 ** ((share.max() * powers + 0.5).floor() < self.most).sum(0, keepdim=True)).to(torch.int32)
        scaled = share * unit
        return position, (scaled + torch.where(scaled < 0, -0.5, 0.5)).to(torch.int32), unit

    def levels(self, total: Tensor, unit: Tensor) -> Tensor:
        """Rounded half up."""
        if self.of_torch:
            unit = unit.to(total.device)
            return torch.div(total + torch.div(unit, 2, rounding_mode="floor"), unit, rounding_mode="floor").clamp(0, 255)
        return ((total + (1 << self.bits - 1)) >> self.bits).clamp(0, 255)


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
        total = self.taps(self.taps(_levels(x), 3, width), 2, height)
        return (total + (1 << 2 * self.bits - 1)) >> 2 * self.bits

    def taps(self, x: Tensor, axis: int, new: int) -> Tensor:
        one = torch.ones(1, dtype=torch.float64)
        at = (torch.arange(new, dtype=torch.float64) + 0.5) * (one * x.shape[axis] / new) - 0.5
        low = at.floor()
        share = ((at - low) * (1 << self.bits) + 0.5).floor().to(torch.int32).to(x.device)
        last = (one * x.shape[axis] - 1).to(torch.int64)
        left = torch.minimum(low.to(torch.int64).clamp(min=0), last).to(x.device)
        right = torch.minimum((low.to(torch.int64) + 1).clamp(min=0), last).to(x.device)
        y = x.movedim(axis, -1)
        total = y.index_select(-1, left) * ((1 << self.bits) - share) + y.index_select(-1, right) * share
        return total.movedim(-1, axis)


class Nearest(nn.Module):
    """Pillow's NEAREST. x: (N, C, H, W), grey levels."""

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = _levels(x)
        x = x.index_select(2, nearest(x.shape[2], height).to(x.device))
        return x.index_select(3, nearest(x.shape[3], width).to(x.device))


def _levels(x: Tensor) -> Tensor:
    """Whole numbers. Values in 0..1, or normalized ones, would all become 0: where nothing is recorded or scripted, they are refused."""
    levels = x.to(torch.int32)
    if is_scripting() or recorded() or x.numel() == 0:
        return levels
    if float(x.amax()) < SMALL and not torch.equal(levels.to(x.dtype), x):
        raise PreprocError(
            "expected grey levels, whole numbers of 0..255, got others; put the resize in front of what rescales", name="grey-levels-needed"
        )
    return levels
