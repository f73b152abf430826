"""R, G and B of 8 bits as FFmpeg's libswscale makes them of Y, U and V where nothing more is asked of it: PyAV, torchcodec, ffmpeg."""

import functools
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...oracle import reference
from ...steps import COLORS, RANGES, UNCONVERTED, YUV, FromPixels, to_rgb
from .mistake import Array

Numbers = NDArray[np.int64]
_FULL, _LIMITED, _TOP = 384, 326, 384
"""Where black lies in its table of luma, in full and in limited range, and what is subtracted from its levels (libswscale/yuv2rgb.c)."""
_PRODUCTS, _TABLES, _DOWN = (
    "converted by libswscale's products of 16 bits, chroma replicated (PyAV, torchcodec of yuv420p)",
    "converted by libswscale's tables, chroma replicated",
    "converted by libswscale's tables, chroma interpolated down (PyAV of nv12)",
)


def by_libswscale(step: FromPixels) -> dict[str, Callable[[NDArray[Any]], Array]]:
    """What makes (N, 3, H, W) whole levels of pixels that are read as the step says, by how: its chroma aside, which libswscale has its own
    of. {} of luma, which it does not convert."""
    if step.of_luma or step.matrix is None:
        return {}
    ways = {_PRODUCTS: _products, _TABLES: _in_tables}
    if YUV[step.color].block[0] > 1:
        ways[_DOWN] = lambda step, y, u, v: _in_tables(step, y, *(_interpolated(plane) for plane in (u, v)))

    def made(way: Callable[..., list[Numbers]], pixels: NDArray[Any]) -> Array:
        shared = None if step.chroma is None else "replicate"
        plain = replace(step, to=UNCONVERTED, matrix=None, range=None, conversion=None, chroma=shared, siting=None)
        planes = np.moveaxis(reference.apply([plain], pixels), 1, 0).astype(np.int64)
        found = np.clip(np.stack(way(step, *planes), axis=1), 0, 255).astype(np.float64)
        return found[:, ["RGB".index(channel) for channel in COLORS[step.to]]]

    return {name: functools.partial(made, way) for name, way in ways.items()}


def _products(step: FromPixels, y: Numbers, u: Numbers, v: Numbers) -> list[Numbers]:
    """libswscale/x86/yuv_2_rgb.asm: constants of 13 bits, samples of 3 bits behind the point, and the upper half of each product."""
    rows = np.rint(to_rgb(str(step.matrix), str(step.range)).matrix * 2**13).astype(np.int64)
    samples = [8 * (plane - zero) for plane, zero in zip((y, u, v), (RANGES[str(step.range)][0], 128, 128), strict=True)]
    return [sum(constant * sample >> 16 for constant, sample in zip(row, samples, strict=True)) for row in rows]


def _in_tables(step: FromPixels, y: Numbers, u: Numbers, v: Numbers) -> list[Numbers]:
    """ff_yuv2rgb_c_init_tables() of libswscale/yuv2rgb.c: U and V each move the place in the table of luma by a whole number."""
    full = step.range == "full"
    (_, _, red), (_, green_u, green_v), (_, blue, _) = np.rint(to_rgb(str(step.matrix), "limited").matrix * 2**16).astype(int).tolist()
    white = 2**16 if full else 2**16 * 255 // 219

    def moved(plane: Numbers, constant: int) -> Numbers:
        scaled = int(Fraction(constant * 224, 255)) if full else constant
        by = int(Fraction(scaled * 2**16 + 2**15, white))
        return (plane * by >> 16) - (by >> 9)

    def levels(place: Numbers) -> Numbers:
        black = 0 if full else RANGES["limited"][0]
        return np.asarray((place + (_FULL if full else _LIMITED)) * white - (_TOP + black) * 2**16 + 2**15 >> 16)

    return [levels(y + moved(v, red)), levels(y + moved(u, green_u) + moved(v, green_v)), levels(y + moved(u, blue))]


def _interpolated(plane: Numbers) -> Numbers:
    """Down, (N, H, W) with two rows of each: in the middle of a block is what it has, and rounded in between."""
    own = plane[:, ::2]
    before, behind = (own[:, np.clip(np.arange(own.shape[1]) + by, 0, own.shape[1] - 1)] for by in (-1, 1))
    return np.stack([before + 3 * own + 2 >> 2, 3 * own + behind + 2 >> 2], axis=2).reshape(plane.shape)
