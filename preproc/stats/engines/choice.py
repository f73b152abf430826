"""Which engine counts, with how many workers, and how much each is given at a time."""

import os
from collections.abc import Sequence

from ..places import CHUNK, Place, chunks
from .cluster import Cluster
from .local import Processes, count_here
from .walk import Counting, walk

ENGINES = ("local", "dask")
FEW = 2 * CHUNK
"""Files up to which no worker processes are started."""


def count_places(
    places: Sequence[Place], *, color: str | None, frames: str, engine: str, workers: int | None, scheduler: str | None
) -> Counting:
    """What there is to count, on so many workers; None: one per core, or for few files this process."""
    size = min(CHUNK, max(1, -(-len(places) // (workers or _cores()))))
    team = min(workers or _cores(), max(1, -(-len(places) // size)))
    portions = chunks(places, size)
    if engine == "dask":
        return walk(portions, Cluster(team, color=color, frames=frames, scheduler=scheduler))
    if workers is None and len(places) <= FEW:
        return count_here(portions, color=color, frames=frames)
    return walk(portions, Processes(team, color=color, frames=frames))


def _cores() -> int:
    """Those that this process may use, where the system says so."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
