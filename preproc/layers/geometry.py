"""Resizes, crops and pads with Pillow's own integer arithmetic, for any size, on any device.

Whole numbers are computed without a branch on them (no min, no if), so that a trace or an exported graph stays right for other sizes.
"""

import math

import torch
from torch import Tensor, nn
from torch.jit import is_scripting, is_tracing  # type: ignore[attr-defined]

from .. import steps
from ..errors import PreprocError
from ._common import Device, Layer, check_image

BITS = 22
"""Of Pillow's weights: PRECISION_BITS in its Resample.c."""
OPENCV_BITS = 11
"""Of OpenCV's: INTER_RESIZE_COEF_BITS."""
SMALL = 8.0
"""Pictures whose largest value is below it are looked at: they are dark, or no grey levels."""


class Resize(Layer):
    """torchvision.transforms.Resize on a PIL image, to the bit; Pillow's 22-bit weights, and a rounding to grey levels between the passes.

    x: (N, C, H, W) float, grey levels 0..255, whole numbers.  y: same dtype, of the new size.
    size: (height, width), or one number for the shorter side.  max_size: the most that the longer one may have.
    interpolation: "bilinear", "bicubic" or "nearest".  antialias: see steps.Resampling.  form: of ONNX files; here it is always exact.
    pillow: 12 or 13, whose order of the passes; default: that of the Pillow which is installed.
    No gradient passes through it. Raises PreprocError for sizes that are none, pictures without pixels,
    and (but in scripts and recorded graphs) values in 0..1 or normalized ones. What is behind the comma of larger ones is cut off.
    """

    def __init__(
        self,
        *,
        size: int | tuple[int, int],
        interpolation: str = "bilinear",
        max_size: int | None = None,
        antialias: bool = True,
        form: str = "fast",
        pillow: int | None = None,
        device: Device = None,  # noqa: ARG002 - no buffers, accepted as every layer accepts it
        dtype: torch.dtype | None = None,  # noqa: ARG002
    ) -> None:
        step = steps.Resize(size=size, interpolation=interpolation, max_size=max_size, antialias=antialias, form=form, pillow=pillow)
        super().__init__(step)
        self.shorter = step.size if isinstance(step.size, int) else 0
        self.most = step.max_size or 0
        self.height, self.width = step.fixed_size() or (0, 0)
        self.resample = _sampler(step)

    def forward(self, x: Tensor) -> Tensor:
        check_image(x)
        height, width = self.height, self.width
        if self.shorter > 0:
            _check_sides(x, 1, 1)
            short = _least(x.shape[2], x.shape[3])
            height, width = self.shorter * x.shape[2] // short, self.shorter * x.shape[3] // short
            if self.most > 0:
                long = height + width - self.shorter
                less = _least(self.shorter, self.most * self.shorter // long)
                tall = _least(_over(height - width), 1)
                long = _least(long, self.most)
                height, width = less + (long - less) * tall, long - (long - less) * tall
        _check_sides(x, height, width)
        y: Tensor = self.resample(_levels(x), height, width)
        return y.to(x.dtype)


class Letterbox(Layer):
    """The whole picture, as large as it fits, in the middle of `fill`: Ultralytics' LetterBox(auto=False), YOLO's convention.

    x: (N, C, H, W) float, grey levels.  y: (N, C, *size), same dtype.  Interpolation as Resize's, by default OpenCV's INTER_LINEAR.
    The sides are rounded as Ultralytics rounds them, in float64. torch.onnx.export writes what is done to free sizes in float32: a side
    that ends in a half may be rounded to the other number there, which it is not in preproc's own ONNX files.
    """

    def __init__(
        self,
        *,
        size: int | tuple[int, int],
        fill: int = 114,
        interpolation: str = "bilinear",
        antialias: bool = False,
        form: str = "fast",
        pillow: int | None = None,
        device: Device = None,  # noqa: ARG002
        dtype: torch.dtype | None = None,  # noqa: ARG002
    ) -> None:
        step = steps.Letterbox(
            size=size,  # type: ignore[arg-type]
            fill=fill,
            interpolation=interpolation,
            antialias=antialias,
            form=form,
            pillow=pillow,
        )
        super().__init__(step)
        self.height, self.width = step.size
        self.fill = float(step.fill)
        self.resample = _sampler(step)

    def forward(self, x: Tensor) -> Tensor:
        check_image(x)
        _check_sides(x, 1, 1)
        height = 1 + _over(_least(self.height, _scaled(x.shape[2], self.width, x.shape[3])) - 1)
        width = 1 + _over(_least(self.width, _scaled(x.shape[3], self.height, x.shape[2])) - 1)
        y: Tensor = self.resample(_levels(x), height, width)
        top, left = (self.height - height) // 2, (self.width - width) // 2
        sides = [left, self.width - width - left, top, self.height - height - top]
        return nn.functional.pad(y.to(x.dtype), sides, value=self.fill)


class CenterCrop(Layer):
    """torchvision.transforms.CenterCrop: the middle; where the picture is smaller, a border of `fill`.

    x: (N, C, H, W) float.  y: (N, C, *size).  rounding: of half a pixel, "half_even" (torchvision) or "floor" (Hugging Face).
    """

    def __init__(
        self,
        *,
        size: int | tuple[int, int],
        fill: int = 0,
        rounding: str = "half_even",
        device: Device = None,  # noqa: ARG002
        dtype: torch.dtype | None = None,  # noqa: ARG002
    ) -> None:
        step = steps.CenterCrop(size=size, fill=fill, rounding=rounding)  # type: ignore[arg-type]
        super().__init__(step)
        self.height, self.width = step.size
        self.fill = float(step.fill)
        self.even = int(rounding == "half_even")

    def forward(self, x: Tensor) -> Tensor:
        check_image(x)
        _check_sides(x, 1, 1)
        rows, there = _middle(x.shape[2], self.height, self.even)
        columns, beside = _middle(x.shape[3], self.width, self.even)
        inside = (there.unsqueeze(1) & beside).to(x.device)
        y = x.index_select(2, rows.to(x.device)).index_select(3, columns.to(x.device))
        return torch.where(inside, y, torch.full_like(y[:1, :1, :1, :1], self.fill))


class Pad(Layer):
    """torchvision.transforms.Pad with a constant. padding: left, top, right, bottom (or one number, or two).  fill: the grey level.

    x: (N, C, H, W) float.  y: (N, C, top + H + bottom, left + W + right).
    """

    def __init__(
        self,
        *,
        padding: int | tuple[int, ...],
        fill: int = 0,
        device: Device = None,  # noqa: ARG002
        dtype: torch.dtype | None = None,  # noqa: ARG002
    ) -> None:
        step = steps.Pad(padding=padding, fill=fill)  # type: ignore[arg-type]
        super().__init__(step)
        left, top, right, bottom = step.padding
        self.sides = [left, right, top, bottom]
        self.fill = float(step.fill)

    def forward(self, x: Tensor) -> Tensor:
        check_image(x)
        return nn.functional.pad(x, self.sides, value=self.fill)


def _sampler(step: steps.Resampling) -> nn.Module:
    if step.interpolation == "nearest":
        return _Nearest()
    return _Pillow(cubic=step.interpolation == "bicubic", from_13=step.pillow == 13) if step.antialias else _Linear()


class _Pillow(nn.Module):
    """x: (N, C, H, W) int32, grey levels -> (N, C, height, width). from_13: with the order of the passes of Pillow 13, else that of 12."""

    def __init__(self, *, cubic: bool, from_13: bool) -> None:
        super().__init__()
        self.cubic, self.from_13, self.bits = cubic, from_13, BITS

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        if is_scripting() or not _recorded():  # the same numbers, with less memory; its number of rounds depends on the size
            first, last = (2, 3) if self.from_13 and _vertical_first(x.shape[2], x.shape[3], height, width) else (3, 2)
            x = self.taps(x, first, height if first == 2 else width)
            return self.taps(x, last, height if last == 2 else width)
        across_first = self.whole(self.whole(x, 3, width), 2, height)
        if not self.from_13:
            return across_first
        one = torch.ones(1, dtype=torch.int64)
        removed = one * x.shape[2] - one * height
        vertical = (removed > 0) & (removed > 2 * (one * x.shape[3] - one * width))
        return torch.where(vertical.to(x.device), self.whole(self.whole(x, 2, height), 3, width), across_first)

    def taps(self, x: Tensor, axis: int, new: int) -> Tensor:
        """One pass, a tap at a time."""
        if x.shape[axis] == new:
            return x
        position, weight = _weights(x.shape[axis], new, self.cubic)
        position, weight = position.t().contiguous().to(x.device), weight.t().contiguous().to(x.device)
        y = x.movedim(axis, 0).contiguous()
        total = torch.full([new, y.shape[1], y.shape[2], y.shape[3]], 1 << self.bits - 1, dtype=torch.int32, device=x.device)
        for tap in range(position.shape[0]):
            total.addcmul_(y.index_select(0, position[tap]), weight[tap].reshape(-1, 1, 1, 1))
        return (total >> self.bits).clamp_(0, 255).movedim(0, axis)

    def whole(self, x: Tensor, axis: int, new: int) -> Tensor:
        """One pass, all taps at once."""
        position, weight = _weights(x.shape[axis], new, self.cubic)
        y = x.movedim(axis, -1)
        read = y.index_select(-1, position.flatten().to(x.device)).unflatten(-1, (new, -1))
        total = (read * weight.to(x.device)).sum(-1, dtype=torch.int32)
        levels: Tensor = ((total + (1 << self.bits - 1)) >> self.bits).clamp(0, 255)
        return levels.movedim(-1, axis)


class _Linear(nn.Module):
    """Two taps, one rounding, as OpenCV's INTER_LINEAR. x: (N, C, H, W) int32."""

    def __init__(self) -> None:
        super().__init__()
        self.bits = OPENCV_BITS

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        total = self.taps(self.taps(x, 3, width), 2, height)
        return (total + (1 << 2 * self.bits - 1)) >> 2 * self.bits

    def taps(self, x: Tensor, axis: int, new: int) -> Tensor:
        one = torch.ones(1, dtype=torch.float64)
        at = (torch.arange(new, dtype=torch.float64) + 0.5) * (one * x.shape[axis] / new) - 0.5
        low = at.floor()
        share = ((at - low) * (1 << self.bits) + 0.5).floor().to(torch.int32).to(x.device)
        last = (one * x.shape[axis] - 1).to(torch.int64)
        left = torch.minimum(low.to(torch.int64).clamp(min=0), last).to(x.device)
        right = torch.minimum((low.to(torch.int64) + 1).clamp(min=0), last).to(x.device)
        y = x.movedim(axis, -1)
        total = y.index_select(-1, left) * ((1 << self.bits) - share) + y.index_select(-1, right) * share
        return total.movedim(-1, axis)


class _Nearest(nn.Module):
    """Pillow's NEAREST. x: (N, C, H, W) int32."""

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = x.index_select(2, _nearest(x.shape[2], height).to(x.device))
        return x.index_select(3, _nearest(x.shape[3], width).to(x.device))


def _nearest(size: int, new: int) -> Tensor:
    """The positions that are read: the scale added up, rounding errors included, as Pillow's ImagingScaleAffine does."""
    one = torch.ones(1, dtype=torch.float64)
    scale = one * size / new
    start = (torch.arange(new) == 0).to(torch.float64) * 0.5
    at = ((1 - start) * scale).cumsum(0).to(torch.int64)
    return torch.minimum(at, (one * size - 1).to(torch.int64))


def _weights(size: int, new: int, cubic: bool, bits: int = BITS) -> tuple[Tensor, Tensor]:
    """(new, taps) int64 positions and int32 weights, on the CPU, where the order of sums is known: Pillow's precompute_coeffs()."""
    support = 2 if cubic else 1
    one = torch.ones(1, dtype=torch.float64)
    scale = one * size / new
    wide = torch.maximum(scale, one)
    center = (torch.arange(new, dtype=torch.float64) + 0.5) * scale
    first = (center - wide * support + 0.5).to(torch.int64).clamp(min=0)
    end = torch.minimum((center + wide * support + 0.5).to(torch.int64), (one * size).to(torch.int64))
    reach = (support * size + new - 1) // new
    taps = 2 * (support + _over(reach - support)) + 1  # max(reach, support) to each side, so that torch 2.10 can bound it
    position = first.unsqueeze(1) + torch.arange(taps)
    x = ((position - center.unsqueeze(1) + 0.5) * (1.0 / wide)).abs()
    if cubic:
        near, far = (1.5 * x - 2.5) * x * x + 1, (((x - 5) * x + 8) * x - 4) * -0.5
        kernel = torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
    else:
        kernel = (1 - x).clamp(min=0.0)
    kernel = torch.where(position < end.unsqueeze(1), kernel, torch.zeros_like(kernel))
    scaled = kernel / kernel.cumsum(1)[:, -1:] * (1 << bits)
    weight = (scaled + torch.where(scaled < 0, -0.5, 0.5)).to(torch.int32)
    return torch.minimum(position, (one * size - 1).to(torch.int64)), weight


def _middle(size: int, new: int, even: int) -> tuple[Tensor, Tensor]:
    """(new,) positions in the middle of `size`, and which of them are inside. Tensors, for torch.export can solve no such whole numbers."""
    one = torch.ones(1, dtype=torch.int64)
    more = one * size - new
    start = torch.where(more < 0, more + even, more + more // 2 % 2 * even) // 2
    position = torch.arange(new) + start
    last = one * size - 1
    return torch.minimum(position.clamp(min=0), last), (position >= 0) & (position <= last)


def _levels(x: Tensor) -> Tensor:
    """Whole numbers. Values in 0..1, or normalized ones, would all become 0: where nothing is recorded or scripted, they are refused."""
    levels = x.to(torch.int32)
    if is_scripting() or _recorded() or x.numel() == 0:
        return levels
    if float(x.amax()) < SMALL and not torch.equal(levels.to(x.dtype), x):
        raise PreprocError("expected grey levels, whole numbers of 0..255, got others; put the resize in front of what rescales")
    return levels


def _check_sides(x: Tensor, height: int, width: int) -> None:
    """Where sizes are numbers. A recorded graph has what follows from the sizes that it meets."""
    if is_scripting() or not _recorded():
        if x.shape[2] == 0 or x.shape[3] == 0:
            raise PreprocError(f"expected pictures with pixels, got {x.shape[2]}x{x.shape[3]}")
        if height == 0 or width == 0:
            raise PreprocError(f"expected pictures of a ratio that leaves pixels, got {x.shape[2]}x{x.shape[3]} for {height}x{width}")


def _recorded() -> bool:
    """Whether this runs once, to be recorded for other sizes."""
    return bool(is_tracing() or torch.compiler.is_compiling())


def _vertical_first(height: int, width: int, new_height: int, new_width: int) -> bool:
    """Whether Pillow begins with the rows, from 13.0 on."""
    return height > new_height and height - new_height > 2 * (width - new_width)


def _least(a: int, b: int) -> int:
    return (a + b - abs(a - b)) // 2


def _over(a: int) -> int:
    """max(a, 0)"""
    return (a + abs(a)) // 2


def _scaled(side: int, most: int, other: int) -> int:
    """round(side * (most / other)) in float64, half to even."""
    if not is_scripting() and is_tracing():  # sizes are tensors there
        one = torch.ones((), dtype=torch.float64)
        return (one * side * (one * most / (one * other))).round().to(torch.int64)  # type: ignore[return-value]
    over = side * (most / other) + 0.5
    up = _whole(over)
    tie = 1 - _least(_whole((over - up) * 2.0**50), 1)
    return up - tie * (up % 2)


def _whole(value: float) -> int:
    """Cut off: trunc, which a recorded graph has a word for."""
    if is_scripting():
        return int(value)
    return math.trunc(value)
