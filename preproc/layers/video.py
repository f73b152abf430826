"""Y, U and V as cameras and video decoders give them, to floats (N, 3, H, W)."""

import torch
from torch import Tensor, nn
from torch.jit import is_tracing  # type: ignore[attr-defined]

from .. import steps
from ..errors import PreprocError
from .base import Device
from .channels import Mix


class FromYuv(nn.Module):
    """x: uint8 as the step's colour lies in memory.  y: (N, 3, H, W) in the dtype of `like`, as the step says."""

    def __init__(self, step: steps.FromPixels, *, device: Device, dtype: torch.dtype | None) -> None:
        super().__init__()
        planes = steps.YUV[step.color].planes[step.layout]
        self.rows, self.columns = steps.YUV[step.color].block
        order = "".join(planes).replace("Y", "")
        self.u, self.v = order.index("U"), order.index("V")
        self.split: nn.Module
        if step.layout == "NHW":
            self.split = _Below(in_turns=len(planes) == 2)
        elif len(planes[0]) == 4:
            self.split = _Packed(planes[0].index("Y"))
        else:
            self.split = _Apart(3 if step.layout == "NHWC" else 1)
        self.spread = nn.Sequential()
        for axis, weights in enumerate(steps.phases(steps.YUV[step.color].block, step.chroma, step.siting), start=2):
            if len(set(weights)) > 1:
                self.spread.append(_Between(axis, weights))
            elif len(weights) > 1:
                self.spread.append(_Repeat(axis, len(weights)))
        self.in_integers = step.conversion == "rgb8"
        self.convert: nn.Module = nn.Identity()
        if step.conversion == "rgb8":
            rows, zeros = steps.to_rgb_in_integers(str(step.matrix), str(step.range))
            self.convert = _InIntegers([rows["RGB".index(channel)] for channel in step.to], zeros, device=device)
        elif step.conversion == "linear":
            affine = step.affine(3)
            assert affine is not None
            self.convert = Mix(affine.matrix, affine.offset, device=device, dtype=dtype)

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        luma, chroma = self.apart(x, like)
        return self.together(luma, chroma, like)

    def apart(self, x: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 1, H, W) of Y, and (N, 2, h, w) of U and V as they lie."""
        luma, chroma = self.split(x if self.in_integers else x.to(like.dtype))
        return luma, chroma

    def together(self, luma: Tensor, chroma: Tensor, like: Tensor) -> Tensor:
        chroma = self.spread(chroma)
        planes = torch.cat([luma, chroma[:, self.u : self.u + 1], chroma[:, self.v : self.v + 1]], dim=1)
        y: Tensor = self.convert(planes)
        return y.to(like.dtype)


class _Below(nn.Module):
    """(N, 3h, 2w) -> (N, 1, 2h, 2w), and U and V, or V and U, as they lie, (N, 2, h, w)."""

    def __init__(self, *, in_turns: bool) -> None:
        super().__init__()
        self.in_turns = in_turns

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if not is_tracing() and (x.shape[1] % 3 != 0 or x.shape[2] % 2 != 0):
            raise PreprocError(
                f"expected (N, 3H/2, W) of an even height H and width W, the chroma below the luma, got {list(x.shape)}",
                name="shape-mismatch",
            )
        thirds = x.unflatten(1, [3, -1])
        luma, below = thirds[:, :2].flatten(1, 2).unsqueeze(1), thirds[:, 2]
        if self.in_turns:
            return luma, _pairs(below)
        return luma, below.flatten(1).unflatten(1, [2, below.shape[1], -1])


class _Packed(nn.Module):
    """(N, H, 2w, 2) -> (N, 1, H, 2w) and (N, 2, H, w)."""

    def __init__(self, luma: int) -> None:
        super().__init__()
        self.luma, self.chroma = luma, 1 - luma

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if not is_tracing() and (x.shape[3] != 2 or x.shape[2] % 2 != 0):
            raise PreprocError(f"expected (N, H, W, 2) of an even width W, got {list(x.shape)}", name="shape-mismatch")
        return x[:, :, :, self.luma].unsqueeze(1), _pairs(x[:, :, :, self.chroma])


class _Apart(nn.Module):
    """(N, 3, H, W) or (N, H, W, 3) -> (N, 1, H, W) and (N, 2, H, W)."""

    def __init__(self, channels_axis: int) -> None:
        super().__init__()
        self.channels_axis = channels_axis

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if not is_tracing() and x.shape[self.channels_axis] != 3:
            raise PreprocError(f"expected Y, U and V, 3 channels in axis {self.channels_axis}, got {list(x.shape)}", name="shape-mismatch")
        planes = x.movedim(self.channels_axis, 1)
        return planes[:, :1], planes[:, 1:]


def _pairs(x: Tensor) -> Tensor:
    """(N, h, 2w), in turns -> (N, 2, h, w)."""
    pairs: Tensor = x.unflatten(2, [-1, 2])
    return pairs.permute(0, 3, 1, 2)


class _Repeat(nn.Module):
    """Each value `count` times along an axis."""

    def __init__(self, axis: int, count: int) -> None:
        super().__init__()
        self.axis, self.count = axis, count

    def forward(self, x: Tensor) -> Tensor:
        return x.repeat_interleave(self.count, self.axis)


class _Between(nn.Module):
    """steps.phases() along an axis of floats."""

    def __init__(self, axis: int, weights: tuple[tuple[float, ...], ...]) -> None:
        super().__init__()
        self.axis, self.weights = axis, [list(each) for each in weights]

    def forward(self, x: Tensor) -> Tensor:
        last = x.shape[self.axis] - 1
        before = torch.cat([x.narrow(self.axis, 0, 1), x.narrow(self.axis, 0, last)], dim=self.axis)
        behind = torch.cat([x.narrow(self.axis, 1, last), x.narrow(self.axis, last, 1)], dim=self.axis)
        each = [before * a + x * b + behind * c for a, b, c in self.weights]
        return torch.stack(each, dim=self.axis + 1).flatten(self.axis, self.axis + 1)


class _InIntegers(nn.Module):
    """steps.to_rgb_in_integers(): (N, 3, H, W) uint8 -> (N, 3, H, W) int32 of 0..255."""

    columns: Tensor
    zeros: Tensor

    def __init__(self, rows: list[tuple[int, int, int]], zeros: tuple[int, int, int], *, device: Device) -> None:
        super().__init__()
        columns = torch.tensor(rows, dtype=torch.int32, device=device).T.reshape(3, 1, 3, 1, 1)
        self.register_buffer("columns", columns, persistent=False)
        self.register_buffer("zeros", torch.tensor(zeros, dtype=torch.int32, device=device), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y = x.to(torch.int32)
        luma, u, v = (y[:, 0:1] - self.zeros[0]).clamp(min=0), y[:, 1:2] - self.zeros[1], y[:, 2:3] - self.zeros[2]
        sums = luma * self.columns[0] + u * self.columns[1] + v * self.columns[2] + (1 << 19)
        return (sums.clamp(min=0) >> 20).clamp(max=255)
