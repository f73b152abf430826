"""Integer pixels: their layouts, colour orders and depths, and the step that reads them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..errors import PreprocError, check_choice
from .affine import Affine
from .base import Step, ValueRange
from .yuv import ALIASES, ASK, CHROMAS, CONVERSIONS, LUMA, RANGES, SITINGS, UNCONVERTED, WEIGHTS, YUV, swapped, to_grey, to_rgb

COLORS: Mapping[str, tuple[str, ...]] = {
    "RGB": ("R", "G", "B"),
    "BGR": ("B", "G", "R"),
    "RGBA": ("R", "G", "B", "A"),
    "BGRA": ("B", "G", "R", "A"),
    "GRAY": ("Y",),
    "ANY": (),
}
"""Colour orders and the channels in them. ANY: any number of channels, never reordered."""

PIXEL_COLORS = (*COLORS, *YUV)
"""What pixels may be; a network wants one of COLORS."""
LAYOUTS = ("NHWC", "NCHW")
NETWORK_LAYOUTS = ("NCHW", "NHWC", "CHW", "HWC", "NTCHW", "NCTHW", "NTHWC")
"""What an .onnx file's picture may be: a batch of pictures, one without a batch, or a batch of T frames each."""
PIXEL_DTYPES: Mapping[str, float] = {"uint8": 255.0, "uint16": 65535.0}
"""Pixel dtypes and their largest grey level."""
CLIPPED, NOT_CLIPPED = "clipped and rounded to 8 bits", "neither clipped nor rounded"
OTHER_CONVERSIONS = (CLIPPED, NOT_CLIPPED)
"""Of mistaken(), what is no mistake but the other conversion."""


@dataclass(frozen=True, kw_only=True)
class FromPixels(Step):
    """Integer pixels to float (N, C, H, W) in grey levels, in the backbone's colour order.

    layout: NHWC or NCHW; of colours of Y, U and V one of their own, see yuv.YUV.  color: the order the pixels have.  to: the order the
    backbone wants.  pixel_dtype: uint8 or uint16.

    Of Y, U and V, which have 8 bits, alone:
    matrix: bt601, bt709 or bt2020, and range: limited or full, what they stand for; neither has a default.  conversion: "linear", which
    neither clips nor rounds, see yuv.to_rgb(), or "rgb8", whole levels as OpenCV's arithmetic has them, see yuv.to_rgb_in_integers().
    chroma: how a pixel gets the U and V that it shares with others, "replicate" or "bilinear", and siting: where they are then, "left" or
    "center", see yuv.phases().  to: YUV444 is Y, U and V of each pixel as they are, for which nothing but chroma and siting is said.
    GRAY is luma alone, see yuv.to_grey(), and Y the same as it is; U and V are not read then, and nothing is said of them.
    Resizes and crops behind the linear form, or behind YUV444, move Y, U and V each by itself, before they are converted: see planes.py.
    """

    name: ClassVar[str] = "from_pixels"
    layout: str
    color: str = "RGB"
    to: str = "RGB"
    pixel_dtype: str = "uint8"
    matrix: str | None = None
    range: str | None = None
    conversion: str | None = None
    chroma: str | None = None
    siting: str | None = None

    def __post_init__(self) -> None:
        check_choice("color", self.color, PIXEL_COLORS)
        check_choice("layout", self.layout, layouts_of(self.color))
        check_choice("pixel_dtype", self.pixel_dtype, PIXEL_DTYPES)
        if self.color in YUV:
            self._check_yuv()
            return
        check_choice("to", self.to, COLORS)
        for field in ("matrix", "range", "conversion", "chroma", "siting"):
            _check_without(field, getattr(self, field), f"a colour of Y, U and V ({', '.join(YUV)})", self.color)
        self.selection()

    def _check_yuv(self) -> None:
        check_choice("to", self.to, (*COLORS, UNCONVERTED, LUMA))
        if self.to not in ("RGB", "BGR", "GRAY", UNCONVERTED, LUMA):
            raise PreprocError(
                f"expected RGB, BGR or GRAY of {self.color} pixels, or {UNCONVERTED} or {LUMA}, got {self.to}: a ChannelAffine can mix "
                "colours behind it",
                name="color-mismatch",
            )
        if self.pixel_dtype != "uint8":
            raise PreprocError(f"expected uint8 for {self.color} pixels, got {self.pixel_dtype}", name="pixel-dtype")
        if self.to in (UNCONVERTED, LUMA):
            for field in ("matrix", "range", "conversion"):
                _check_without(field, getattr(self, field), "a conversion to RGB, BGR or GRAY", self.to)
        else:
            if self.matrix is None and self.range is None:
                both = f"{', '.join(WEIGHTS)} and range = one of {', '.join(RANGES)}"
                _check_said("matrix", None, [both], self.color)
            for field, known in (("matrix", WEIGHTS), ("range", RANGES)):
                _check_said(field, getattr(self, field), known, self.color)
            object.__setattr__(self, "conversion", self.conversion or "linear")
            check_choice("conversion", self.conversion, CONVERSIONS)
        if self.of_luma:
            self._check_luma()
            return
        if YUV[self.color].block == (1, 1):
            _check_without("chroma", self.chroma, "pixels that share their U and V", self.color)
        else:
            object.__setattr__(self, "chroma", self.chroma or "replicate")
            check_choice("chroma", self.chroma, CHROMAS)
        if self.chroma != "bilinear":
            _check_without("siting", self.siting, 'chroma = "bilinear"', str(self.chroma))
            return
        if self.conversion == "rgb8":
            raise PreprocError(
                'expected chroma = "replicate" for conversion = "rgb8", which is OpenCV\'s, got "bilinear": write conversion = "linear"',
                name="conflicting-options",
            )
        _check_said("siting", self.siting, SITINGS, self.color)

    def _check_luma(self) -> None:
        if self.conversion == "rgb8":
            raise PreprocError(
                'expected conversion = "linear" for a grey network, got "rgb8", which is of R, G and B: OpenCV\'s grey is Y as it is, '
                "whatever its range",
                name="conflicting-options",
            )
        for field in ("chroma", "siting"):
            _check_without(field, getattr(self, field), "colours that U and V are read for", self.to)

    @property
    def of_luma(self) -> bool:
        """Whether of Y, U and V it reads Y alone."""
        return self.color in YUV and self.to in ("GRAY", LUMA)

    @property
    def rounds(self) -> bool:
        """Whether it leaves whole grey levels."""
        return self.conversion != "linear" and self.chroma != "bilinear"

    @property
    def moves_planes(self) -> bool:
        """Whether steps that move pixels move its Y, U and V, each a picture of its own, before they are converted: see planes.py."""
        return self.color in YUV and self.conversion != "rgb8"

    def selection(self) -> tuple[int, ...]:
        """For each channel the backbone wants, the index of the pixels' channel that it reads; () for ANY. Not of Y, U and V."""
        have, want = COLORS[self.color], COLORS[self.to]
        if self.color == self.to:
            return tuple(range(len(have)))
        if self.color == "GRAY" and want and "A" not in want:
            return (0,) * len(want)
        if not have or not set(want) <= set(have) or not want:
            raise PreprocError(
                f"expected pixels from which {self.to} can be taken, got {self.color}: "
                + (
                    "name both colour orders, or set both to ANY"
                    if "ANY" in (self.color, self.to)
                    else "convert them first (a ChannelAffine can mix colours)"
                ),
                name="color-mismatch",
            )
        return tuple(have.index(channel) for channel in want)

    def channels(self) -> int | None:
        """Of Y, U and V three, wherever they lie, and of luma alone one."""
        if self.of_luma:
            return 1
        return 3 if self.color in YUV else len(COLORS[self.color]) or None

    def apart(self, channels: int) -> "tuple[FromPixels, Affine]":
        """(what has to be done to the pixels themselves, the affine map of its channels that is left): both, one behind the other, are this
        step. The map of colours of Y, U and V is their conversion where that is linear, and the colours' order where it rounds."""
        if self.color not in YUV:
            plain = FromPixels(layout=self.layout, color=self.color, to=self.color, pixel_dtype=self.pixel_dtype)
            rows: Sequence[int] = self.selection() or range(channels)
        elif self.of_luma:
            plain, rows = replace(self, to=LUMA, matrix=None, range=None, conversion=None), range(1)
            if self.conversion == "linear":
                return plain, to_grey(str(self.range))
        elif self.conversion == "rgb8":
            plain, rows = replace(self, to="RGB"), [COLORS["RGB"].index(channel) for channel in COLORS[self.to]]
        else:
            plain, rows = replace(self, to=UNCONVERTED, matrix=None, range=None, conversion=None), range(3)
            if self.conversion == "linear":
                converted = to_rgb(str(self.matrix), str(self.range))
                order = [COLORS["RGB"].index(channel) for channel in COLORS[self.to]]
                return plain, Affine(converted.matrix[order], converted.offset[order])
        return plain, Affine(np.eye(channels)[list(rows)], np.zeros(len(rows)))

    def affine(self, channels: int) -> Affine | None:
        """Of colours of Y, U and V from the three, as each pixel has them, or from Y; None for rgb8."""
        if channels != (self.channels() or channels):
            raise PreprocError(f"expected {self.channels()} channels ({self.color}), got {channels}", name="channel-mismatch")
        return None if self.conversion == "rgb8" else self.apart(channels)[1]

    def value_range(self, incoming: ValueRange) -> ValueRange:
        """Of Y, U and V the interval of the colours of pictures, which constants are made for. In the linear form other bytes leave it, as
        far as to -293 and 551."""
        return incoming if self.color in YUV else Step.value_range(self, incoming)


def layouts_of(color: str) -> tuple[str, ...]:
    """What the pixels of a colour may lie in, the usual one first."""
    return tuple(YUV[color].planes) if color in YUV else LAYOUTS


def mistaken(step: FromPixels) -> "dict[str, FromPixels]":
    """What is done to Y, U and V by mistake in place of the step, by what it is: another matrix, the other range, U and V exchanged, chroma
    half a pixel aside; and OTHER_CONVERSIONS, the step's other one. Of luma alone the range is all that can be wrong. {} for other
    colours."""
    if step.color not in YUV:
        return {}
    found: dict[str, dict[str, Any]] = {
        f"range {other} for {step.range}": {"range": other} for other in RANGES if step.range not in (None, other)
    }
    if step.of_luma:
        return {name: replace(step, **changes) for name, changes in found.items()}
    matrices = {f"matrix {other} for {step.matrix}": {"matrix": other} for other in WEIGHTS if step.matrix not in (None, other)}
    found = matrices | found
    found["U and V exchanged"] = {"color": swapped(step.color)}
    if step.chroma == "bilinear":
        siting = next(other for other in SITINGS if other != step.siting)
        found["chroma half a pixel aside"] = {"siting": siting}
    elif step.chroma is not None:  # what replicates is in the middle
        unrounded = {"conversion": "linear"} if step.conversion == "rgb8" else {}
        found["chroma half a pixel aside"] = {"chroma": "bilinear", "siting": "left", **unrounded}
    if step.conversion == "rgb8":
        found[NOT_CLIPPED] = {"conversion": "linear"}
    elif step.conversion == "linear" and step.chroma != "bilinear":
        found[CLIPPED] = {"conversion": "rgb8"}
    return {name: replace(step, **changes) for name, changes in found.items()}


def _check_said(field: str, value: str | None, known: Iterable[str], color: str) -> None:
    if value is None:
        raise PreprocError(
            f"from_pixels: expected {field} = one of {', '.join(known)} for {color} pixels, got nothing, and there is no default: {ASK}",
            name="yuv-unspecified",
        )
    if value in ALIASES and ALIASES[value] in known:
        raise PreprocError(f"expected {field} to be {ALIASES[value]}, which FFmpeg calls {value}, got {value!r}", name="unknown-choice")
    digits = "".join(filter(str.isdigit, value))
    if digits and value not in known and f"bt{digits}" in known:
        raise PreprocError(
            f"expected {field} to be one of {', '.join(known)}, got {value!r}; did you mean 'bt{digits}'?", name="unknown-choice"
        )
    check_choice(field, value, known)


def _check_without(field: str, value: str | None, of: str, got: str) -> None:
    if value is not None:
        raise PreprocError(f"{field}: expected beside {of}, got it with {got}", name="option-without-effect")
