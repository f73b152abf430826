"""What each normalization makes of some pictures of a data set, as a network sees it."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import PreprocError
from ...host.decoding import ImageFile
from ...oracle import reference
from ...steps import MinMaxNormalize, Normalize, Rescale, Standardize, Step
from .. import Stats
from ..counting import convert
from ..places import Archives, find, readers, sampled
from .plots import as_img

PICTURES, SIDE = 3, 220
"""How many pictures are shown, and the longer side to which they are made smaller first, in pixels."""
VISIBLE = 2.5
"""Values are drawn from -VISIBLE, black, to VISIBLE, white."""
NOTE = (
    f"<p>Above each picture its smallest and largest value. All are drawn from {-VISIBLE:g}, black, to {VISIBLE:g}, white, as a network "
    "that expects values around 0 sees them.</p>"
)


def normalized(pyplot: Any, stats: Stats, sources: Sequence[str]) -> str | None:
    """A row for each of a few pictures, always the same ones, as <img>; None where the sources have none that can be shown."""
    shown = list(_shown(sources))
    return _drawn(pyplot, shown, _variants(stats)) if shown else None


def _shown(sources: Sequence[str]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """The first page or frame of each file, in RGB, with its name. What cannot be read is left out."""
    paths = [source for source in sources if not source.endswith(".json")]
    if not paths:
        return
    places = sampled(find(paths), str(PICTURES), seed=0).places
    with Archives() as archives:
        for archive in dict.fromkeys(place.archive for place in places):
            for place, read in readers(archive, [place for place in places if place.archive == archive], archives):
                with contextlib.suppress(PreprocError, OSError), ImageFile(read(), frames="first") as file:
                    image = convert(file.read(file.numbers[0]), "RGB")
                    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
                    yield f"{place}{file.name(file.numbers[0])}", np.asarray(image)


def _variants(stats: Stats) -> dict[str, list[Step]]:
    found: dict[str, list[Step]] = {"rescale": [Rescale()], "ImageNet's constants": [Rescale(), Normalize.preset("imagenet")]}
    if list(stats.accumulator.kinds) == ["RGB"]:
        mean, std = stats.mean_and_std()
        if all(std):
            own = Normalize(mean=tuple(mean), std=tuple(std), unit="0-1", constants_because="they are counted")
            found["this data set's z-score"] = [Rescale(), own]
    return found | {"min-max per picture": [MinMaxNormalize()], "standardize per picture": [Standardize()]}


def _drawn(pyplot: Any, shown: Sequence[tuple[str, NDArray[np.uint8]]], variants: Mapping[str, Sequence[Step]]) -> str:
    figure, axes = pyplot.subplots(len(shown), 1 + len(variants), figsize=(2.1 * (1 + len(variants)), 2.2 * len(shown)), squeeze=False)
    for row, (name, picture) in zip(axes, shown, strict=True):
        row[0].imshow(picture)
        row[0].set_title(f"{_name(name)}\n{picture.min()}..{picture.max()}", fontsize=7, parse_math=False)
        for axis, (word, steps) in zip(row[1:], variants.items(), strict=True):
            values = reference.apply(steps, np.moveaxis(picture[None], -1, 1).astype(np.float64))[0]
            axis.imshow(np.moveaxis(np.clip((values + VISIBLE) / (2 * VISIBLE), 0, 1), 0, -1))
            axis.set_title(f"{word}\n{values.min():.2f}..{values.max():.2f}", fontsize=7)
    for axis in axes.flat:
        axis.set_axis_off()
    return as_img(pyplot, figure, "Pictures before and after each normalization")


def _name(path: str) -> str:
    """The beginning of a file's name, as far as it is text."""
    return "".join(letter if letter.isprintable() else "?" for letter in Path(path).name[:22])
