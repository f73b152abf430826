"""Resizes of any size, on any device.

Whole numbers are computed without a branch on them (no min, no if), so that a trace or an exported graph stays right for other sizes.
"""

import math

import torch
from torch import Tensor, nn
from torch.jit import is_scripting, is_tracing  # type: ignore[attr-defined]

from .. import steps
from .base import Device, Layer, check_image
from .passes import Passes
from .sampling import Floats, Linear, Nearest
from .sides import check_blocks, check_sides, least, over


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
        self.height, self.width = (0, 0) if isinstance(step.size, int) else step.size
        self.rounds, self.resample = step.rounds, _sampler(step)

    def forward(self, x: Tensor) -> Tensor:
        check_image(x)
        return self.resized(x, x.dtype)

    def resized(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """x: floats, or integers in any memory.  y: of that dtype."""
        height, width = self.sides(x)
        y: Tensor = self.resample(x, height, width)
        return y.to(dtype)

    def planes(self, luma: Tensor, chroma: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """Y (N, 1, H, W), and the U and V that blocks of so many rows and columns share: see steps.chroma_moves(). Levels in floats."""
        height, width = self.sides(luma)
        check_blocks("resize", height, width, rows, columns)
        small = self.resample(chroma, height // rows, width // columns)
        return self.resample(luma, height, width).to(luma.dtype), small.to(luma.dtype)

    def sides(self, x: Tensor) -> tuple[int, int]:
        """(height, width) that x is resized to."""
        height, width = self.height, self.width
        if self.shorter > 0:
            check_sides(x, 1, 1)
            short = least(x.shape[2], x.shape[3])
            height, width = self.shorter * x.shape[2] // short, self.shorter * x.shape[3] // short
            if self.most > 0:
                long = height + width - self.shorter
                less = least(self.shorter, self.most * self.shorter // long)
                tall = least(over(height - width), 1)
                long = least(long, self.most)
                height, width = less + (long - less) * tall, long - (long - less) * tall
        check_sides(x, height, width)
        return height, width


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
        self.rounds, self.resample = step.rounds, _sampler(step)

    def forward(self, x: Tensor) -> Tensor:
        check_image(x)
        return self.resized(x, x.dtype)

    def resized(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """As Resize's."""
        check_sides(x, 1, 1)
        height = 1 + over(least(self.height, _scaled(x.shape[2], self.width, x.shape[3])) - 1)
        width = 1 + over(least(self.width, _scaled(x.shape[3], self.height, x.shape[2])) - 1)
        y: Tensor = self.resample(x, height, width)
        top, left = (self.height - height) // 2, (self.width - width) // 2
        sides = [left, self.width - width - left, top, self.height - height - top]
        return nn.functional.pad(y.to(dtype), sides, value=self.fill)


def _sampler(step: steps.Resampling) -> nn.Module:
    if step.interpolation == "nearest":
        return Nearest()
    if not step.antialias:
        return Linear()
    return Passes(step.interpolation, from_13=step.pillow == 13, torch=step.torch) if step.rounds else Floats(step.interpolation)


def _scaled(side: int, most: int, other: int) -> int:
    """round(side * (most / other)) in float64, half to even."""
    if not is_scripting() and is_tracing():  # sizes are tensors there
        one = torch.ones((), dtype=torch.float64)
        return (one * side * (one * most / (one * other))).round().to(torch.int64)  # type: ignore[return-value]
    over = side * (most / other) + 0.5
    up = _whole(over)
    tie = 1 - least(_whole((over - up) * 2.0**50), 1)
    return up - tie * (up % 2)


def _whole(value: float) -> int:
    """Cut off: trunc, which a recorded graph has a word for."""
    if is_scripting():
        return int(value)
    return math.trunc(value)
