"""Which of the pictures that were found are counted: those of a sample, the pixels of a mask; and in what portions."""

import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ...errors import PreprocError
from .place import Broken, Found, Place, is_tar
from .search import matches


def masked(found: Found, pattern: str) -> Found:
    """Each place with the mask of the same stem; those without become broken. Where several pictures or masks have one stem, the folders
    above have to agree as well, as in mirrored trees: a/1.png with masks/a/1.png."""
    masks: dict[str, list[str]] = {}
    for path in matches(pattern):
        masks.setdefault(Path(path).stem, []).append(path)
    if not masks:
        raise PreprocError(f"--mask-glob {pattern}: expected masks, got none", name="mask-unfit")
    own = {os.path.realpath(path) for same in masks.values() for path in same}
    places = [place for place in found.places if place.archive is not None or os.path.realpath(place.name) not in own]
    stems = Counter(Path(place.name).stem for place in places)
    with_mask, without = list[Place](), list[Broken]()
    for place in places:
        stem = Path(place.name).stem
        fitting = masks.get(stem, [])
        if len(fitting) > 1 or stems[stem] > 1:
            fitting = [path for path in fitting if Path(path).parent.name == Path(place.name).parent.name]
        if len(fitting) == 1:
            with_mask.append(replace(place, mask=fitting[0]))
        else:
            where = ", in a folder of the same name, for there are several" if masks.get(stem) else ""
            without.append((str(place), f"expected a mask called {stem}{where}, got {' and '.join(fitting) or 'none'}"))
    return Found(with_mask, found.broken + without, found.left_out)


def sampled(found: Found, sample: str, *, seed: int) -> Found:
    """N files, or P% of them: a simple random sample without replacement, the same for the same places whatever their order.

    Of files, for how many pages or frames each has is known only when it is read."""
    total = len(found.places)
    try:
        number = round(float(sample[:-1]) / 100 * total) if sample.endswith("%") else int(sample)
    except (ValueError, OverflowError) as error:
        raise PreprocError(
            f"--sample: expected a number of files or a percentage such as 5%, got {sample!r}", name="option-value"
        ) from error
    if sample.endswith("%") and float(sample[:-1]) > 100:
        raise PreprocError(f"--sample: expected at most 100%, got {sample}", name="option-value")
    if number < 1:
        raise PreprocError(f"--sample: expected at least one file, got {sample} of {total}", name="option-value")
    places = sorted(found.places, key=str)
    chosen = places if number >= total else random.Random(seed).sample(places, number)
    return Found(chosen, found.broken, found.left_out)


def chunks(places: Sequence[Place], size: int) -> Iterator[list[Place]]:
    """In order of archives and positions; the members of a compressed tar, which can only be read from its beginning, stay together."""
    whole: dict[str, list[Place]] = {}
    rest = []
    for place in sorted(places, key=lambda place: (place.archive or "", place.offset or 0, place.name)):
        if place.archive is not None and place.offset is None and is_tar(place.archive):
            whole.setdefault(place.archive, []).append(place)
        else:
            rest.append(place)
    yield from whole.values()
    for start in range(0, len(rest), size):
        yield rest[start : start + size]
