"""Local response normalization, over channels or over a window of the picture."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import steps
from .base import Device, Layer, check_image, widened


class LocalResponseNorm(Layer):
    """y = x / (k + alpha/n * sum of x^2 over a window)^beta.

    region="channels": channels c - size//2 .. c + (size-1)//2, n = size (torch.nn.LocalResponseNorm, Caffe ACROSS_CHANNELS).
    region="spatial": the zero-padded size x size window of the same channel, n = size^2, odd size (Caffe WITHIN_CHANNEL, where k = 1).
    Krizhevsky et al. (2012) and tf.nn.local_response_normalization do not divide alpha by n.

    x: (N, C, H, W) float; half precision is summed in float32.  y: same shape and dtype.
    Raises PreprocError for a size below 1, an even spatial size, alpha < 0 or k <= 0, and if x has another rank.
    """

    def __init__(
        self,
        *,
        size: int,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 1.0,
        region: str = "channels",
        device: Device = None,  # noqa: ARG002 - no buffers, accepted as every layer accepts it
        dtype: torch.dtype | None = None,  # noqa: ARG002
    ) -> None:
        step = steps.LocalResponseNorm(size=size, alpha=alpha, beta=beta, k=k, region=region)
        super().__init__(step)
        self.k = step.k
        self.weighted: nn.Module = _OverChannels(size, step.alpha / size) if region == "channels" else _OverWindow(size, step.alpha)
        self.power: nn.Module = _POWERS[step.beta]() if step.beta in _POWERS else _Power(step.beta)

    def forward(self, x: Tensor) -> Tensor:
        check_image(x)
        wide = widened(x)
        divisor: Tensor = self.power(self.weighted(wide * wide) + self.k)
        return (wide / divisor).to(x.dtype)


class _OverChannels(nn.Module):
    """Sum over the channel window, times `scale`: shifted slices of the zero-padded channels."""

    def __init__(self, size: int, scale: float) -> None:
        super().__init__()
        self.size, self.scale = size, scale

    def forward(self, squares: Tensor) -> Tensor:
        padded = F.pad(squares, (0, 0, 0, 0, self.size // 2, (self.size - 1) // 2))
        channels = squares.shape[1]
        total = padded[:, 0:channels]
        for shift in range(1, self.size):
            total = total + padded[:, shift : shift + channels]
        return total * self.scale


class _OverWindow(nn.Module):
    """Mean over the zero-padded size x size window, times `scale`."""

    def __init__(self, size: int, scale: float) -> None:
        super().__init__()
        self.size, self.scale = size, scale

    def forward(self, squares: Tensor) -> Tensor:
        return F.avg_pool2d(squares, self.size, stride=1, padding=self.size // 2) * self.scale


class _Root(nn.Module):
    def forward(self, t: Tensor) -> Tensor:
        return t.sqrt()


class _ThreeQuarters(nn.Module):
    """t^0.75 from two square roots: several times faster than pow."""

    def forward(self, t: Tensor) -> Tensor:
        root = t.sqrt()
        return root * root.sqrt()


class _Power(nn.Module):
    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, t: Tensor) -> Tensor:
        return t.pow(self.beta)


_POWERS: dict[float, type[nn.Module]] = {0.5: _Root, 0.75: _ThreeQuarters, 1.0: nn.Identity}
"""The exponents that need no pow."""
