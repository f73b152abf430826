"""Small drawings in SVG, and pictures as data URIs: what a page shows without any other file or library."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...sources import PixelsSpec

WORSE, BETTER, SAME, LINE = "#c0392b", "#1a7f37", "#8a9099", "#d5d9de"
WIDTH, HEIGHT = 200, 18
"""Of an interval, in pixels."""
SIDE = 76
"""Of a picture."""
PLOT, EDGE = 104, 8
"""Of a calibration's square, and of what is around it."""


class Scale:
    """Points of accuracy, from the largest loss to the largest gain that is drawn, over WIDTH."""

    def __init__(self, low: float, high: float) -> None:
        room = max(high - low, 0.01) * 0.04
        self.low, self.high = low - room, high + room

    def at(self, value: float) -> float:
        return round(WIDTH * (value - self.low) / (self.high - self.low), 1)

    def marks(self) -> list[float]:
        """Round numbers, four or so."""
        width = self.high - self.low
        step = next((each for each in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2) if width / each <= 5), 0.5)
        return [step * number for number in range(int(np.ceil(self.low / step)), int(np.floor(self.high / step)) + 1)]

    def axis(self) -> str:
        words = "".join(
            f'<text x="{self.at(mark)}" y="12" text-anchor="middle">{100 * mark:+.4g}</text>'
            if mark
            else f'<text x="{self.at(0)}" y="12" text-anchor="middle">0</text>'
            for mark in self.marks()
        )
        return _svg(WIDTH, 16, words, "points of accuracy")

    def interval(self, difference: float, limits: tuple[float, float], color: str, told: str) -> str:
        """A difference with its interval, over the marks."""
        lines = "".join(
            f'<line x1="{self.at(mark)}" x2="{self.at(mark)}" y1="0" y2="{HEIGHT}" stroke="{"#9aa1a9" if mark == 0 else LINE}"/>'
            for mark in self.marks()
        )
        low, high = (self.at(limit) for limit in limits)
        middle = HEIGHT / 2
        return _svg(
            WIDTH,
            HEIGHT,
            f'{lines}<line x1="{low}" x2="{high}" y1="{middle}" y2="{middle}" stroke="{color}" stroke-width="3"/>'
            f'<circle cx="{self.at(difference)}" cy="{middle}" r="4.5" fill="{color}"/>',
            told,
        )


def reliability(bins: Sequence[tuple[int, float, float]], told: str) -> str:
    """Share of right answers over confidence; a dot's area is its share of the pictures."""
    total, room = sum(number for number, _, _ in bins), PLOT - 2 * EDGE
    frame = f'<rect x="{EDGE}" y="{EDGE}" width="{room}" height="{room}" fill="#fff" stroke="{LINE}"/>'
    ideal = f'<line x1="{EDGE}" y1="{PLOT - EDGE}" x2="{PLOT - EDGE}" y2="{EDGE}" stroke="{LINE}" stroke-dasharray="3 3"/>'
    dots = []
    for number, sure, rate in bins:
        x, y, even = (round(EDGE + room * value, 1) for value in (sure, 1 - rate, 1 - sure))
        dots.append(f'<line x1="{x}" x2="{x}" y1="{y}" y2="{even}" stroke="#2c5fb3" stroke-opacity="0.35"/>')
        dots.append(f'<circle cx="{x}" cy="{y}" r="{1.5 + 6 * (number / total) ** 0.5:.1f}" fill="#2c5fb3" fill-opacity="0.75"/>')
    return _svg(PLOT, PLOT, frame + ideal + "".join(dots), told)


def _svg(width: int, height: int, body: str, told: str) -> str:
    return f'<svg width="{width}" height="{height}" role="img" aria-label="{told}"><title>{told}</title>{body}</svg>'


def picture(array: NDArray[np.generic], pixels: PixelsSpec) -> str:
    """A picture (H, W, C) of the model's pixels as a data URI, SIDE on its longer side: in colours where it has them, else its first
    channel."""
    letters = pixels.letters
    places = [letters.index(letter) for letter in "RGB"] if set("RGB") <= set(letters) else [0]
    values = array[..., places if len(places) == 3 else 0]
    if values.dtype != np.uint8:
        values = values.astype(np.float64)
        values = 255 * (values - values.min()) / (np.ptp(values) or 1.0)
    image = Image.fromarray(np.ascontiguousarray(values).astype(np.uint8))
    ratio = 2 * SIDE / max(image.size)
    size = tuple(max(1, round(side * ratio)) for side in image.size)
    image = image.resize((size[0], size[1]), Image.Resampling.NEAREST if ratio > 1 else Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, "PNG" if ratio > 1 else "JPEG", quality=85)
    kind = "png" if ratio > 1 else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
