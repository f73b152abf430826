"""Resizes, crops and pads with Pillow's own integer arithmetic, or torch's, for any size, on any device.

Whole numbers are computed without a branch on them (no min, no if), so that a trace or an exported graph stays right for other sizes.
"""

import math

import torch
from torch import Tensor, nn
from torch.jit import is_scripting, is_tracing  # type: ignore[attr-defined]

from .. import steps
from ..errors import PreprocError
from .base import Device, Layer, check_image, widened

BITS = 22
"""Of Pillow's weights: PRECISION_BITS in its Resample.c."""
TORCH_WEIGHT = 1 << 15
"""What torch's weights for uint8 stay below: 16 bits with a sign."""
OPENCV_BITS = 11
"""Of OpenCV's: INTER_RESIZE_COEF_BITS."""
SMALL = 8.0
"""Pictures whose largest value is below it are looked at: they are dark, or no grey levels."""


class Resize(Layer):
    """torchvision.transforms.Resize on a PIL image, to the bit; Pillow's 22-bit weights, and a rounding to grey levels between the passes.
    With `torch` on a tensor: of "uint8" to the bit as well, of "float32" in floats.

    x: (N, C, H, W) float, grey levels 0..255, whole numbers.  y: same dtype, of the new size.
    size: (height, width), or one number for the shorter side.  max_size: the most that the longer one may have.
    interpolation: "bilinear", "bicubic", "lanczos", "box", "hamming" or "nearest".  antialias: see steps.Resampling.
    form: of ONNX files; here it is always exact.
    pillow: 12 or 13, whose order of the passes; default: that of the Pillow which is installed.  torch: see steps.Resampling.
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
        torch: str | None = None,
        device: Device = None,  # noqa: ARG002 - no buffers, accepted as every layer accepts it
        dtype: torch.dtype | None = None,  # noqa: ARG002
    ) -> None:
        step = steps.Resize(
            size=size, interpolation=interpolation, max_size=max_size, antialias=antialias, form=form, pillow=pillow, torch=torch
        )
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
        y: Tensor = self.resample(x, height, width)
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
        torch: str | None = None,
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
            torch=torch,
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
        y: Tensor = self.resample(x, height, width)
        top, left = (self.height - height) // 2, (self.width - width) // 2
        sides = [left, self.width - width - left, top, self.height - height - top]
        return nn.functional.pad(y.to(x.dtype), sides, value=self.fill)


class CenterCrop(Layer):
    """torchvision.transforms.CenterCrop: the middle; where the picture is smaller, a border of `fill`.

    x: (N, C, H, W) float.  y: (N, C, *size).  rounding: of half a pixel, "half_even" (torchvision), "floor" or "trunc" (Hugging Face).
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
        self.less = int(rounding != "floor")

    def forward(self, x: Tensor) -> Tensor:
        check_image(x)
        _check_sides(x, 1, 1)
        rows, there = _middle(x.shape[2], self.height, self.even, self.less)
        columns, beside = _middle(x.shape[3], self.width, self.even, self.less)
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
    if not step.antialias:
        return _Linear()
    return _Passes(step.interpolation, from_13=step.pillow == 13, torch=step.torch) if step.rounds else _Floats(step.interpolation)


class _Passes(nn.Module):
    """Two passes that round. x: (N, C, H, W), grey levels -> (N, C, height, width) int32. from_13: with the order of the passes of Pillow
    13, else that of 12, which is torch's as well."""

    def __init__(self, interpolation: str, *, from_13: bool, torch: str | None) -> None:
        super().__init__()
        self.interpolation, self.from_13 = interpolation, from_13
        self.of_torch, self.bits, self.most = torch is not None, BITS, TORCH_WEIGHT

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = _levels(x)
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
        position, weight, unit = self.weights(x.shape[axis], new)
        position, weight = position.t().contiguous().to(x.device), weight.t().contiguous().to(x.device)
        y = x.movedim(axis, 0).contiguous()
        total = torch.zeros([new, y.shape[1], y.shape[2], y.shape[3]], dtype=torch.int32, device=x.device)
        for tap in range(position.shape[0]):
            total.addcmul_(y.index_select(0, position[tap]), weight[tap].reshape(-1, 1, 1, 1))
        return self.levels(total, unit).movedim(0, axis)

    def whole(self, x: Tensor, axis: int, new: int) -> Tensor:
        """One pass, all taps at once."""
        position, weight, unit = self.weights(x.shape[axis], new)
        y = x.movedim(axis, -1)
        read = y.index_select(-1, position.flatten().to(x.device)).unflatten(-1, (new, -1))
        total = (read * weight.to(x.device)).sum(-1, dtype=torch.int32)
        return self.levels(total, unit).movedim(-1, axis)

    def weights(self, size: int, new: int) -> tuple[Tensor, Tensor, Tensor]:
        """Positions, int32 weights, and what stands for 1 in them."""
        position, share = _shares(size, new, self.interpolation)
        unit = torch.full([1], 1 << self.bits, dtype=torch.int32)
        if self.of_torch:  # as many bits as leave the largest weight within 16
            powers = 2.0 ** torch.arange(1, self.bits + 1, dtype=torch.float64)
            unit = (2.0 ** ((share.max() * powers + 0.5).floor() < self.most).sum(0, keepdim=True)).to(torch.int32)
        scaled = share * unit
        return position, (scaled + torch.where(scaled < 0, -0.5, 0.5)).to(torch.int32), unit

    def levels(self, total: Tensor, unit: Tensor) -> Tensor:
        """Rounded half up."""
        if self.of_torch:
            unit = unit.to(total.device)
            return torch.div(total + torch.div(unit, 2, rounding_mode="floor"), unit, rounding_mode="floor").clamp(0, 255)
        return ((total + (1 << self.bits - 1)) >> self.bits).clamp(0, 255)


class _Floats(nn.Module):
    """Two passes that do not round. x: (N, C, H, W) -> (N, C, height, width), in at least float32."""

    def __init__(self, interpolation: str) -> None:
        super().__init__()
        self.interpolation = interpolation

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = widened(x)
        return self.one(self.one(x, 3, width), 2, height)

    def one(self, x: Tensor, axis: int, new: int) -> Tensor:
        """A product with a matrix that has the weights where they are read."""
        position, share = _shares(x.shape[axis], new, self.interpolation)
        inside = torch.zeros([new, x.shape[axis]], dtype=share.dtype).scatter_add(1, position, share)
        return (x.movedim(axis, -1) @ inside.t().to(x.device, x.dtype)).movedim(-1, axis)


class _Linear(nn.Module):
    """Two taps, one rounding, as OpenCV's INTER_LINEAR. x: (N, C, H, W), grey levels."""

    def __init__(self) -> None:
        super().__init__()
        self.bits = OPENCV_BITS

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        total = self.taps(self.taps(_levels(x), 3, width), 2, height)
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
    """Pillow's NEAREST. x: (N, C, H, W), grey levels."""

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = _levels(x)
        x = x.index_select(2, _nearest(x.shape[2], height).to(x.device))
        return x.index_select(3, _nearest(x.shape[3], width).to(x.device))


def _nearest(size: int, new: int) -> Tensor:
    """The positions that are read: the scale added up, rounding errors included, as Pillow's ImagingScaleAffine does."""
    one = torch.ones(1, dtype=torch.float64)
    scale = one * size / new
    start = (torch.arange(new) == 0).to(torch.float64) * 0.5
    at = ((1 - start) * scale).cumsum(0).to(torch.int64)
    return torch.minimum(at, (one * size - 1).to(torch.int64))


def _shares(size: int, new: int, interpolation: str) -> tuple[Tensor, Tensor]:
    """(new, taps) int64 positions and float64 weights, whose sum is 1, on the CPU, where the order of sums is known: Pillow's
    precompute_coeffs()."""
    halves = 6 if interpolation == "lanczos" else 4 if interpolation == "bicubic" else 1 if interpolation == "box" else 2
    whole = (halves + 1) // 2
    one = torch.ones(1, dtype=torch.float64)
    scale = one * size / new
    wide = torch.maximum(scale, one)
    center = (torch.arange(new, dtype=torch.float64) + 0.5) * scale
    first = (center - wide * (0.5 * halves) + 0.5).to(torch.int64).clamp(min=0)
    end = torch.minimum((center + wide * (0.5 * halves) + 0.5).to(torch.int64), (one * size).to(torch.int64))
    reach = (halves * size + 2 * new - 1) // (2 * new)
    taps = 2 * (whole + _over(reach - whole)) + 1  # max(reach, whole) to each side, so that torch 2.10 can bound it
    position = first.unsqueeze(1) + torch.arange(taps)
    kernel = _kernel((position - center.unsqueeze(1) + 0.5) * (1.0 / wide), interpolation)
    kernel = torch.where(position < end.unsqueeze(1), kernel, torch.zeros_like(kernel))
    return torch.minimum(position, (one * size - 1).to(torch.int64)), kernel / kernel.cumsum(1)[:, -1:]


def _kernel(x: Tensor, interpolation: str) -> Tensor:
    """The filters of Pillow's Resample.c, the constants of hamming as it has them: in floats of 32 bits."""
    if interpolation == "box":
        return ((x > -0.5) & (x <= 0.5)).to(x.dtype)
    x = x.abs()
    if interpolation == "bilinear":
        return (1 - x).clamp(min=0.0)
    if interpolation == "bicubic":
        near, far = (1.5 * x - 2.5) * x * x + 1, (((x - 5) * x + 8) * x - 4) * -0.5
        return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
    if interpolation == "hamming":
        return torch.where(x < 1, _sinc(x) * (0.5400000214576721 + 0.46000000834465027 * (x * math.pi).cos()), torch.zeros_like(x))
    return torch.where(x < 3, _sinc(x) * _sinc(x / 3), torch.zeros_like(x))


def _sinc(x: Tensor) -> Tensor:
    angle = torch.where(x == 0, torch.ones_like(x), x * math.pi)
    return torch.where(x == 0, torch.ones_like(x), angle.sin() / angle)


def _middle(size: int, new: int, even: int, less: int) -> tuple[Tensor, Tensor]:
    """(new,) positions in the middle of `size`, and which of them are inside. even: 1 to round the start half even; less: 1 for the smaller
    half of an odd border in front. Tensors, for torch.export can solve no such whole numbers."""
    one = torch.ones(1, dtype=torch.int64)
    more = one * size - new
    start = torch.where(more < 0, more + less, more + more // 2 % 2 * even) // 2
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
