"""Y, U and V of pictures and back, in float64 from the standards' formula: the definitions that libraries are compared with."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tests.yuv import KR_KB

Array = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Planes = tuple[Bytes, Bytes, Bytes]
LEVELS = {"limited": (16, 219, 224), "full": (0, 255, 255)}
"""In 8 bits Y's black, white above it, and what U and V span."""
BLOCKS = {"NV12": (2, 2), "I420": (2, 2), "YUYV": (1, 2), "YUV444": (1, 1)}
"""How many rows and columns share one U and one V."""
WAYS = ("replicated", "first", "middle")
"""A pixel's U and V along a side of two: its block's; or on the line between the nearest two, which lie on their first pixel, or between
their two."""


@dataclass(frozen=True)
class Definition:
    """matrix, range: whose.  down, across: one of WAYS each."""

    matrix: str
    range: str
    down: str = "replicated"
    across: str = "replicated"

    @property
    def chroma(self) -> str:
        known = {
            ("replicated", "replicated"): "replicated",
            ("middle", "middle"): "interpolated, center",
            ("middle", "first"): "interpolated, left",
        }
        way = {"replicated": "replicated", "first": "interpolated (first)", "middle": "interpolated"}
        return known.get((self.down, self.across), f"down {way[self.down]}, across {way[self.across]}")


def definitions(block: tuple[int, int]) -> list[Definition]:
    """All that a colour with such blocks may be."""
    ways = (WAYS if side == 2 else WAYS[:1] for side in block)
    return [Definition(*each) for each in product(KR_KB, LEVELS, *ways)]


def encoded(rgb: Bytes, matrix: str, range_: str, block: tuple[int, int]) -> Planes:
    """Of a picture (H, W, 3): Y = Kr R + Kg G + Kb B, U = (B - Y) / 2(1 - Kb), V = (R - Y) / 2(1 - Kr), means over each block, rounded."""
    (kr, kb), (black, white, span) = KR_KB[matrix], LEVELS[range_]
    red, green, blue = np.moveaxis(rgb / 255, 2, 0)
    y = kr * red + (1 - kr - kb) * green + kb * blue
    rows, columns = block
    u, v = (
        plane.reshape(len(y) // rows, rows, -1, columns).mean(axis=(1, 3))
        for plane in ((blue - y) / (2 - 2 * kb), (red - y) / (2 - 2 * kr))
    )
    y, u, v = (np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in (black + white * y, 128 + span * u, 128 + span * v))
    return y, u, v


def in_memory(planes: Planes, color: str) -> Bytes:
    """As programs pass it: (3H/2, W), (H, W, 2) or (H, W, 3)."""
    y, u, v = planes
    if color == "NV12":
        return np.concatenate([y, np.stack([u, v], axis=-1).reshape(len(u), -1)])
    if color == "I420":
        return np.concatenate([plane.reshape(-1) for plane in planes]).reshape(-1, y.shape[1])
    return np.stack([y, np.stack([u, v], axis=-1).reshape(y.shape)] if color == "YUYV" else planes, axis=-1)


def decoded(planes: Planes, definition: Definition) -> Array:
    """(H, W, 3) of R, G and B, 0..255 and beyond: the same equations, solved."""
    (kr, kb), (black, white, span) = KR_KB[definition.matrix], LEVELS[definition.range]
    y = (planes[0] - float(black)) / white
    u, v = ((_spread(plane, y.shape, definition) - 128) / span for plane in planes[1:])
    red, blue = y + (2 - 2 * kr) * v, y + (2 - 2 * kb) * u
    return 255 * np.stack([red, (y - kr * red - kb * blue) / (1 - kr - kb), blue], axis=-1)


def _spread(plane: Bytes, size: tuple[int, ...], definition: Definition) -> Array:
    values = plane.astype(np.float64)
    for axis, way in enumerate((definition.down, definition.across)):
        if values.shape[axis] < size[axis]:
            values = _along(np.moveaxis(values, axis, 0), way)
            values = np.moveaxis(values, 0, axis)
    return values


def _along(values: Array, way: str) -> Array:
    """Two rows of each."""
    before, behind = np.concatenate([values[:1], values[:-1]]), np.concatenate([values[1:], values[-1:]])
    pair = {
        "replicated": (values, values),
        "first": (values, (values + behind) / 2),
        "middle": ((before + 3 * values) / 4, (3 * values + behind) / 4),
    }[way]
    return np.stack(pair, axis=1).reshape(-1, *values.shape[1:])
