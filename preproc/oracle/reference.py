"""The oracle: steps on NumPy arrays in float64, written from the formulas. Imports no layer and no graph builder."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import PreprocError
from ..steps import (
    COLORS,
    YUV,
    ChannelAffine,
    FromPixels,
    Geometry,
    LocalResponseNorm,
    MinMaxNormalize,
    MinMaxScale,
    Normalize,
    Resampling,
    Rescale,
    Standardize,
    Step,
)
from ..steps import chroma_moves as steps_of_chroma
from . import pillow, video

Array = NDArray[np.float64]
StepT = TypeVar("StepT", bound=Step)


def apply(steps: Sequence[Step], x: NDArray[Any]) -> Array:
    """Runs the steps one after another.

    x: integer pixels in the layout of a leading FromPixels, or (N, C, H, W) numbers.  Returns (N, C, H, W) float64.
    """
    if np.issubdtype(x.dtype, np.floating):
        x = x.astype(np.float64)  # NumPy would sum float32 in float32
    first, floats = steps[0] if steps else None, False
    if isinstance(first, FromPixels) and first.moves_planes:
        moves = [step for step in steps if isinstance(step, Geometry)]
        x, steps = _converted(first, moves, x), steps[1 + len(moves) :]
    for step in steps:
        x = _geometry(step, x, floats=floats) if isinstance(step, Geometry) else _FORMULAS[type(step)](step, x)
        floats = floats or (isinstance(step, Resampling) and not step.rounds)
    return np.asarray(x, dtype=np.float64)


def _from_pixels(step: FromPixels, x: NDArray[Any]) -> Array:
    if step.color in YUV:
        return video.from_yuv(step, x)
    channels_axis = {"NHWC": 3, "NCHW": 1}[step.layout]
    planes = np.moveaxis(x, channels_axis, 1).astype(np.float64)
    if step.color == step.to:
        return planes
    by_name = dict(zip(COLORS[step.color], np.moveaxis(planes, 1, 0), strict=True))
    return np.stack([by_name["Y"] if step.color == "GRAY" else by_name[name] for name in COLORS[step.to]], axis=1)


def _converted(first: FromPixels, moves: Sequence[Geometry], x: NDArray[Any]) -> Array:
    """Y, U and V, each moved as a picture of its own, and converted then."""
    y, u, v = video.planes(first, x)
    shared = steps_of_chroma(first, moves, (y.shape[1], y.shape[2]))
    moved = [apply(each, plane[:, None])[:, 0] for each, plane in ((moves, y), (shared, u), (shared, v))]
    return video.from_planes(first, moved)


def _geometry(step: Geometry, x: Array, *, floats: bool) -> Array:
    """In integers, but where a resize of floats comes first. Raises PreprocError for what are no grey levels."""
    if floats or (isinstance(step, Resampling) and not step.rounds):
        return np.asarray(pillow.FORMULAS[type(step)](step, np.asarray(x, np.float64)), np.float64)
    levels = np.asarray(x).astype(np.int64)
    if (levels != x).any() or x.min(initial=0) < 0 or x.max(initial=0) > 255:
        raise PreprocError(f"{step.name}: expected grey levels, whole numbers of 0..255, got others", name="grey-levels-needed")
    return pillow.FORMULAS[type(step)](step, levels).astype(np.float64)


def _rescale(step: Rescale, x: Array) -> Array:
    return x * step.scale + step.offset


def _normalize(step: Normalize, x: Array) -> Array:
    if x.shape[1] != len(step.mean):
        raise PreprocError(f"normalize: expected {len(step.mean)} channels, got {x.shape[1]}", name="channel-mismatch")
    return np.stack([(x[:, c] - step.mean[c]) / step.std[c] for c in range(len(step.mean))], axis=1)


def _min_max_scale(step: MinMaxScale, x: Array) -> Array:
    low, high = (np.array(values)[None, :, None, None] for values in (step.low, step.high))
    y: Array = (x - low) / (high - low) * (step.out[1] - step.out[0]) + step.out[0]
    return np.clip(y, *step.out) if step.clip else y


def _pictures(x: Array, per: str) -> list[tuple[Any, Array]]:
    """Every part of a batch that has statistics of its own, with its place."""
    places = [(n,) for n in range(len(x))] if per == "image" else list(np.ndindex(*x.shape[:2]))
    return [(place, x[place]) for place in places]


def _min_max_normalize(step: MinMaxNormalize, x: Array) -> Array:
    y = np.empty_like(x)
    for place, part in _pictures(x, step.per):
        width = part.max() - part.min()
        y[place] = (part - part.min()) / (width if width > 0 else 1.0) * (step.out[1] - step.out[0]) + step.out[0]
    return y


def _standardize(step: Standardize, x: Array) -> Array:
    y = np.empty_like(x)
    for place, part in _pictures(x, step.per):
        deviation = part - part.mean()
        std = np.sqrt((deviation**2).sum() / max(part.size - step.correction, 1))
        y[place] = deviation / max(std, 1 / np.sqrt(part.size) if step.min_std is None else step.min_std)
    return y


def _channel_affine(step: ChannelAffine, x: Array) -> Array:
    mixed: Array = np.einsum("oc,nchw->nohw", np.array(step.matrix), x) + np.array(step.offset)[None, :, None, None]
    return mixed


def _local_response_norm(step: LocalResponseNorm, x: Array) -> Array:
    squares, size, channels = x * x, step.size, x.shape[1]
    if step.region == "channels":
        window = [slice(max(0, c - size // 2), c + (size - 1) // 2 + 1) for c in range(channels)]
        total = np.stack([squares[:, part].sum(axis=1) for part in window], axis=1)
        return np.asarray(x / (step.k + step.alpha / size * total) ** step.beta)
    half = size // 2
    padded = np.pad(squares, ((0, 0), (0, 0), (half, half), (half, half)))
    total = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3)).sum(axis=(4, 5))
    return np.asarray(x / (step.k + step.alpha / size**2 * total) ** step.beta)


_FORMULAS: dict[type[Step], Callable[[Any, Any], Array]] = {
    FromPixels: _from_pixels,
    Rescale: _rescale,
    Normalize: _normalize,
    MinMaxScale: _min_max_scale,
    MinMaxNormalize: _min_max_normalize,
    Standardize: _standardize,
    ChannelAffine: _channel_affine,
    LocalResponseNorm: _local_response_norm,
}
