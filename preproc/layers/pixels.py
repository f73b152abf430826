"""Integer pixels to float (N, C, H, W)."""

from typing import no_type_check

import torch
from torch import Tensor, nn
from torch.jit import is_scripting, is_tracing  # type: ignore[attr-defined]

from .. import steps
from ..errors import PreprocError
from .base import Device, Layer, check_tensor
from .channels import Select
from .luma import Luma
from .sides import recorded
from .video import FromYuv


class FromPixels(Layer):
    """Integer pixels -> float (N, C, H, W) in grey levels, in the backbone's colour order.

    x: (N, H, W, C) or (N, C, H, W) as `layout` says, uint8 or uint16 as `pixel_dtype` says, grey levels; of Y, U and V uint8 as their
    colour lies in memory, (N, 3H/2, W) for the layout NHW, (N, H, W, 2) or (N, H, W, 3) for NHWC, see steps.YUV.
    y: (N, C', H, W), contiguous, of this layer's float dtype (`dtype=`, changed by .to() and .half() as for any module), grey levels.
    (Arithmetic per channel on a permuted view of NHWC pixels would be four times slower.)
    color, to: RGB, BGR, RGBA, BGRA, GRAY, or ANY for any channel count without reordering. Alpha is dropped, gray repeated.
    color also: NV12, NV21, I420, YV12 (4:2:0), YUYV, YVYU, UYVY, VYUY (4:2:2), YUV444 or YVU444, to RGB, BGR or GRAY, which is luma alone;
    of which `matrix` is bt601, bt709 or bt2020 and `range` limited or full (both must be said), `conversion` linear, which folds and leaves
    values outside of 0..255 where a picture has none of these colours, or rgb8, OpenCV's whole levels; chroma, siting: how pixels share U
    and V. In a Pipeline a Resize or a CenterCrop behind the linear form moves Y, U and V each by itself, before they are converted, see
    steps/planes.py.

    Raises PreprocError for floats, another rank, another channel count or a size that the colour does not have, and for colour orders that
    do not fit.
    """

    like: Tensor

    def __init__(
        self,
        *,
        layout: str,
        color: str = "RGB",
        to: str = "RGB",
        pixel_dtype: str = "uint8",
        matrix: str | None = None,
        range: str | None = None,  # noqa: A002 - FFmpeg's word, too
        conversion: str | None = None,
        chroma: str | None = None,
        siting: str | None = None,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        step = steps.FromPixels(
            layout=layout,
            color=color,
            to=to,
            pixel_dtype=pixel_dtype,
            matrix=matrix,
            range=range,
            conversion=conversion,
            chroma=chroma,
            siting=siting,
        )
        super().__init__(step)
        if pixel_dtype == "uint16" and dtype == torch.float16:
            raise PreprocError(
                "expected a float dtype that holds 65535 for uint16 pixels, got float16, which ends at 65504", name="pixel-dtype"
            )
        self.takes = torch.uint16 if pixel_dtype == "uint16" else torch.uint8
        self.rank = len(layout)
        self.register_buffer("like", torch.empty(0, device=device, dtype=dtype), persistent=False)
        self.read: nn.Module
        self.video, self.moves_planes = color in steps.YUV, step.moves_planes
        if self.video:
            self.told = f"a batch of {color} pixels, (N, {steps.YUV[color].told(layout)[1:]}"
            self.read = (Luma if step.of_luma else FromYuv)(step, device=device, dtype=dtype)
        else:
            self.read = _Channels(step, device=device)

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        planes: Tensor = self.read(x, self.like)
        return planes

    @no_type_check
    def as_they_lie(self, x: Tensor) -> Tensor:
        """(N, C, H, W), integers in the pixels' own memory and colour order. A graph that is recorded begins with a cast, the one thing
        that TensorRT takes uint8 into. Of colours with a channel for each pixel."""
        self.check(x)
        self.read.check(x)
        if not is_scripting() and recorded():
            x = x.to(torch.int32)
        return x.permute(self.read.order)

    def check(self, x: Tensor) -> None:
        if not is_scripting():
            check_tensor(x)
            if self.video and x.dim() > self.rank:
                raise PreprocError(f"expected {self.told}, got {list(x.shape)}", name="not-a-batch")
        if x.dim() != self.rank:
            raise PreprocError(
                f"expected a batch of pictures with {self.rank} dimensions, got {x.dim()}; one picture is x.unsqueeze(0)",
                name="not-a-batch",
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


class _Channels(nn.Module):
    """(N, H, W, C) or (N, C, H, W) integers -> (N, C', H, W) in the dtype of `like`."""

    def __init__(self, step: steps.FromPixels, *, device: Device) -> None:
        super().__init__()
        self.channels = step.channels() or -1
        self.channels_axis = 3 if step.layout == "NHWC" else 1
        self.order = (0, 3, 1, 2) if step.layout == "NHWC" else (0, 1, 2, 3)
        self.select = nn.Identity() if step.color == step.to else Select(step.selection(), device=device)

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        """Cast and moved at once: of each number what is read and written are its own bytes, and no picture lies in between. A graph that
        is recorded begins with the cast, see FromPixels.as_they_lie(); who compiles it makes one loop of both."""
        self.check(x)
        if is_scripting() or not recorded():
            moved = x.permute(self.order).to(like.dtype, memory_format=torch.contiguous_format)
        else:
            moved = x.to(like.dtype).permute(self.order).contiguous()
        planes: Tensor = self.select(moved)
        return planes

    def check(self, x: Tensor) -> None:
        if not is_tracing() and self.channels >= 0 and x.shape[self.channels_axis] != self.channels:
            raise PreprocError(
                f"expected {self.channels} channels in axis {self.channels_axis}, got {x.shape[self.channels_axis]}",
                name="channel-mismatch",
            )
