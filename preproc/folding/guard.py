"""Does a network prepare its own input? Judged by the effective input affine: what it first does to its channels.

A second normalization in front of such a network is a bug that users have: torchvision's detection models and some of timm's carry
their constants inside. A re-mapping of values that are normalized already (GoogLeNet's transform_input) is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from ..steps import Affine, ValueRange, presets

TOPS: Mapping[str, float] = MappingProxyType(
    {"0-1": 1.0, "0-255": 255.0, "0-1023": 1023.0, "0-4095": 4095.0, "0-16383": 16383.0, "0-65535": 65535.0}
)
"""The units of raw pixels that networks are known to take: those of statistics, and what cameras of 10, 12 and 14 bits give."""
CENTRED = (0.05, 0.95)
"""Where means lie, as a share of the largest value, if they are those of raw pixels."""
WIDEST = 1.05
"""The largest std of raw pixels, as a share of the largest value: (x - 127.5) / 255, and dlib's / 256. Re-mappings have more than 2."""


RAW = {"uint8": "0-255", "uint16": "0-65535"}
"""Units of raw pixels by NumPy's names of their dtypes."""


@dataclass(frozen=True)
class InputEffect:
    """What a network does to its input before its first layers.

    maps: one per way, those that are no identity.  learned: whether a BatchNorm comes first.
    raw: the unit of the raw pixels that the input is cast to, "0-255" or "0-65535", or None.
    met: the operations on the way, in order.  stopped: those behind which nothing is known; without any, all of the way was seen.
    """

    maps: tuple[Affine, ...] = ()
    learned: bool = False
    raw: str | None = None
    met: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()


def expected_unit(first: Affine) -> str | None:
    """The unit of the raw pixels that a network expects which starts with `first`; None if that is no normalization of raw pixels.

    y = (x - m) / s on every channel, or on sums of channels: raw pixels of 0..top have m between 5 % and 95 % of top, s of hardly more
    than top, and m of at least a third of s; or m = 0 or top, and s = top or half of it; and what is multiplied with 255 was 0..1.
    The smallest unit that fits.
    """
    found = first.mean_and_std()
    if found is None:
        return None
    mean, std = found[0], np.abs(found[1])
    whole = not first.offset.any()
    for unit, top in TOPS.items():
        inside = (mean >= CENTRED[0] * top) & (mean <= CENTRED[1] * top)
        centred = (inside & (std <= WIDEST * top) & (mean >= std / 3)).all()
        spread = [np.allclose(std, size, rtol=0.02) and top > 1 for size in (top, top / 2)]  # x / 255, (255 - x) / 255, x / 127.5
        if centred or (any(spread) and (whole or np.allclose(np.abs(mean), top, rtol=0.02))):
            return unit
    if whole and any(np.allclose(std, 1 / top, rtol=0.02) for top in TOPS.values() if top > 1):
        return "0-1"  # x * 255
    return None


def constants(first: Affine) -> tuple[list[float], list[float], list[int]] | None:
    """mean, std and the channels read, if the map is (x[channels] - mean) / std; to six digits, which float32 leaves."""
    found = first.mean_and_std() if first.is_monomial else None
    if found is None:
        return None
    mean, std = ([float(f"{number:.6g}") for number in numbers] for numbers in found)
    return mean, std, np.argmax(first.matrix != 0, axis=1).tolist()


def preset(first: Affine) -> tuple[str, str] | None:
    """The name of the preset whose constants these are, and the colour order that it means the input to be in; "ANY" if it means none."""
    found, unit = constants(first), expected_unit(first)
    known = None
    if found is not None and unit is not None:
        known = presets.recognize([number / TOPS[unit] for number in found[0]], [number / TOPS[unit] for number in found[1]], "0-1")
    if found is None or known is None or known[1] == "ANY" or sorted(found[2]) != list(range(len(known[1]))):
        return known
    return known[0], "".join(letter for _, letter in sorted(zip(found[2], known[1], strict=True))) if known[1] != "GRAY" else "GRAY"


def described(first: Affine) -> str:
    """(x - mean) / std, with the preset's name and the unit where they are known."""
    found, unit, known = constants(first), expected_unit(first), preset(first)
    if found is None:
        return f"a map on channels: matrix {first.matrix.round(6).tolist()}, offset {first.offset.round(6).tolist()}"
    mean, std, channels = found
    shifted = f"(x - {_short(mean)})" if any(mean) else "x"
    told = f"{shifted} / {_short(std)}{f', which is {known[0]},' if known else ''}"
    told += "" if first.is_diagonal else f" of channels {channels}"
    color = f"{known[1]} " if known and known[1] != "ANY" else ""
    return told if unit is None else f"{told} of {color}values in {unit}"


def normalizes(effect: InputEffect) -> bool | None:
    """Whether the network normalizes raw pixels itself; None where not all of the way was seen."""
    if effect.raw is not None or any(expected_unit(first) for first in effect.maps):
        return True
    return None if effect.stopped else False


def why_not(effect: InputEffect, incoming: ValueRange | None) -> str | None:
    """The reason why a network that does this to its input must not be fed with values in `incoming`, or None."""
    found = [(expected_unit(first), f"normalizes its input itself, {described(first)}") for first in effect.maps]
    found.append((effect.raw, f"casts its input to raw pixels of {effect.raw}"))
    for unit, what in found:
        if unit is not None and not (incoming is not None and incoming.spans(0, TOPS[unit])):
            handed = "of no fixed range" if incoming is None else f"in {incoming}"
            return (
                f"the network {what}, and the steps hand it values {handed}: leave the normalization to one of the two, "
                f"with steps that end in values of {unit}"
            )
    return None


def notes(effect: InputEffect) -> list[str]:
    """What is no second normalization but may surprise: re-mappings, BatchNorms before anything else, and how far the look went."""
    told = [
        f"the network {'re-maps its input' if expected_unit(first) is None else 'normalizes its input itself'}, {described(first)}"
        for first in effect.maps
    ]
    told += ["the network starts with a BatchNorm"] if effect.learned else []
    return told + ([f"{NOT_TOLD}: {no_further(effect)}"] if normalizes(effect) is None else [])


NOT_TOLD = "not told whether the network normalizes its input itself"


def no_further(effect: InputEffect) -> str:
    """Where the look at a network ended."""
    return "followed no further than " + ", ".join(effect.stopped[:3]) + (", ..." if len(effect.stopped) > 3 else "")


def _short(values: list[float]) -> str:
    told = [f"{value + 0.0:.4g}" for value in values]  # no -0
    return told[0] if len(set(told)) == 1 else f"[{', '.join(told)}]"
