"""Constants known beforehand: y = x * scale + offset and y = (x - mean) / std. What one operation has just made the next one writes to,
for memory that is asked for anew costs more than the arithmetic; what a layer is given it leaves as it is."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from .. import steps
from .base import Device, Layer, check_channels, check_image, per_channel


class Rescale(Layer):
    """y = x * scale + offset. The default takes 8-bit grey levels to 0..1, as torchvision's ToDtype(scale=True) does.

    x: (N, C, H, W) float.  y: same shape and dtype.  Raises PreprocError if x has another rank or holds integers.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, *, scale: float = 1 / 255, offset: float = 0.0, device: Device = None, dtype: torch.dtype | None = None) -> None:
        step = steps.Rescale(scale=scale, offset=offset)
        super().__init__(step)
        for name, value in (("scale", step.scale), ("offset", step.offset)):
            self.register_buffer(name, per_channel([value], device, dtype), persistent=False)
        self.adds = step.offset != 0

    def forward(self, x: Tensor) -> Tensor:
        check_image(x)
        y = x * self.scale.to(x.dtype)
        return y.add_(self.offset.to(x.dtype)) if self.adds else y


class Normalize(Layer):
    """y = (x - mean) / std, channel by channel (torchvision.transforms.Normalize).

    x: (N, C, H, W) float, in the units of mean and std.  y: same shape and dtype.
    mean, std: C numbers each, std > 0.  unit: "0-1", "0-255" or "0-65535"; a Pipeline that starts at pixels asks for it.
    constants_because: why numbers that look like something else (1/std, a variance, another unit) are right; they are refused without.
    Raises PreprocError if they are not, or if x has another rank or channel count.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        unit: str | None = None,
        origin: str | None = None,
        constants_because: str | None = None,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        step = steps.Normalize(mean=tuple(mean), std=tuple(std), unit=unit, origin=origin, constants_because=constants_because)
        super().__init__(step)
        for name, values in (("mean", step.mean), ("std", step.std)):
            self.register_buffer(name, per_channel(values, device, dtype), persistent=False)

    @classmethod
    def preset(cls, name: str, *, color: str | None = None, device: Device = None, dtype: torch.dtype | None = None) -> "Normalize":
        """Published statistics by name: imagenet, inception, clip, siglip, caffe, cifar10, mnist (preproc.presets has the sources).

        color: the backbone's colour order; the constants follow it.
        """
        return cls(**vars(steps.Normalize.preset(name, color=color)), device=device, dtype=dtype)

    @classmethod
    def from_stats(
        cls,
        path: str | Path,
        *,
        color: str | None = None,
        constants_because: str | None = None,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> "Normalize":
        """The z-score of a data set, from its stats.json. color: the backbone's colour order."""
        step = steps.Normalize.from_stats(path, color=color, constants_because=constants_because)
        return cls(**vars(step), device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        check_channels(x, self.mean.shape[1])
        return (x - self.mean.to(x.dtype)).div_(self.std.to(x.dtype))
