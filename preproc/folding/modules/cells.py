"""Cells in torch: a video's luma and chroma apart, and the two convolutions that read them.

Between the two they are carried in one tensor of the picture's own sides, whatever the network asks of these: luma is its first channel,
and chroma's planes (N, planes, h, w) are as many channels more as hold them. A network's forward may so check its picture's size, or make
its answer of that size, as it always did. One that goes by the number of channels, or of values, gets a picture: see running.py.
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
    """The layer that reads pixels, and makes luma and the planes of chroma of them in place of a picture: times `unit`, less `shift`,
    carried.

    step: what the pixels are.  cells: theirs, with one plane more where there is a `constant`, which that holds.  shift: one number for
    each channel.  like: of the device and the dtype of the values.
    """
    layer = layers.FromPixels(**vars(step), device=like.device, dtype=like.dtype)
    split: Any = layer.read.split
    area = cells.size[0] * cells.size[1]
    carried = -(-len(cells.shared) // area)
    luma, *held = (float(shift[channel]) if channel < len(shift) else -(constant or 0.0) for part in cells.parts for channel in part)
    held += [0.0] * (carried * area - len(held))
    layer.read = _ToCells(split, cells.size, carried=carried, luma=luma, held=held, unit=unit, like=like)
    return layer


class _ToCells(nn.Module):
    """x: uint8 as `split` takes them, which makes (N, 1, H, W) of luma and (N, 2, h, w) of chroma of them.  y: (N, 1 + carried, H, W) in
    the dtype of `like`."""

    luma: Tensor
    held: Tensor

    def __init__(
        self, split: nn.Module, size: tuple[int, int], *, carried: int, luma: float, held: Sequence[float], unit: float, like: Tensor
    ) -> None:
        super().__init__()
        self.split, self.carried, self.unit = split, carried, unit
        self.rows, self.columns = size
        for name, values in (("luma", [luma]), ("held", held)):
            self.register_buffer(name, torch.tensor(values, device=like.device, dtype=like.dtype).reshape(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        luma, chroma = self.apart(x, like)
        return self.together(luma, chroma, like)

    def apart(self, x: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """As layers' own, for what moves both, before they are put together."""
        luma, chroma = self.split(x.to(like.dtype))
        return luma, chroma

    def together(self, luma: Tensor, chroma: Tensor, like: Tensor) -> Tensor:
        held = self.held.to(like.dtype)
        chroma = functional.pad(chroma, (0, 0, 0, 0, 0, held.shape[1] - chroma.shape[1]))
        if self.unit != 1:
            luma, chroma = luma * self.unit, chroma * self.unit
        chroma = (chroma - held).reshape(luma.shape[0], self.carried, luma.shape[2], luma.shape[3])
        return torch.cat([luma - self.luma.to(like.dtype), chroma], dim=1)


def stand_in_on_cells(backbone: nn.Module, weight: str, cells: Cells, window: Window) -> None:
    """Makes two convolutions, whose weights are anything yet, of the one that has the weight of that name. window: of the second.
    Raises NotFoldableError where a module that is more than a convolution has it."""
    path, _, name = weight.rpartition(".")
    owner = backbone.get_submodule(path)
    own = (getattr(getattr(owner, word, None), "__func__", None) is getattr(nn.Conv2d, word) for word in ("forward", "_conv_forward"))
    if not isinstance(owner, nn.Conv2d) or not all(own) or owner.padding_mode != "zeros" or name != "weight" or not path:
        raise NotFoldableError(
            f"{weight} is used outside of an nn.Conv2d, in whose place one of planes could stand", name="fold-shared-weight"
        )
    owner.__class__ = CellsConv2d
    made: Any = owner
    made.take(cells, window)


class CellsConv2d(nn.Conv2d):
    """An nn.Conv2d of luma, and beside it one of the planes that are carried in x: (N, 1 + carried, H, W) -> (N, out, H', W').

    None is made: an nn.Conv2d becomes one, as torch's parametrizations have it, and keeps its hooks."""

    shared: nn.Conv2d
    cell: tuple[int, int]
    ends: list[int]

    def take(self, cells: Cells, window: Window) -> None:
        """What the kernel of a picture is given behind this reads luma alone.  window: of the planes."""
        rows, columns = window.rows, window.columns
        even = rows.before == rows.behind and columns.before == columns.behind
        self.in_channels = 1
        self.shared = nn.Conv2d(
            len(cells.shared),
            self.out_channels,
            (rows.kernel, columns.kernel),
            (rows.stride, columns.stride),
            (rows.before, columns.before) if even else 0,
            (rows.dilation, columns.dilation),
            bias=False,
            device=self.weight.device,
            dtype=self.weight.dtype,
        ).train(self.training)
        self.cell = cells.size
        self.ends = [] if even else [columns.before, columns.behind, rows.before, rows.behind]

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.cell
        planes = x[:, 1:].reshape(x.shape[0], -1, x.shape[2] // rows, x.shape[3] // columns)[:, : self.shared.in_channels]
        chroma: Tensor = self.shared(functional.pad(planes, self.ends) if self.ends else planes)
        return super().forward(x[:, :1]) + chroma
