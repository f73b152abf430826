"""Each picture's own mean and standard deviation."""

import torch
from torch import Tensor, nn

from .. import steps
from .base import Device, Layer, check_image, widened


class Standardize(Layer):
    """y = (x - mean) / max(std, min_std), with the mean and std of each picture (per="image") or of each of its channels.

    x: (N, C, H, W) float; half precision is summed in float32.  y: same shape and dtype.
    min_std: None is 1/sqrt(n), n the number of values: tf.image.per_image_standardization.  correction: as torch.std's, 0 or 1.
    Raises PreprocError for min_std <= 0, another correction or `per`, and if x has another rank.
    """

    def __init__(
        self,
        *,
        per: str = "image",
        min_std: float | None = None,
        correction: int = 0,
        device: Device = None,  # noqa: ARG002 - no buffers, accepted as every layer accepts it
        dtype: torch.dtype | None = None,  # noqa: ARG002
    ) -> None:
        step = steps.Standardize(per=per, min_std=min_std, correction=correction)
        super().__init__(step)
        self.axes = (1, 2, 3) if per == "image" else (2, 3)
        self.correction = correction
        self.deviation: nn.Module = _AtLeastOne() if min_std is None else _AtLeast(min_std)

    def forward(self, x: Tensor) -> Tensor:
        """The mean is taken twice: what is left of it after the first time, float32's rounding of a bright flat picture, goes."""
        check_image(x)
        wide = widened(x)
        centred = wide - wide.mean(dim=self.axes, keepdim=True)
        centred = centred - centred.mean(dim=self.axes, keepdim=True)
        squares = (centred * centred).sum(dim=self.axes, keepdim=True)
        count = torch.ones_like(wide[:1]).sum(dim=self.axes, keepdim=True)
        std: Tensor = self.deviation(squares, count, (count - self.correction).clamp(min=1.0))
        return (centred / std).to(x.dtype)


class _AtLeastOne(nn.Module):
    """max(sqrt(squares / freedom), 1 / sqrt(count))"""

    def forward(self, squares: Tensor, count: Tensor, freedom: Tensor) -> Tensor:
        return torch.maximum((squares / freedom).sqrt(), count.rsqrt())


class _AtLeast(nn.Module):
    """max(sqrt(squares / freedom), least)"""

    def __init__(self, least: float) -> None:
        super().__init__()
        self.least = least

    def forward(self, squares: Tensor, count: Tensor, freedom: Tensor) -> Tensor:  # noqa: ARG002
        return (squares / freedom).sqrt().clamp(min=self.least)
