"""Does a network prepare its own input? Judged by the effective input affine: what it first does to its channels.

A second normalization in front of such a network is a bug that users have: torchvision's detection models and some of timm's carry
their constants inside. A re-mapping of values that are normalized already (GoogLeNet's transform_input) is none.
"""

from collections.abc import Iterable

import numpy as np

from . import presets
from .affine import Affine
from .presets import UNITS
from .steps import ValueRange

CENTRED = (0.05, 0.95)
"""Where means lie, as a share of the largest value, if they are those of raw pixels."""


def expected_unit(first: Affine) -> str | None:
    """The unit of the raw pixels that a network expects which starts with `first`; None if that is no normalization of raw pixels.

    y = (x - m) / s on every channel: raw pixels of 0..top have m between 5 % and 95 % of top, s of at most 60 % of top, and m of at
    least a third of s; or m = 0 and s = top.
    """
    if not first.is_monomial:
        return None
    scale = first.matrix.sum(axis=1)
    mean, std = -first.offset / scale, 1 / np.abs(scale)
    for unit, top in UNITS.items():
        inside = (mean >= CENTRED[0] * top) & (mean <= CENTRED[1] * top)
        centred = (inside & (std <= 0.6 * top) & (mean >= std / 3)).all()
        if centred or (np.allclose(std, top, rtol=0.02) and not first.offset.any() and top > 1):
            return unit
    return None


def described(first: Affine) -> str:
    """(x - mean) / std, with the preset's name and the unit where they are known."""
    if not first.is_monomial:
        return f"a map on channels: matrix {first.matrix.round(6).tolist()}, offset {first.offset.round(6).tolist()}"
    scale, unit = first.matrix.sum(axis=1), expected_unit(first)  # each row has one number
    mean, std = -first.offset / scale, 1 / scale
    name = None if unit is None else presets.name_of(mean.tolist(), std.tolist(), unit)
    told = f"(x - {_short(mean)}) / {_short(std)}{f', which is {name},' if name else ''}"
    told += "" if first.is_diagonal else f" of channels {np.argmax(first.matrix != 0, axis=1).tolist()}"
    return told if unit is None else f"{told} of values in {unit}"


def why_not(maps: Iterable[Affine], incoming: ValueRange | None) -> str | None:
    """The reason why a network whose inner channel maps are `maps` must not be fed with values in `incoming`, or None."""
    for first in maps:
        unit = expected_unit(first)
        if unit is not None and incoming is not None and not incoming.spans(0, UNITS[unit]):
            return (
                f"the network normalizes its input itself, {described(first)}, and the steps hand it values in {incoming}: "
                "leave the normalization to one of the two"
            )
    return None


def _short(values: np.ndarray) -> str:
    distinct = sorted(set(values.tolist()))
    return f"{distinct[0]:.4g}" if len(distinct) == 1 else "[" + ", ".join(f"{value:.4g}" for value in values) + "]"
