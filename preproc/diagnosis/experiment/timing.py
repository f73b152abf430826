"""What a variant costs: time per picture and bytes per request."""

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...verify import inputs
from .pictures import Picture, read, sent
from .plan import Variant
from .running import Running

MOST_PICTURES = 8
"""That are timed."""
FEWEST, MOST, SECONDS = 5, 41, 8.0
"""Rounds through all variants, the first of which is not counted; and how long they may take, unless these are the fewest."""
TOLD = 0.5
"""Of the median: what is spread further has measured something else."""


@dataclass(frozen=True)
class Took:
    """Of one picture at a time, in the process that compares, in milliseconds. prepare: in front of the network; 0 for a file, which does
    it inside.  total: that and the network.  Both are medians of the rounds.  within: what the middle half of the total's lies in."""

    prepare: float
    total: float
    within: tuple[float, float]

    def words(self) -> tuple[str, str]:
        """The total, and what it is within."""
        total, low, high = (f"{each:.2f}" if self.total < 10 else f"{each:.0f}" for each in (self.total, *self.within))
        return total, f"{low} to {high}"


@dataclass(frozen=True)
class Cost:
    """took: None where the rounds differ by too much to tell.  sent: bytes of a picture as the caller sends it, the mean."""

    took: Took | None
    sent: float


def costs(running: Running, paths: Sequence[Path]) -> list[Cost]:
    """Of all variants, a round through all for each picture in turn, each in another order: whatever else the machine does hits each alike,
    and no variant always follows the same one."""
    variants = running.plan.variants
    taken = list[list[tuple[float, float]]]()
    given = [_given(running, path) for path in paths[:MOST_PICTURES]]
    orders, begun = np.random.default_rng(0), time.perf_counter()
    for number, ways in enumerate(itertools.islice(itertools.cycle(given), MOST)):
        if number >= FEWEST and time.perf_counter() - begun > SECONDS:
            break
        found = {place: _once(running, variants[place], ways[place][0]) for place in orders.permutation(len(variants)).tolist()}
        taken.append([found[place] for place in range(len(variants))])
    sizes = [statistics.mean(ways[place][1] for ways in given) for place in range(len(variants))]
    return [Cost(_took(times), size) for times, size in zip(zip(*taken[1:], strict=True), sizes, strict=True)]


def _given(running: Running, path: Path) -> list[tuple[Picture, int]]:
    """What each variant is handed of a picture, and how many bytes that are."""
    pictures = {pixels: read(path, pixels) for pixels in {variant.pixels for variant in running.plan.variants}}
    return [sent(pictures[variant.pixels], variant) for variant in running.plan.variants]


def _once(running: Running, variant: Variant, picture: Picture) -> tuple[float, float]:
    """Seconds in front of the network, and altogether."""
    given = inputs.laid_out(picture, variant.pixels)
    start = time.perf_counter()
    ready = given if variant.steps is None else running.prepare(variant.steps, given)
    prepared = time.perf_counter()
    running.networks[variant.network](ready)
    return prepared - start, time.perf_counter() - start


def _took(times: Sequence[tuple[float, float]]) -> Took | None:
    prepare, total = (1000 * np.array(each) for each in zip(*times, strict=True))
    low, middle, high = (float(each) for each in np.quantile(total, [0.25, 0.5, 0.75]))
    return Took(float(np.median(prepare)), middle, (low, high)) if high - low <= TOLD * middle else None
