"""What is done to the channels of each pixel: some of them chosen, or mixed."""

import numpy as np
import torch
from torch import Tensor, nn

from .base import Device, per_channel


class Select(nn.Module):
    """Picks channels by index: x: (N, C, H, W) -> (N, len(index), H, W)."""

    index: Tensor

    def __init__(self, index: tuple[int, ...], *, device: Device = None) -> None:
        super().__init__()
        self.register_buffer("index", torch.tensor(index, device=device), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x.index_select(1, self.index)


class Mix(nn.Module):
    """columns: (C, 1, C', 1, 1), one column of the matrix per input channel.  offset: (1, C', 1, 1)."""

    columns: Tensor
    offset: Tensor

    def __init__(self, matrix: np.ndarray, offset: np.ndarray, *, device: Device, dtype: torch.dtype | None) -> None:
        super().__init__()
        columns = torch.stack([per_channel(column.tolist(), device, dtype) for column in matrix.T])
        self.register_buffer("columns", columns, persistent=False)
        self.register_buffer("offset", per_channel(offset.tolist(), device, dtype), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        columns = self.columns.to(x.dtype)
        y = (x[:, 0:1] * columns[0]).add_(self.offset.to(x.dtype))
        for channel in range(1, columns.shape[0]):
            y += x[:, channel : channel + 1] * columns[channel]
        return y
