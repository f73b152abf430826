"""A known range, or each picture's own, to a wanted one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .. import steps
from .base import Device, Layer, check_channels, check_image, per_channel, widened


class MinMaxScale(Layer):
    """y = (x - low) / (high - low) * (out[1] - out[0]) + out[0], clipped to `out` if clip.

    x: (N, C, H, W) float, in the units of low and high.  y: same shape and dtype.
    low, high: one number, or C numbers; high > low.
    Raises PreprocError if they are not, or if x has another rank or channel count.
    """

    scale: Tensor
    offset: Tensor

    def __init__(
        self,
        *,
        low: float | Sequence[float],
        high: float | Sequence[float],
        out: tuple[float, float] = (0.0, 1.0),
        clip: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        step = steps.MinMaxScale(low=low, high=high, out=out, clip=clip)  # type: ignore[arg-type]
        super().__init__(step)
        line = step.line(len(step.low))
        self.channels = len(step.low)
        for name, values in (("scale", line.matrix.diagonal()), ("offset", line.offset)):
            self.register_buffer(name, per_channel(values.tolist(), device, dtype), persistent=False)
        self.clip = nn.Hardtanh(*step.out) if clip else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        if self.channels > 1:
            check_channels(x, self.channels)
        check_image(x)
        y: Tensor = self.clip((x * self.scale.to(x.dtype)).add_(self.offset.to(x.dtype)))
        return y


class MinMaxNormalize(Layer):
    """Each picture's own range to `out`: y = (x - lo) / (hi - lo) * (out[1] - out[0]) + out[0]; where hi = lo, the divisor is 1.

    x: (N, C, H, W) float.  y: same shape and dtype.  per: "image", one range over all channels, or "channel".
    Raises PreprocError for another `per`, for out[0] >= out[1], and if x has another rank.
    """

    def __init__(
        self,
        *,
        per: str = "image",
        out: tuple[float, float] = (0.0, 1.0),
        device: Device = None,  # noqa: ARG002 - no buffers, accepted as every layer accepts it
        dtype: torch.dtype | None = None,  # noqa: ARG002
    ) -> None:
        step = steps.MinMaxNormalize(per=per, out=out)
        super().__init__(step)
        self.axes = (1, 2, 3) if per == "image" else (2, 3)
        self.width, self.start = step.out[1] - step.out[0], step.out[0]

    def forward(self, x: Tensor) -> Tensor:
        check_image(x)
        wide = widened(x)
        low = wide.amin(dim=self.axes, keepdim=True)
        span = wide.amax(dim=self.axes, keepdim=True) - low
        divisor = torch.where(span > 0, span, torch.ones_like(span))
        return ((wide - low) / divisor * self.width + self.start).to(x.dtype)
