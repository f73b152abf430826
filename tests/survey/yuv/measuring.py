"""What a conversion is, found by its output alone: the nearest of the definitions, and how far it is from that one and from preproc's."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preproc.oracle import reference
from preproc.steps import FromPixels, layouts_of
from preproc.verify.inputs import PHOTOGRAPHS
from tests.survey.yuv.float64 import BLOCKS, LEVELS, Array, Bytes, Definition, Planes, decoded, definitions, encoded, in_memory
from tests.yuv import KR_KB

Run = Callable[[Bytes], NDArray[Any]]
SIZE = (128, 192)
ENCODINGS = list(product(KR_KB, LEVELS))
DECIDED = 0.6


@dataclass(frozen=True)
class Distance:
    """In grey levels, over all values: the largest and the mean absolute difference, the shares of those that are over half a level, and
    over one, which rounding alone never is, and the mean of what they are too bright."""

    largest: float
    mean: float
    differ: float
    over_one: float
    bias: float


@dataclass(frozen=True)
class Found:
    """nearest: of the definitions.  ratio: how far it is, over how far the nearest of another matrix or range is, both without each
    channel's mean difference.  own, linear, rgb8: from float64 (clipped), and from preproc's two conversions of that matrix and range with
    chroma replicated, on the photographs that are encoded so.  any_bytes: from float64, on those of every encoding.  taken: from float64 of
    another encoding's own definition, on its photographs: what it costs to feed it that."""

    nearest: Definition
    ratio: float
    own: Distance
    any_bytes: Distance
    linear: Distance
    rgb8: Distance
    taken: dict[tuple[str, str], Distance]

    @property
    def decided(self) -> bool:
        """Or it is none of them."""
        return self.ratio < DECIDED


@cache
def photographs(size: tuple[int, int] = SIZE) -> tuple[Bytes, ...]:
    """(H, W, 3)."""
    made = []
    for file in sorted(PHOTOGRAPHS.glob("*.jpg")):
        with Image.open(file) as image:
            made.append(np.asarray(image.convert("RGB").resize(size[::-1], Image.Resampling.BICUBIC)))
    return tuple(made)


def measured(run: Run, color: str, pictures: Sequence[Bytes]) -> Found:
    """run: pixels of that colour to (H, W, 3) grey levels."""
    block = BLOCKS[color]
    shown = {each: [encoded(picture, *each, block) for picture in pictures] for each in ENCODINGS}
    got = {each: [run(in_memory(planes, color)).astype(np.float64) for planes in shown[each]] for each in ENCODINGS}
    pairs = [(planes, made) for each in ENCODINGS for planes, made in zip(shown[each], got[each], strict=True)]
    spread = {definition: _spread(pairs, definition) for definition in definitions(block)}
    nearest = min(spread, key=lambda definition: spread[definition])
    kind = (nearest.matrix, nearest.range)
    others = min(value for definition, value in spread.items() if (definition.matrix, definition.range) != kind)

    def far(each: tuple[str, str], definition: Definition) -> Iterator[Array]:
        for planes, made in zip(shown[each], got[each], strict=True):
            yield np.clip(made, 0, 255) - np.clip(decoded(planes, definition), 0, 255)

    def from_ours(conversion: str) -> Iterator[Array]:
        for planes, made in zip(shown[kind], got[kind], strict=True):
            yield made - ours(planes, color, *kind, conversion)

    return Found(
        nearest,
        spread[nearest] / others,
        distance(far(kind, nearest)),
        distance(difference for each in ENCODINGS for difference in far(each, nearest)),
        distance(from_ours("linear")),
        distance(from_ours("rgb8")),
        {each: distance(far(each, Definition(*each, nearest.down, nearest.across))) for each in ENCODINGS},
    )


def _spread(pairs: Sequence[tuple[Planes, Array]], definition: Definition) -> float:
    """The root of the mean square of what a conversion differs by where nothing clips, without each channel's mean: a conversion that is
    darker everywhere is no other matrix."""
    count, total, squares = np.zeros((3, 3))
    for planes, made in pairs:
        truth = decoded(planes, definition)
        inside = (truth > 0) & (truth < 255)
        difference = np.where(inside, made - truth, 0)
        count += inside.sum(axis=(0, 1))
        total += difference.sum(axis=(0, 1))
        squares += np.square(difference).sum(axis=(0, 1))
    return float(np.sqrt(np.mean(squares / count - np.square(total / count))))


def distance(differences: Iterator[Array]) -> Distance:
    values = np.concatenate([each.reshape(-1) for each in differences])
    size = np.abs(values)
    return Distance(float(size.max()), float(size.mean()), float((size > 0.5).mean()), float((size > 1).mean()), float(values.mean()))


def ours(planes: Planes, color: str, matrix: str, range_: str, conversion: str) -> Array:
    """(H, W, 3) as preproc's oracle makes them."""
    layout = "NHWC" if "NHWC" in layouts_of(color) else layouts_of(color)[0]
    step = FromPixels(layout=layout, color=color, matrix=matrix, range=range_, conversion=conversion)
    return np.moveaxis(reference.apply([step], in_memory(planes, color)[None])[0], 0, 2)
