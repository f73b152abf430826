"""Which mistakes can be made with a recipe's steps: one list, for all that looks for them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...oracle import packed, reference
from ...steps import (
    COLORS,
    OTHER_CONVERSIONS,
    PIXEL_DTYPES,
    YUV,
    Affine,
    FromPixels,
    Geometry,
    Step,
    channels_in,
    channels_out,
    compose,
    divided,
)
from ..geometry import GREYS, RESAMPLERS, Grey, Source, absent, geometry_of, steps_of
from ..geometry import Geometry as Moves
from .converted import converted_mistakes, converted_together
from .decoded import decoded_mistakes
from .mistake import Array, Mistake, Picture, is_opencvs, valued
from .moved import MOVED, moved_mistakes
from .resized import ALIASED
from .values import DOUBLED, NOT_RESCALED, mixed, values_mistakes
from .variants import variants

PILLOWS = GREYS[0]
"""How pictures are made grey for a recipe that takes grey pixels."""
SWAPPED = "channels swapped"
OPENCV = "OpenCV INTER_LINEAR"
CONTROLS = (SWAPPED, DOUBLED, NOT_RESCALED, ALIASED, MOVED)
"""Those that every verification makes on purpose, in its order, the last two where pixels are moved; behind them converted_mistakes()."""


class Mistakes:
    """The mistakes that can be made with steps that start at pixels, (N, H, W, C) or (N, C, H, W) as their first step says.

    channels: of the pixels, where no step says it.  Raises PreprocError for steps that do not start there.
    """

    def __init__(self, sequence: Sequence[Step], channels: int = 3) -> None:
        self.first, moves, later = divided(sequence)
        self.later = tuple(later)
        self.moves = tuple(step for step in moves if isinstance(step, Geometry))
        self.channels = channels_out([self.first], channels_in(sequence) or channels)
        self.leaves = channels_out(self.later, self.channels)
        self.mixing, _ = mixed(self.later)
        swapped = Mistake(SWAPPED, "channels swapped", order=tuple(reversed(range(self.channels))))
        whole = compose(self.later, self.channels)
        zero = None if whole is None else whole.solve(np.zeros(whole.channels_out))
        moved = moved_mistakes(self.first, self.moves, colours=not self.mixing, zero=zero)
        converted = list(converted_mistakes(self.first, self.moves))
        found = [swapped, *values_mistakes(self.later, self.channels, PIXEL_DTYPES[self.first.pixel_dtype]), *moved, *converted]
        self.all = (*found, *self._of_others(sequence, found))
        possible = CONTROLS if self.moves else CONTROLS[:3]
        self.controls = {name: mistake for name in possible for mistake in found if mistake.name == name}
        self.controls |= {mistake.name: mistake for mistake in converted if mistake.name not in OTHER_CONVERSIONS}

    def _of_others(self, sequence: Sequence[Step], known: Sequence[Mistake]) -> Iterator[Mistake]:
        """Preprocessings of other networks, but for those that are known by another name."""
        turned = tuple(reversed(range(self.channels)))
        known = [Mistake("", ""), *known]
        if self.leaves == 1 < self.channels:
            grey = FromPixels(layout="NHWC", color="GRAY", to="GRAY", pixel_dtype=self.first.pixel_dtype)
            sequence = (grey, *self.moves)
        maps = [(mistake.order, found) for mistake in known if mistake.is_of_numbers and (found := self._affine(mistake)) is not None]
        for variant in variants(sequence, self.leaves, own=False):
            first, _, values = divided(variant.steps)
            order = turned if first.to != self.first.to and not self.mixing else None
            made = Mistake(variant.name, variant.what, order=order, values=(*self.mixing, *values))
            own = self._affine(made)
            if own is None or not any(order == other and own.close_to(theirs) for other, theirs in maps):
                yield made

    def _affine(self, mistake: Mistake) -> Affine | None:
        values = self.later if mistake.values is None else mistake.values
        return None if callable(values) else compose(values, self.channels)

    def of_libraries(self, *, jpeg: bool) -> Iterator[Mistake]:
        """Other libraries' resizes, which no recipe can say, and decoders, where they are installed. They need the picture's source, and of
        a camera's there is none.

        jpeg: whether there are JPEG files, of which decoders make different pictures."""
        yield from self._other_greys()
        own = geometry_of(self.moves)
        if self.first.color in YUV or own is None or not (self.first.color == "GRAY" or {"R", "G", "B"} <= set(self.first.to)):
            return
        for decoder in ("OpenCV", "torchvision"):
            if jpeg and decoder not in absent():
                levels = self._computed(replace(own, decoder=decoder))
                yield Mistake(f"decoded by {decoder}", f"decoded by {decoder} in place of Pillow", levels=levels)
        if own.resampler is None:
            return
        for resampler in RESAMPLERS:
            other = replace(own, resampler=resampler)
            if resampler.library not in absent() and steps_of(other) is None:
                words = f"resized by {resampler.instead_of(own.resampler)}"
                yield Mistake(f"resized by {resampler.words}", words, levels=self._computed(other))

    def of_conversions(self, sources: Sequence[Source]) -> Iterator[Iterable[Mistake]]:
        """What is done wrong with Y, U and V in several ways at once, the simplest first; of a recipe that takes RGB what a program had
        done that decodes video. sources: pictures, which have to be like decoded video for that."""
        if self.first.color in YUV:
            yield from converted_together(self.first, self.moves)
        elif {"R", "G", "B"} == set(self.first.to) and self.first.pixel_dtype == "uint8":
            yield decoded_mistakes(sources, self.first.to, self.moves)

    def _other_greys(self) -> Iterator[Mistake]:
        """Of a recipe that takes grey pixels: other ways to make them."""
        rounded = {grey.weights for grey in GREYS if grey.rounds}
        for grey in GREYS if self.first.color == "GRAY" else ():
            other = grey.first if grey.rounds else grey.weights not in rounded
            if grey != PILLOWS and other and grey.library.split(" ")[0] not in absent():
                words = f"made grey {grey.name} in place of {PILLOWS.name.removeprefix('by ')}"
                yield Mistake(f"grey {grey.name}", words, levels=self._greyed(grey))

    def _greyed(self, grey: Grey) -> Callable[[Picture], Array]:
        def levels(picture: Picture) -> Array:
            assert picture.source is not None
            return picture.made(self.moves, self._of_grey(np.floor(grey(picture.source.picture()) + 0.5)))

        return levels

    def _of_grey(self, picture: NDArray[Any]) -> Array:
        """(1, C, H, W) of a picture (H, W, 1)."""
        return reference.apply([FromPixels(layout="NHWC", color="GRAY", to=self.first.to)], picture[None])

    def by_library(self, mistake: Mistake) -> Mistake | None:
        """The same, resized by OpenCV itself, which alone of the libraries that steps are named for rounds otherwise than the oracle here
        and there; None where no step is its resize, where it resizes planes, or OpenCV is not here."""
        if self.first.moves_planes:
            return None
        moves = mistake.levels if isinstance(mistake.levels, tuple) else self.moves
        return replace(mistake, library=OPENCV) if any(map(is_opencvs, moves)) and "OpenCV" not in absent() else None

    @property
    def without_opencv(self) -> bool:
        """Whether the recipe's own resize is OpenCV's, and it is not here."""
        return any(map(is_opencvs, self.moves)) and "OpenCV" in absent()

    def _computed(self, geometry: Moves) -> Callable[[Picture], Array]:
        grey = self.first.color == "GRAY"
        geometry = replace(geometry, grey=PILLOWS) if grey else geometry
        order = [0 if grey else "RGB".index(channel) for channel in COLORS[self.first.to]]

        def levels(picture: Picture) -> Array:
            assert picture.source is not None
            found = geometry.pixels(picture.source)[..., order]
            return np.asarray(found, np.float64).transpose(2, 0, 1)[None]

        return levels

    def picture_of(self, source: Source) -> Picture:
        """A picture (H, W, 3) in RGB, in whatever order the steps have it, made grey by Pillow, or as a camera gives it."""
        if self.first.color not in YUV:
            return Picture(self._planes_of(source), source, moves=self.moves)
        pixels = packed(source.picture(), self.first)[None]
        return self._of_pixels(pixels, source)

    def _of_pixels(self, pixels: NDArray[Any], source: Source | None = None) -> Picture:
        first = self.first if self.moves and self.first.moves_planes else None
        return Picture(self.planes(pixels), source, pixels=pixels, first=first, moves=self.moves)

    def _planes_of(self, source: Source) -> Array:
        if self.first.color == "GRAY":
            return self._of_grey(PILLOWS(source.picture()))
        pixels = source.picture()[None]
        if {"R", "G", "B"} <= set(self.first.to) and "A" not in self.first.to:
            return reference.apply([FromPixels(layout="NHWC", color="RGB", to=self.first.to)], pixels)
        return np.moveaxis(pixels, 3, 1).astype(np.float64)

    def planes(self, pixels: NDArray[Any]) -> Array:
        """(N, C, H, W) grey levels of the pixels, in the network's colours."""
        return reference.apply([self.first], pixels)

    def levels(self, picture: Picture, mistake: Mistake) -> Array:
        """The grey levels (N, C, h, w) that a mistake leaves of a picture, before their order."""
        if mistake.library == OPENCV:
            picture = replace(picture, opencv=True)
        if mistake.planes is not None:
            assert picture.pixels is not None
            picture = replace(picture, planes=mistake.planes(picture.pixels))
        if callable(mistake.levels):
            return mistake.levels(picture)
        return picture.made(self.moves if mistake.levels is None else mistake.levels)

    def ready(self, pixels: NDArray[Any], mistake: Mistake) -> Array:
        """(N, C, h, w) model-ready numbers, wrongly made of pixels."""
        levels = self.levels(self._of_pixels(pixels), mistake)
        ordered = levels if mistake.order is None else levels[:, list(mistake.order)]
        return valued(self.later if mistake.values is None else mistake.values, ordered)
