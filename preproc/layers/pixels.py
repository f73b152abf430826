"""Integer pixels to float (N, C, H, W)."""

import torch
from torch import Tensor, nn
from torch.jit import is_scripting, is_tracing  # type: ignore[attr-defined]

from .. import steps
from ..errors import PreprocError
from .base import Device, Layer, check_tensor
from .sides import recorded


class FromPixels(Layer):
    """Integer pixels -> float (N, C, H, W) in grey levels, in the backbone's colour order.

    x: (N, H, W, C) or (N, C, H, W) as `layout` says, uint8 or uint16 as `pixel_dtype` says, grey levels.
    y: (N, C', H, W), contiguous, of this layer's float dtype (`dtype=`, changed by .to() and .half() as for any module), grey levels.
    (Arithmetic per channel on a permuted view of NHWC pixels would be four times slower.)
    color, to: RGB, BGR, RGBA, BGRA, GRAY, or ANY for any channel count without reordering. Alpha is dropped, gray repeated.

    Raises PreprocError for floats, another rank or another channel count, and for colour orders that do not fit.
    """

    like: Tensor

    def __init__(
        self,
        *,
        layout: str,
        color: str = "RGB",
        to: str = "RGB",
        pixel_dtype: str = "uint8",
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        step = steps.FromPixels(layout=layout, color=color, to=to, pixel_dtype=pixel_dtype)
        super().__init__(step)
        selection = step.selection()
        plain = color == to
        if pixel_dtype == "uint16" and dtype == torch.float16:
            raise PreprocError(
                "expected a float dtype that holds 65535 for uint16 pixels, got float16, which ends at 65504", name="pixel-dtype"
            )
        self.takes = torch.uint16 if pixel_dtype == "uint16" else torch.uint8
        self.channels = step.channels() or -1
        self.channels_axis = 3 if layout == "NHWC" else 1
        self.order = (0, 3, 1, 2) if layout == "NHWC" else (0, 1, 2, 3)
        self.register_buffer("like", torch.empty(0, device=device, dtype=dtype), persistent=False)
        self.select = nn.Identity() if plain else Select(selection, device=device)

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        planes: Tensor = self.select(x.to(self.like.dtype).permute(self.order).contiguous())
        return planes

    def as_they_lie(self, x: Tensor) -> Tensor:
        """(N, C, H, W), integers in the pixels' own memory and colour order. A graph that is recorded begins with a cast, the one thing
        that TensorRT takes uint8 into."""
        self.check(x)
        if not is_scripting() and recorded():
            x = x.to(torch.int32)
        return x.permute(self.order)

    def check(self, x: Tensor) -> None:
        if not is_scripting():
            check_tensor(x)
        if x.dim() != 4:
            raise PreprocError(
                f"expected a batch of pictures with 4 dimensions, got {x.dim()}; one picture is x.unsqueeze(0)", name="not-a-batch"
            )
        if x.dtype != self.takes and not x.is_floating_point():
            raise PreprocError(
                "expected integer pixels of the dtype that pixel_dtype says (uint8 or uint16), got another integer dtype",
                name="pixel-dtype",
            )
        if x.is_floating_point():
            raise PreprocError(
                "expected integer pixels, got floats; a float picture is rescaled already, leave FromPixels out", name="pixel-dtype"
            )
        if not is_tracing() and self.channels >= 0 and x.shape[self.channels_axis] != self.channels:
            raise PreprocError(
                f"expected {self.channels} channels in axis {self.channels_axis}, got {x.shape[self.channels_axis]}",
                name="channel-mismatch",
            )


class Select(nn.Module):
    """Picks channels by index: x: (N, C, H, W) -> (N, len(index), H, W)."""

    index: Tensor

    def __init__(self, index: tuple[int, ...], *, device: Device = None) -> None:
        super().__init__()
        self.register_buffer("index", torch.tensor(index, device=device), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x.index_select(1, self.index)
