"""What a recipe says of a geometry, in front of its constants, and how far that is from what the libraries make."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...oracle import reference
from ...steps import ChannelAffine, FromPixels, Step
from ..geometry import Geometry, steps_of
from ..solving import KERNELS_DIFFER, Affine
from .bench import Bench

MEASURED = 10
"""Pairs that a recipe's own arithmetic is compared on."""


@dataclass(frozen=True)
class Front:
    """pixels: the colours of the caller's.  color: those that the network is given, in front of any mixing.  moving: the steps behind
    from_pixels.  channels: that they leave.  before: what the caller does first, in words, for no step does it."""

    pixels: str
    color: str
    moving: tuple[Step, ...]
    channels: int
    before: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        return (FromPixels(layout="NHWC", color=self.pixels, to=self.color), *self.moving)

    @property
    def names_channels(self) -> bool:
        """Whether the channels that the steps leave are those of its color: not where they are mixed to one."""
        return self.channels == (1 if self.color == "GRAY" else 3)


def front_of(geometry: Geometry, affine: Affine) -> Front | None:
    """None where no recipe says it. affine: whose order says the colours'; orders without a name are RGB's here."""
    moving, grey, channels = steps_of(geometry), geometry.grey, len(affine.order)
    if moving is None or geometry.turn not in ("as stored", "upright"):
        return None
    turned = ("PIL.ImageOps.exif_transpose",) if geometry.turn == "upright" else ()
    if grey is None:
        return Front("RGB", "BGR" if affine.order == (2, 1, 0) else "RGB", moving, channels, turned)
    if grey.first:
        return Front("GRAY", "GRAY" if channels == 1 else "RGB", moving, channels, (*turned, f"a picture {grey.words}"))
    return Front("RGB", "RGB", (*moving, ChannelAffine(matrix=(grey.weights,) * channels)), channels, turned)


@dataclass(frozen=True)
class Apart:
    """How far the recipe's own arithmetic is from what the libraries made, in grey levels. rms, largest: over so many pictures.  why: where
    that is no rounding of the tensors."""

    rms: float
    largest: float
    pictures: int
    why: str = ""

    @property
    def line(self) -> str | None:
        """For people; None where there is nothing to be told."""
        if not self.why:
            return None
        of = "1 picture" if self.pictures == 1 else f"{self.pictures} pictures"
        return f"it is {self.rms:.2g} grey levels off on {of} (root mean square; {self.largest:.2g} at most): {self.why}"


def apart(benches: Sequence[Bench], geometry: Geometry, front: Front) -> Apart:
    """front: of that geometry. Computed by the oracle, of the first MEASURED pairs."""
    squares, count, largest = 0.0, 0, 0.0
    start = FromPixels(layout="NHWC", color=front.pixels, to=front.pixels)
    for bench in benches[:MEASURED]:
        picture = bench.source.picture(geometry.decoder, geometry.turn)
        if geometry.grey is not None and geometry.grey.first:
            picture = geometry.grey(picture)
        made = reference.apply((start, *front.moving), picture[None])[0]
        off = np.abs(made - np.asarray(bench.levels(geometry), np.float64)[: len(made)])
        known = off[np.isfinite(off)]
        squares, count, largest = squares + float((known**2).sum()), count + known.size, max(largest, float(known.max(initial=0.0)))
    return Apart(
        math.sqrt(squares / max(count, 1)), largest, min(len(benches), MEASURED), _why(geometry) if largest > KERNELS_DIFFER else ""
    )


def _why(geometry: Geometry) -> str:
    how, grey = geometry.resampler, geometry.grey
    told = []
    if how is not None and how.library == "OpenCV":
        told.append(f"the tensors are computed by {how.words}, which rounds a level here and there otherwise than its step")
    if grey is not None and grey.rounds and not grey.first:
        told.append("their grey was rounded to whole levels, which no step does")
    return "; ".join(told) or "the step's arithmetic is another"
