"""Which engine does it, with how many workers, and how much each is given at a time."""

import os
from collections.abc import Callable, Iterable

from ...errors import PreprocError
from .cluster import Cluster
from .local import Processes, here
from .walk import Answers, walk
from .work import Chunk, Work

ENGINES = ("local", "dask")
CHUNK = 32
"""Items that a worker is given at a time, at most."""
FEW = 2 * CHUNK
"""Items up to which no worker processes are started."""


def check_engine(engine: str, workers: int | None) -> None:
    """Raises PreprocError for an engine, or a number of workers, that there is not."""
    if engine not in ENGINES:
        raise PreprocError(f"expected an engine, one of {', '.join(ENGINES)}, got {engine!r}", name="unknown-choice")
    if workers is not None and workers < 1:
        raise PreprocError(f"expected at least one worker, got {workers}", name="option-value")


def perform(
    work: Work,
    split: Callable[[int], Iterable[Chunk]],
    count: int,
    *,
    engine: str = "local",
    workers: int | None = None,
    scheduler: str | None = None,
) -> Answers:
    """The work on so many workers; None: one per core, or for few items this process.

    split: the chunks, of so many items at most.  count: of all items.  scheduler: a dask cluster's address; None: one on this machine.
    """
    size = min(CHUNK, max(1, -(-count // (workers or _cores()))))
    team = min(workers or _cores(), max(1, -(-count // size)))
    if engine == "dask":
        return walk(split(size), Cluster(team, work, scheduler=scheduler))
    if workers is None and count <= FEW:
        return here(split(size), work)
    return walk(split(size), Processes(team, work))


def _cores() -> int:
    """Those that this process may use, where the system says so."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
