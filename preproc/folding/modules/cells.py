"""Cells in torch: a video's pixels as planes, and the convolution that reads them.

Between the two the planes are carried in a tensor of the picture's own sides, whatever the network asks of these: (N, planes, h, w) is
(N, carried, H, W), in which `carried` is as many channels as hold them. A network's forward may so check its picture's size, or make its
answer of that size, as it always did.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ... import layers
from ...errors import NotFoldableError
from ...steps import FromPixels
from .. import Cells, Window


def to_cells(
    step: FromPixels, cells: Cells, shift: NDArray[np.float64], like: Tensor, *, unit: float, constant: float | None
) -> layers.FromPixels:
    """The layer that reads pixels, and makes planes of cells of them in place of a picture: times `unit`, less `shift`, carried.

    step: what the pixels are.  cells: theirs, with one plane more where there is a `constant`, which that holds.  shift: one number for
    each channel.  like: of the device and the dtype of the values.
    """
    layer = layers.FromPixels(**vars(step), device=like.device, dtype=like.dtype)
    split: Any = layer.read.split
    area, own = cells.size[0] * cells.size[1], len(cells.planes) - (constant is not None)
    carried = -(-len(cells.planes) // area)
    held = [float(shift[channel]) for channel, _ in cells.planes[:own]] + [-(constant or 0.0)] * (carried * area - own)  # 0 less that
    layer.read = _ToCells(split, cells.size, luma_first=cells.planes[0][0] == 0, carried=carried, held=held, unit=unit, like=like)
    return layer


class _ToCells(nn.Module):
    """x: uint8 as `split` takes them, which makes (N, 1, H, W) of luma and (N, 2, h, w) of chroma of them.  y: (N, carried, H, W) in the
    dtype of `like`."""

    held: Tensor

    def __init__(
        self, split: nn.Module, cell: tuple[int, int], *, luma_first: bool, carried: int, held: Sequence[float], unit: float, like: Tensor
    ) -> None:
        super().__init__()
        self.split, self.rows, self.luma_first, self.carried, self.unit = split, cell[0], luma_first, carried, unit
        self.register_buffer("held", torch.tensor(held, device=like.device, dtype=like.dtype).reshape(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        luma, chroma = self.split(x.to(like.dtype))
        if self.rows == 2:  # one plane of luma, and one of chroma
            planes = torch.cat([functional.pixel_unshuffle(luma, 2), chroma], dim=1)
        else:  # in turns
            pairs = luma.unflatten(3, [-1, 2]).permute(0, 1, 4, 2, 3).flatten(1, 2)
            planes = torch.stack([pairs, chroma] if self.luma_first else [chroma, pairs], dim=2).flatten(1, 2)
        held = self.held.to(like.dtype)
        planes = functional.pad(planes, (0, 0, 0, 0, 0, held.shape[1] - planes.shape[1]))
        if self.unit != 1:
            planes = planes * self.unit
        return (planes - held).reshape(x.shape[0], self.carried, -1, luma.shape[3])


def stand_in_on_cells(backbone: nn.Module, weight: str, cells: Cells, window: Window) -> None:
    """Puts a convolution of planes, whose weights are anything yet, in place of the one that has the weight of that name. window: as
    CellsConv2d's. Raises NotFoldableError where a module that is more than a convolution has it."""
    path, _, name = weight.rpartition(".")
    owner = backbone.get_submodule(path)
    same = all(getattr(type(owner), word, None) is getattr(nn.Conv2d, word) for word in ("forward", "_conv_forward"))
    if not isinstance(owner, nn.Conv2d) or not same or owner.padding_mode != "zeros" or name != "weight" or not path:
        raise NotFoldableError(
            f"{weight} is used outside of an nn.Conv2d, in whose place one of planes could stand", name="fold-shared-weight"
        )
    backbone.set_submodule(path, CellsConv2d(owner, cells, window))


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
