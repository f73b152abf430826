"""Y, U and V to R, G and B, in float64 from the standards' formula, and in OpenCV's integers; and back."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..steps import COLORS, LUMA, RANGES, SHIFT, UNCONVERTED, WEIGHTS, YUV, FromPixels, phases, to_rgb, to_rgb_in_integers

Array = NDArray[np.float64]


class Said(Protocol):
    """What is said of pixels of Y, U and V, by a FromPixels or a PixelsSpec."""

    @property
    def layout(self) -> str: ...
    @property
    def color(self) -> str: ...
    @property
    def matrix(self) -> str | None: ...
    @property
    def range(self) -> str | None: ...


def from_yuv(step: FromPixels, x: NDArray[Any]) -> Array:
    """x: uint8 as the step's colour lies in memory, see steps.YUV.  Returns (N, 3, H, W), or (N, 1, H, W) of luma alone. Raises
    PreprocError for another shape."""
    return from_planes(step, planes(step, x))


def from_planes(step: FromPixels, found: list[Array]) -> Array:
    """Of what planes() gives."""
    y, u, v = found
    if step.to == LUMA:
        return y[:, None]
    if step.to == "GRAY":
        return 255 * _luma(step, y)[:, None]
    u, v = _spread(step, u), _spread(step, v)
    if step.to == UNCONVERTED:
        return np.stack([y, u, v], axis=1)
    rgb = dict(zip("RGB", (_in_integers if step.conversion == "rgb8" else _linear)(step, y, u, v), strict=True))
    return np.stack([rgb[name] for name in COLORS[step.to]], axis=1)


def planes(step: FromPixels, x: NDArray[Any]) -> list[Array]:
    """Y, (N, H, W), and U and V, as many as there are of them. Read byte by byte as a picture lies in memory."""
    known = YUV[step.color]
    height, width = known.size(step.layout, x.shape[1:])
    memory, found, at = np.ascontiguousarray(x).reshape(len(x), -1), dict[str, Array](), 0
    for letters in known.planes[step.layout]:
        rows, columns = (height, width // letters.count("Y")) if "Y" in letters else (height // known.block[0], width // known.block[1])
        values = memory[:, at : at + rows * columns * len(letters)].reshape(len(x), rows, columns, len(letters))
        at += rows * columns * len(letters)
        for letter in sorted(set(letters)):
            own = values[..., [place for place, other in enumerate(letters) if other == letter]]
            found[letter] = own.reshape(len(x), rows, -1).astype(np.float64)
    return [found[letter] for letter in "YUV"]


def _spread(step: FromPixels, plane: Array) -> Array:
    """One U or V for each pixel."""
    for axis, weights in enumerate(phases(YUV[step.color].block, step.chroma, step.siting), start=1):
        last = plane.shape[axis] - 1
        before, behind = (plane.take(np.clip(np.arange(last + 1) + by, 0, last), axis) for by in (-1, 1))
        each = [a * before + b * plane + c * behind for a, b, c in weights]
        shape = [size * len(weights) if at == axis else size for at, size in enumerate(plane.shape)]
        plane = np.stack(each, axis=axis + 1).reshape(shape)
    return plane


def _linear(step: FromPixels, y: Array, u: Array, v: Array) -> list[Array]:
    """y = Kr R + Kg G + Kb B, u = (B - y) / 2(1 - Kb), v = (R - y) / 2(1 - Kr), of R, G and B in 0..1 (BT.601, BT.709, BT.2020)."""
    red_part, blue_part = map(float, WEIGHTS[str(step.matrix)])
    levels = RANGES[str(step.range)][2]
    luma, u, v = _luma(step, y), (u - 128) / levels, (v - 128) / levels
    red, blue = luma + v * 2 * (1 - red_part), luma + u * 2 * (1 - blue_part)
    green = (luma - red_part * red - blue_part * blue) / (1 - red_part - blue_part)
    return [255 * red, 255 * green, 255 * blue]


def _luma(step: FromPixels, y: Array) -> Array:
    """0 of black and 1 of white."""
    black, white, _ = RANGES[str(step.range)]
    return (y - black) / white


def _in_integers(step: FromPixels, y: Array, u: Array, v: Array) -> list[Array]:
    """As steps.to_rgb_in_integers() says."""
    rows, zeros = to_rgb_in_integers(str(step.matrix), str(step.range))
    luma, blue, red = (plane.astype(np.int64) - zero for plane, zero in zip((y, u, v), zeros, strict=True))
    luma = np.maximum(luma, 0)
    sums = [a * luma + b * blue + c * red + (1 << (SHIFT - 1)) for a, b, c in rows]
    return [np.clip(each >> SHIFT, 0, 255).astype(np.float64) for each in sums]


def packed(rgb: NDArray[Any], pixels: Said) -> NDArray[np.uint8]:
    """Y, U and V of a picture (H, W, 3) of grey levels, as they lie in memory: U and V the means of the pixels that share them.

    Where nothing says what they stand for, they are bt601's in full range. Raises PreprocError for a size that the colour does not have.
    """
    known, (height, width) = YUV[pixels.color], rgb.shape[:2]
    shape = known.shape(pixels.layout, (height, width))
    affine = to_rgb(pixels.matrix or "bt601", pixels.range or "full")
    exact = np.linalg.solve(affine.matrix, (rgb.reshape(-1, 3) - affine.offset).T).reshape(3, height, width)
    rows, columns = known.block
    shared = exact[1:].reshape(2, height // rows, rows, width // columns, columns).mean(axis=(2, 4))
    levels = {name: np.clip(np.rint(plane), 0, 255).astype(np.uint8) for name, plane in zip("YUV", (exact[0], *shared), strict=True)}
    memory = []
    for letters in known.planes[pixels.layout]:
        own = {name: levels[name].reshape(levels[name].shape[0], -1, letters.count(name)) for name in letters}
        turns = {name: iter(np.moveaxis(values, 2, 0)) for name, values in own.items()}
        memory.append(np.stack([next(turns[name]) for name in letters], axis=-1).reshape(-1))
    return np.concatenate(memory).reshape(shape)
