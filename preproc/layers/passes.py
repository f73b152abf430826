"""Resizes in two passes that round, with Pillow's own integer arithmetic, or torch's.

What is recorded, for sizes that are not known, adds in int32, all taps at once. Otherwise the sums are float32's (tables.py), and the
picture is read once, in whatever order and dtype it lies. The two ways make the same numbers.
"""

import torch
from torch import Tensor, nn
from torch.jit import is_scripting  # type: ignore[attr-defined]

from .sides import recorded, vertical_first
from .tables import BITS, remembered, table, whole_weights
from .whole import check_levels, levels

BLOCK = 1 << 18
"""Numbers of a picture that are resized at a time on a CPU: its nearest caches hold them."""


class Passes(nn.Module):
    """Two passes that round. x: (N, C, H, W), grey levels -> (N, C, height, width), whole numbers. from_13: with the order of the passes of
    Pillow 13, else that of 12, which is torch's as well."""

    def __init__(self, interpolation: str, *, from_13: bool, torch: str | None) -> None:
        super().__init__()
        self.interpolation, self.from_13, self.of_torch = interpolation, from_13, torch is not None
        self.bits, self.block = BITS, BLOCK

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        if is_scripting() or not recorded():  # its number of rounds depends on the size
            first = 2 if self.from_13 and vertical_first(x.shape[2], x.shape[3], height, width) else 3
            return self.counted(x, height, width, first)
        x = levels(x)
        across_first = self.whole(self.whole(x, 3, width), 2, height)
        if not self.from_13:
            return across_first
        one = torch.ones(1, dtype=torch.int64)
        removed = one * x.shape[2] - one * height
        vertical = (removed > 0) & (removed > 2 * (one * x.shape[3] - one * width))
        return torch.where(vertical.to(x.device), self.whole(self.whole(x, 2, height), 3, width), across_first)

    def whole(self, x: Tensor, axis: int, new: int) -> Tensor:
        """One pass in int32, all taps at once."""
        position, weight, unit = whole_weights(x.shape[axis], new, self.interpolation, self.of_torch)
        y = x.movedim(axis, -1)
        read = y.index_select(-1, position.flatten().to(x.device)).unflatten(-1, (new, -1))
        total = (read * weight.to(x.device)).sum(-1, dtype=torch.int32)
        if self.of_torch:
            unit = unit.to(x.device)
            total = torch.div(total + torch.div(unit, 2, rounding_mode="floor"), unit, rounding_mode="floor")
        else:
            total = (total + (1 << self.bits - 1)) >> self.bits
        made: Tensor = total.clamp(0, 255).movedim(-1, axis)
        return made

    def counted(self, x: Tensor, height: int, width: int, first: int) -> Tensor:
        """uint8, a picture and some of its rows after the other on a CPU. first: the axis of the first pass."""
        check_levels(x)
        tall, wide = x.shape[2] != height, x.shape[3] != width
        if not tall and not wide:
            return levels(x)
        y = torch.empty([x.shape[0], x.shape[1], height, width], dtype=torch.uint8, device=x.device)
        pictures = 1 if x.device.type == "cpu" else x.shape[0]
        for start in range(0, x.shape[0] if x.numel() > 0 else 0, max(pictures, 1)):
            some, made = x[start : start + pictures], y[start : start + pictures]
            if tall and wide:  # between the passes lie side by side what the second one weighs alike
                n, c = some.shape[0], some.shape[1]
                if first == 3:
                    half = torch.empty([x.shape[2], n, c, width], dtype=torch.uint8, device=x.device).permute(1, 2, 0, 3)
                else:
                    half = torch.empty([x.shape[3], n, c, height], dtype=torch.uint8, device=x.device).permute(1, 2, 3, 0)
                self.one(some, half, first)
                self.one(half, made, 5 - first)
            else:
                self.one(some, made, 2 if tall else 3)
        return y

    def one(self, x: Tensor, y: Tensor, axis: int) -> None:
        """One pass from x into y: weighted sums of rows, which is what a bag of embeddings is."""
        size, new, other = x.shape[axis], y.shape[axis], 5 - axis
        if is_scripting():
            index, offsets, weight, share, most = table(size, new, self.interpolation, self.of_torch)
        else:
            index, offsets, weight, share, most = remembered(size, new, self.interpolation, self.of_torch)
        index, offsets, weight = index.to(x.device), offsets.to(x.device), weight.to(x.device)
        rows = max(self.block // (size * x.shape[1]) // 16, 1) * 16 if x.device.type == "cpu" else x.shape[other]
        for start in range(0, x.shape[other], rows):
            count = min(rows, x.shape[other] - start)
            part = x.narrow(other, start, count).permute(axis, 0, 1, other).contiguous()
            if part.is_floating_point():
                part = part.to(torch.int32)
            total = torch.embedding_bag(part.flatten(1).to(weight.dtype), index, offsets, False, 0, False, weight)[0]
            if share > 0.0:
                total = total[:new].add_(total[new:].floor_(), alpha=share)
            total = total.add_(0.5)
            if most > 0.0:
                total = total.clamp_(0.0, most)
            made = total.reshape([new, part.shape[1], part.shape[2], count])
            y.narrow(other, start, count).copy_(made.permute(1, 2, 0, 3) if axis == 2 else made.permute(1, 2, 3, 0))
