"""The pictures that ranges are taken from: raw pixels, as the model takes them. What is to be known of them is told."""

import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...oracle import reference
from ...sources import PixelsSpec, Recipe
from ...steps import COLORS, Geometry, Normalize, Step
from ...verify import inputs, sizes_of

FEW = 50
"""Fewer pictures than that are told. TensorRT's guide takes about 500, ONNX Runtime's examples 100."""
FAR = 0.5
"""From how many stds on a mean is told as another data set's: a medium effect (Cohen, "Statistical Power Analysis for the Behavioral
Sciences", 1988)."""


@dataclass(frozen=True)
class Calibration:
    """count: of the pictures.  pictures: reads them again, each a batch of one as the model takes it.  notes: what else somebody should
    know of them."""

    count: int
    pictures: Callable[[], Iterator[NDArray[Any]]]
    notes: tuple[str, ...]


def calibrated_with(folder: Path, recipe: Recipe) -> Calibration:
    """Reads every picture once. Those of another size than the model takes are scaled to it; where its sides are free and it resizes
    itself, they stay as they are. Raises PreprocError where there are none, and for one that cannot be read or is none of raw pixels."""
    pixels = recipe.pixels
    moved = any(isinstance(step, Geometry) for step in recipe.steps)
    read = functools.partial(_read, folder, pixels, None if moved else sizes_of(recipe)[0])
    seen = _Seen(pixels)
    for picture in read():
        seen.add(picture)
    notes = (*inputs.notes(folder), *_few(seen), *_alike(seen, pixels), *_unrelated(seen, recipe.steps))
    return Calibration(seen.count, read, notes)


def _read(folder: Path, pixels: PixelsSpec, size: tuple[int, int] | None) -> Iterator[NDArray[Any]]:
    return (picture for _, picture in inputs.from_folder(folder, pixels, size))


class _Seen:
    """What the pictures have in common. sums, squares: of each channel's values, exact in float64."""

    def __init__(self, pixels: PixelsSpec) -> None:
        self.axis = 3 if pixels.layout == "NHWC" else 1
        self.colors = [COLORS[pixels.color].index(name) for name in "RGB"] if set("RGB") <= set(COLORS[pixels.color]) else []
        self.count, self.grey, self.values, self.digests = 0, 0, 0, set[bytes]()
        self.sums, self.squares = np.zeros(pixels.channels), np.zeros(pixels.channels)

    def add(self, picture: NDArray[Any]) -> None:
        planes = np.moveaxis(picture, self.axis, 0).reshape(picture.shape[self.axis], -1)
        self.count, self.values = self.count + 1, self.values + planes.shape[1]
        self.digests.add(hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).digest())
        self.grey += bool(self.colors) and all(np.array_equal(planes[self.colors[0]], planes[channel]) for channel in self.colors[1:])
        exact = planes.astype(np.float64)
        self.sums, self.squares = self.sums + exact.sum(axis=1), self.squares + np.square(exact).sum(axis=1)

    @property
    def mean(self) -> NDArray[np.float64]:
        return self.sums / self.values

    @property
    def std(self) -> NDArray[np.float64]:
        return np.sqrt(np.maximum(self.squares / self.values - self.mean**2, 0.0))


def _few(seen: _Seen) -> Iterator[str]:
    if seen.count < FEW:
        pictures = "one picture" if seen.count == 1 else f"{seen.count} pictures"
        yield f"calibrated with {pictures}: ranges of so few are narrow, {FEW} and more are usual"


def _alike(seen: _Seen, pixels: PixelsSpec) -> Iterator[str]:
    if seen.count - len(seen.digests):
        different = "one picture alone" if len(seen.digests) == 1 else f"{len(seen.digests)} different pictures"
        yield f"calibrated with {different}: {seen.count - len(seen.digests)} of {seen.count} are there again"
    if seen.grey:
        share = "all" if seen.grey == seen.count else f"{seen.grey}"
        yield f"calibrated with grey pictures, {share} of {seen.count}, a model that takes {pixels.color}"
    if not seen.std.all():
        yield "calibrated with pictures in which a channel has one value everywhere"


def _unrelated(seen: _Seen, sequence: Sequence[Step]) -> Iterator[str]:
    """Behind a normalization with a data set's statistics, that data set has mean 0 and std 1."""
    kept = [step for step in sequence if not isinstance(step, Geometry)]
    at = next((at for at, step in enumerate(kept) if isinstance(step, Normalize)), None)
    if at is None:
        return
    step, front = kept[at], kept[: at + 1]
    assert isinstance(step, Normalize)
    mean = _through(front, seen, seen.mean)
    std = np.abs(_through(front, seen, seen.mean + seen.std) - mean)
    if np.abs(mean).max() > FAR or std.max() > 2 or std.max() < 0.5:
        told = ", ".join(f"{one:+.2f} and {other:.2f}" for one, other in zip(mean, std, strict=True))
        yield (
            f"calibrated with pictures unlike those of {step.origin or 'its mean and std'}: normalized, the mean and std of their channels "
            f"are {told}, not near 0 and 1"
        )


def _through(sequence: Sequence[Step], seen: _Seen, value: NDArray[np.float64]) -> NDArray[np.float64]:
    shape = (1, 1, 1, -1) if seen.axis == 3 else (1, -1, 1, 1)
    return reference.apply(sequence, value.reshape(shape)).reshape(-1)
