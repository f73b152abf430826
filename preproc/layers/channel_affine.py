"""Any affine map on channels, in the cheapest form that computes it."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .. import steps
from .base import Device, Layer, check_channels, per_channel
from .channels import Mix, Select


class ChannelAffine(Layer):
    """y = matrix @ x + offset for the channel vector of every pixel.

    x: (N, C, H, W) float.  y: (N, C', H, W), same dtype.
    matrix: C' rows of C numbers.  offset: C' numbers (default: zeros).
    A diagonal matrix runs as one multiply and one add (as one subtraction and one division where float32 then rounds once), a
    selection as an index, a scaled selection as both, anything else as
    one multiply-add per input channel: a 1x1 convolution that autocast does not round to half precision.
    Raises PreprocError if they are not, or if x has another rank or channel count.
    """

    def __init__(
        self,
        *,
        matrix: Sequence[Sequence[float]],
        offset: Sequence[float] = (),
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        step = steps.ChannelAffine(matrix=tuple(tuple(row) for row in matrix), offset=tuple(offset))
        super().__init__(step)
        affine = step.affine(len(step.matrix[0]))
        self.channels = affine.channels_in
        self.parts = nn.Sequential()
        if not affine.is_monomial:
            self.parts.append(Mix(affine.matrix, affine.offset, device=device, dtype=dtype))
            return
        index = np.argmax(affine.matrix != 0, axis=1)
        if not affine.is_diagonal:
            self.parts.append(Select(tuple(index.tolist()), device=device))
        once = affine.rounded_once()
        if once is not None:
            mean, std = once
            made = _SubtractDivide(mean, std, device=device, dtype=dtype) if mean.any() else _Divide(std, device=device, dtype=dtype)
            self.parts.append(made)
            return
        scale, added = affine.matrix[np.arange(len(index)), index], affine.offset
        if (scale != 1).any() and added.any():
            self.parts.append(_MultiplyAdd(scale, added, device=device, dtype=dtype))
        elif (scale != 1).any():
            self.parts.append(_Multiply(scale, device=device, dtype=dtype))
        elif added.any():
            self.parts.append(_Add(added, device=device, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        check_channels(x, self.channels)
        y: Tensor = self.parts(x)
        return y


class _PerChannel(nn.Module):
    """Arithmetic with one number per channel."""

    numbers: Tensor

    def __init__(self, numbers: NDArray[np.float64], *, device: Device, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.register_buffer("numbers", per_channel(numbers.tolist(), device, dtype), persistent=False)


class _TwoPerChannel(_PerChannel):
    """The second writes to what the first has made, which nobody else holds."""

    second: Tensor

    def __init__(self, numbers: NDArray[np.float64], second: NDArray[np.float64], *, device: Device, dtype: torch.dtype | None) -> None:
        super().__init__(numbers, device=device, dtype=dtype)
        self.register_buffer("second", per_channel(second.tolist(), device, dtype), persistent=False)


class _Multiply(_PerChannel):
    def forward(self, x: Tensor) -> Tensor:
        return x * self.numbers.to(x.dtype)


class _Add(_PerChannel):
    def forward(self, x: Tensor) -> Tensor:
        return x + self.numbers.to(x.dtype)


class _Divide(_PerChannel):
    def forward(self, x: Tensor) -> Tensor:
        return x / self.numbers.to(x.dtype)


class _MultiplyAdd(_TwoPerChannel):
    def forward(self, x: Tensor) -> Tensor:
        return (x * self.numbers.to(x.dtype)).add_(self.second.to(x.dtype))


class _SubtractDivide(_TwoPerChannel):
    def forward(self, x: Tensor) -> Tensor:
        return (x - self.numbers.to(x.dtype)).div_(self.second.to(x.dtype))
