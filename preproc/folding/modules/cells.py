"""Cells in torch: a video's pixels as planes, and the convolution that reads them.

Between the two the planes are carried in a tensor of the picture's own sides, whatever the network asks of these: (N, planes x h x w) is
(N, carried, H, W), in which `carried` is as many channels as hold them. A network's forward may so check its picture's size, or make its
answer of that size, as it always did.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...layers import FromPixels
from .. import Cells, Window


class ToCells(nn.Module):
    """Pixels of Y, U and V -> planes of cells, times `unit`, less `shift`, carried.

    x: as `pixels` takes them, uint8.  y: (N, carried, H, W) float, of the dtype that `pixels` has.
    cells: `pixels` own, with one plane more where `constant` is given, which holds that.  shift: one number for each channel.
    """

    shift: Tensor

    def __init__(self, pixels: FromPixels, cells: Cells, shift: Sequence[float], *, unit: float = 1.0, constant: float | None = None) -> None:
        super().__init__()
        self.pixels = pixels
        area, own = cells.size[0] * cells.size[1], len(cells.planes) - (constant is not None)
        self.carried = -(-len(cells.planes) // area)
        self.more = self.carried * area - own
        held = [shift[channel] for channel, _ in cells.planes[:own]] + [-(constant or 0.0)] * self.more  # 0 less that
        self.unit = unit
        self.register_buffer("shift", torch.tensor(held, device=pixels.like.device, dtype=pixels.like.dtype).reshape(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        planes, width = self.pixels.planes(x)
        planes = functional.pad(planes, (0, 0, 0, 0, 0, self.more)).to(self.shift.dtype)
        return (planes * self.unit - self.shift).reshape(x.shape[0], self.carried, -1, width)


class CellsConv2d(nn.Conv2d):
    """An nn.Conv2d of the planes that are carried in x: (N, carried, H, W) -> (N, out, H', W')."""

    def __init__(self, like: nn.Conv2d, cells: Cells, window: Window) -> None:
        """like: what it stands in for.  window: of the planes."""
        rows, columns = window.rows, window.columns
        even = rows.before == rows.behind and columns.before == columns.behind
        super().__init__(
            len(cells.planes),
            like.out_channels,
            (rows.kernel, columns.kernel),
            (rows.stride, columns.stride),
            (rows.before, columns.before) if even else 0,
            (rows.dilation, columns.dilation),
            bias=like.bias is not None,
            device=like.weight.device,
            dtype=like.weight.dtype,
        )
        self.cell = cells.size
        self.ends = [] if even else [columns.before, columns.behind, rows.before, rows.behind]
        self.train(like.training)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.cell
        planes = x.reshape(x.shape[0], -1, x.shape[2] // rows, x.shape[3] // columns)[:, : self.in_channels]
        return super().forward(functional.pad(planes, self.ends) if self.ends else planes)
