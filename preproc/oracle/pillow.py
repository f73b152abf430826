"""The oracle of geometry: Pillow's arithmetic on 8-bit pictures, torch's on tensors, and torchvision's crops around them, in NumPy.

Written from Pillow's src/libImaging/Resample.c and Geometry.c and torch's aten/src/ATen/native/cpu/UpSampleKernel*.h; the tests compare it
with both. Pictures are (N, C, H, W) int64; float64 behind a resize of floats.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..steps import CenterCrop, Letterbox, Pad, Resampling, Resize

Integers = NDArray[np.int64]
Levels = NDArray[Any]
BITS = 22
"""Of a weight: PRECISION_BITS."""
TORCH_WEIGHT = 1 << 15
"""What torch's weights stay below: 16 bits with a sign."""
OPENCV_BITS = 11
"""Of a weight of OpenCV's INTER_LINEAR: INTER_RESIZE_COEF_BITS."""


def resize(step: Resize, x: Levels) -> Levels:
    """torchvision.transforms.Resize, on a PIL image or a tensor."""
    return resample(step, x, step.output_size((x.shape[2], x.shape[3])))


def resample(step: Resampling, x: Levels, size: tuple[int, int]) -> Levels:
    """To (height, width) = size, by the step's interpolation."""
    height, width = size
    if step.interpolation == "nearest":
        return x[:, :, nearest(x.shape[2], height)[:, None], nearest(x.shape[3], width)]
    if step.antialias:
        for axis in (2, 3) if vertical_first((x.shape[2], x.shape[3]), size, step.pillow) else (3, 2):
            x = _pass(x, axis, size[axis - 2], step)
        return x
    across = _linear(x, 3, width)
    return np.asarray((_linear(across, 2, height) + (1 << 2 * OPENCV_BITS - 1)) >> 2 * OPENCV_BITS)


def vertical_first(size: tuple[int, int], new: tuple[int, int], pillow: int | None) -> bool:
    """Which pass comes first matters, for each one rounds. The vertical one if it removes more than twice as many rows as there are
    columns to remove: Pillow from 13.0 on (python-pillow #9549), where before the horizontal one always was the first."""
    return pillow == 13 and size[0] > new[0] and size[0] - new[0] > 2 * (size[1] - new[1])


def nearest(size: int, new: int) -> Integers:
    """The positions that Pillow's NEAREST reads: its ImagingScaleAffine adds the scale up, rounding errors included."""
    scale, at, found = size / new, size / new * 0.5, []
    for _ in range(new):
        found.append(min(int(at), size - 1))
        at += scale
    return np.array(found)


def weights(size: int, new: int, interpolation: str) -> list[tuple[int, NDArray[np.float64]]]:
    """For each new pixel the first old one that it reads, and the weights from there on, whose sum is 1: precompute_coeffs()."""
    kernels = {"box": (_box, 0.5), "bilinear": (_triangle, 1.0), "hamming": (_hamming, 1.0)}
    kernel, support = (kernels | {"bicubic": (_cubic, 2.0), "lanczos": (_lanczos, 3.0)})[interpolation]
    scale = size / new
    wide = max(scale, 1.0)
    found = []
    for position in range(new):
        center, reach = (position + 0.5) * scale, support * wide
        first, end = max(int(center - reach + 0.5), 0), min(int(center + reach + 0.5), size)
        floats = [kernel((x - center + 0.5) * (1.0 / wide)) for x in range(first, end)]
        total = sum(floats)
        found.append((first, np.array([value / total for value in floats])))
    return found


def torch_bits(parts: list[tuple[int, NDArray[np.float64]]]) -> int:
    """How many bits torch's weights of uint8 have behind the comma: as many as leave the largest of an axis within 16."""
    most, bits = max(float(part.max()) for _, part in parts), 0
    while bits < BITS and int(0.5 + most * (1 << bits + 1)) < TORCH_WEIGHT:
        bits += 1
    return bits


def _triangle(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _cubic(x: float, a: float = -0.5) -> float:
    x = abs(x)
    if x < 1.0:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2.0 else 0.0


def _sinc(x: float) -> float:
    return math.sin(x * math.pi) / (x * math.pi) if x else 1.0


def _lanczos(x: float) -> float:
    return _sinc(x) * _sinc(x / 3) if -3.0 <= x < 3.0 else 0.0


def _box(x: float) -> float:
    return float(-0.5 < x <= 0.5)


def _hamming(x: float) -> float:
    """With the constants of Pillow's source, which are floats of 32 bits."""
    return _sinc(x) * (float(np.float32(0.54)) + float(np.float32(0.46)) * math.cos(x * math.pi)) if abs(x) < 1.0 else 0.0


def _pass(x: Levels, axis: int, new: int, step: Resampling) -> Levels:
    """One axis, rounded half up to grey levels where the step rounds; not at all where nothing changes."""
    if x.shape[axis] == new:
        return x
    y = np.moveaxis(x, axis, -1)
    parts = weights(x.shape[axis], new, step.interpolation)
    if not step.rounds:
        return np.moveaxis(np.stack([y[..., first : first + len(part)] @ part for first, part in parts], axis=-1), -1, axis)
    bits = torch_bits(parts) if step.torch else BITS
    whole = [(first, np.trunc(part * (1 << bits) + np.where(part < 0, -0.5, 0.5)).astype(np.int64)) for first, part in parts]
    sums = [y[..., first : first + len(part)] @ part for first, part in whole]
    levels = np.clip((np.stack(sums, axis=-1) + (1 << bits - 1)) >> bits, 0, 255)
    return np.moveaxis(levels, -1, axis)


def _linear(x: Integers, axis: int, new: int) -> Integers:
    """One axis by two taps, half-pixel centres, the border repeated; in units of 2^-11."""
    size, y = x.shape[axis], np.moveaxis(x, axis, -1)
    at = (np.arange(new) + 0.5) * (size / new) - 0.5
    low = np.floor(at).astype(np.int64)
    share = np.floor((at - low) * (1 << OPENCV_BITS) + 0.5).astype(np.int64)
    left, right = (np.clip(low + further, 0, size - 1) for further in (0, 1))
    return np.moveaxis(y[..., left] * ((1 << OPENCV_BITS) - share) + y[..., right] * share, -1, axis)


def center_crop(step: CenterCrop, x: Levels) -> Levels:
    """torchvision.transforms.CenterCrop, or transformers' center_crop(): pads what is too small first."""
    height, width = step.size
    more_h, more_w = max(height - x.shape[2], 0), max(width - x.shape[3], 0)
    half: Callable[[float], int] = round if step.rounding == "half_even" else math.floor
    before: Callable[[float], int] = math.ceil if step.rounding == "floor" else math.floor
    top, left = before(more_h / 2), before(more_w / 2)
    x = np.pad(x, ((0, 0), (0, 0), (top, more_h - top), (left, more_w - left)), constant_values=step.fill)
    top, left = half((x.shape[2] - height) / 2), half((x.shape[3] - width) / 2)
    return x[:, :, top : top + height, left : left + width]


def pad(step: Pad, x: Levels) -> Levels:
    """torchvision.transforms.Pad, constant."""
    left, top, right, bottom = step.padding
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=step.fill)


def fitted(size: tuple[int, int], most: tuple[int, int]) -> tuple[int, int]:
    """The size of the whole picture inside `most`, one pixel at least: the ratio is a float, and so are its products."""
    ratio = min(most[0] / size[0], most[1] / size[1])
    return max(round(size[0] * ratio), 1), max(round(size[1] * ratio), 1)


def letterbox(step: Letterbox, x: Levels) -> Levels:
    """Ultralytics' LetterBox: its ratio, its roundings of the border."""
    height, width = step.size
    inner = resample(step, x, fitted((x.shape[2], x.shape[3]), step.size))
    down, across = (height - inner.shape[2]) / 2, (width - inner.shape[3]) / 2
    border = [(round(half - 0.1), round(half + 0.1)) for half in (down, across)]
    return np.pad(inner, ((0, 0), (0, 0), *border), constant_values=step.fill)


FORMULAS: dict[type[Any], Callable[[Any, Levels], Levels]] = {
    Resize: resize,
    CenterCrop: center_crop,
    Pad: pad,
    Letterbox: letterbox,
}
