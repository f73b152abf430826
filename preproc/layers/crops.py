"""Crops and pads, for any size."""

import torch
from torch import Tensor, nn

from .. import steps
from .base import Device, Layer, check_image
from .sides import check_crop, check_sides


class CenterCrop(Layer):
    """torchvision.transforms.CenterCrop: the middle; where the picture is smaller, a border of `fill`.

    x: (N, C, H, W) float.  y: (N, C, *size).  rounding: of half a pixel, "half_even" (torchvision), "floor" or "trunc" (Hugging Face).
    """

    def __init__(
        self,
        *,
        size: int | tuple[int, int],
        fill: int = 0,
        rounding: str = "half_even",
        device: Device = None,  # noqa: ARG002
        dtype: torch.dtype | None = None,  # noqa: ARG002
    ) -> None:
        step = steps.CenterCrop(size=size, fill=fill, rounding=rounding)  # type: ignore[arg-type]
        super().__init__(step)
        self.height, self.width = step.size
        self.fill = float(step.fill)
        self.even = int(rounding == "half_even")
        self.less = int(rounding != "floor")

    def forward(self, x: Tensor) -> Tensor:
        check_image(x)
        check_sides(x, 1, 1)
        rows, there = _middle(x.shape[2], self.height, self.even, self.less, x.device)
        columns, beside = _middle(x.shape[3], self.width, self.even, self.less, x.device)
        y = x.index_select(2, rows).index_select(3, columns)
        return torch.where(there.unsqueeze(1) & beside, y, torch.full_like(y[:1, :1, :1, :1], self.fill))

    def planes(self, luma: Tensor, chroma: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """Y (N, 1, H, W), and the U and V that blocks of so many rows and columns share: see steps.chroma_moves()."""
        check_crop("center_crop", luma, self.height, self.width, rows, columns)
        down, _ = _middle(luma.shape[2], self.height, self.even, self.less, luma.device)
        across, _ = _middle(luma.shape[3], self.width, self.even, self.less, luma.device)
        small = chroma.index_select(2, down[::rows] // rows).index_select(3, across[::columns] // columns)
        return luma.index_select(2, down).index_select(3, across), small


class Pad(Layer):
    """torchvision.transforms.Pad with a constant. padding: left, top, right, bottom (or one number, or two).  fill: the grey level.

    x: (N, C, H, W) float.  y: (N, C, top + H + bottom, left + W + right).
    """

    def __init__(
        self,
        *,
        padding: int | tuple[int, ...],
        fill: int = 0,
        device: Device = None,  # noqa: ARG002
        dtype: torch.dtype | None = None,  # noqa: ARG002
    ) -> None:
        step = steps.Pad(padding=padding, fill=fill)  # type: ignore[arg-type]
        super().__init__(step)
        left, top, right, bottom = step.padding
        self.sides = [left, right, top, bottom]
        self.fill = float(step.fill)

    def forward(self, x: Tensor) -> Tensor:
        check_image(x)
        return nn.functional.pad(x, self.sides, value=self.fill)


def _middle(size: int, new: int, even: int, less: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(new,) positions in the middle of `size`, and which of them are inside. even: 1 to round the start half even; less: 1 for the smaller
    half of an odd border in front. Tensors, for torch.export can solve no such whole numbers."""
    one = torch.ones(1, dtype=torch.int64, device=device)
    more = one * size - new
    start = torch.where(more < 0, more + less, more + more // 2 % 2 * even) // 2
    position = torch.arange(new, device=device) + start
    last = one * size - 1
    return torch.minimum(position.clamp(min=0), last), (position >= 0) & (position <= last)
