"""What a variant costs: time per picture and bytes per request."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...verify import inputs
from .pictures import Picture, read, sent
from .plan import Variant
from .running import Running

MOST_PICTURES, TIMES, SECONDS = 8, 3, 8.0
"""That are timed, how often each, and about how long that may take altogether."""


@dataclass(frozen=True)
class Cost:
    """Of one picture at a time, in the process that compares. prepare_ms: in front of the network; 0 for a file, which does it inside.
    total_ms: that and the network. Both are of the fastest of several times, the median of some pictures.  sent: bytes of a picture as the
    caller sends it, the mean."""

    prepare_ms: float
    total_ms: float
    sent: float


def costs(running: Running, paths: Sequence[Path]) -> list[Cost]:
    """Of all variants, in turns: whatever else the machine does hits each alike."""
    variants = running.plan.variants
    times: list[list[tuple[float, float]]] = [[] for _ in variants]
    sizes: list[list[int]] = [[] for _ in variants]
    begun = time.perf_counter()
    for number, path in enumerate(paths[:MOST_PICTURES]):
        if number and time.perf_counter() - begun > SECONDS:
            break
        pictures = {pixels: read(path, pixels) for pixels in {variant.pixels for variant in variants}}
        ways = [sent(pictures[variant.pixels], variant) for variant in variants]
        rounds = [[_once(running, variant, picture) for variant, (picture, _) in zip(variants, ways, strict=True)] for _ in range(TIMES)]
        for place, (_, size) in enumerate(ways):
            times[place].append(min((each[place] for each in rounds), key=lambda both: both[1]))
            sizes[place].append(size)
    return [_cost(taken, size) for taken, size in zip(times, sizes, strict=True)]


def _once(running: Running, variant: Variant, picture: Picture) -> tuple[float, float]:
    """Seconds in front of the network, and altogether."""
    given = inputs.laid_out(picture, variant.pixels)
    start = time.perf_counter()
    ready = given if variant.steps is None else running.prepare(variant.steps, given)
    prepared = time.perf_counter()
    running.networks[variant.network](ready)
    return prepared - start, time.perf_counter() - start


def _cost(taken: Sequence[tuple[float, float]], sizes: Sequence[int]) -> Cost:
    prepare, total = (1000 * statistics.median(each) for each in zip(*taken, strict=True))
    return Cost(prepare, total, statistics.mean(sizes))
