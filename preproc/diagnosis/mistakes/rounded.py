"""What 8 bits of R, G and B may be where another library than OpenCV made them of Y, U and V."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...oracle import reference
from ...steps import COLORS, SHIFT, UNCONVERTED, FromPixels, to_rgb, to_rgb_in_integers
from .mistake import Array

SHORT_NUMBERS = 0.015
"""Grey levels that constants of 13 bits, or arithmetic in float32, may be off by: libswscale's and OpenVINO's."""


def whole(levels: Array) -> Array:
    """Clipped to 0..255 and rounded."""
    return np.clip(np.floor(levels + 0.5), 0, 255)


def bounds(step: FromPixels, pixels: NDArray[Any]) -> tuple[Array, Array]:
    """(lowest, highest): (N, 3, H, W) whole levels that the step's matrix, range and chroma come to, in its exact form or with OpenCV's
    constants of three digits, whichever way what lies within SHORT_NUMBERS of a half is rounded: a level more or less for a few values in
    a hundred, and none for the others. Y below black is darker than black, as in no integers of OpenCV's."""
    forms = [reference.apply([replace(step, conversion="linear")], pixels)]
    if in_three_digits(step):
        forms.append(three_digits(step, pixels))
    return whole(np.minimum.reduce(forms) - SHORT_NUMBERS), whole(np.maximum.reduce(forms) + SHORT_NUMBERS)


def in_three_digits(step: FromPixels) -> bool:
    """Whether OpenCV and OpenVINO have constants of three digits for its matrix and range."""
    rows, _ = to_rgb_in_integers(str(step.matrix), str(step.range))
    return bool(np.abs(np.array(rows) - to_rgb(str(step.matrix), str(step.range)).matrix * 2**SHIFT).max() > 1)


def three_digits(step: FromPixels, pixels: NDArray[Any]) -> Array:
    """(N, 3, H, W) grey levels with those constants, neither clipped nor rounded."""
    rows, zeros = to_rgb_in_integers(str(step.matrix), str(step.range))
    planes = reference.apply([replace(step, to=UNCONVERTED, matrix=None, range=None, conversion=None)], pixels)
    order = ["RGB".index(channel) for channel in COLORS[step.to]]
    made = np.tensordot(np.array(rows)[order] / 2**SHIFT, planes - np.array(zeros)[:, None, None], axes=(1, 1))
    return np.moveaxis(made, 0, 1)
