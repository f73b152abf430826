"""The dask engine: chunks of places out to the workers of a cluster, statistics back, merged there in groups."""

import contextlib
import importlib
import logging
from collections.abc import Generator, Iterable, Sequence
from typing import Any

from ..errors import PreprocError, first_line
from .local import Result
from .sources import Place
from .work import deadly, merge, run_chunk

GROUP = 16
"""Results that are merged on a worker before they come back."""


def check_installed() -> Any:
    """dask's module. Raises PreprocError where it is not installed."""
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise PreprocError(
            "expected dask.distributed for --engine dask, got none installed; pip install distributed", name="not-installed"
        ) from error


def run(
    chunks: Iterable[Sequence[Place]], *, color: str | None, frames: str, workers: int, scheduler: str | None
) -> Generator[tuple[Result, Sequence[Place]]]:
    """As local.run(), on the cluster of the scheduler at that address, whose workers must see the same files and have preproc; without one
    on a cluster of `workers` processes on this machine, on its loopback interface, without a dashboard.

    A worker that dies costs what it held, which others compute again. A picture that workers keep dying of is told as broken.
    """
    distributed = check_installed()
    with contextlib.ExitStack() as stack:
        try:
            where = scheduler or stack.enter_context(
                distributed.LocalCluster(
                    n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=logging.CRITICAL
                )
            )
            client = stack.enter_context(distributed.Client(where, timeout="10s"))
        except (OSError, TimeoutError, ValueError) as error:
            raise PreprocError(f"expected a dask scheduler at {scheduler}, got: {first_line(error)}", name="remote-failed") from error
        held: dict[Any, Sequence[Place]] = {}  # what each future counts
        groups: set[Any] = set()  # those of the futures that merge others
        waiting: list[Any] = []
        done = distributed.as_completed()

        def submit(chunk: Sequence[Place]) -> None:
            future = client.submit(run_chunk, [place.to_json() for place in chunk], color, frames, pure=False)
            held[future] = chunk
            done.add(future)

        def submit_merge() -> None:
            future = client.submit(merge, waiting.copy(), pure=False)
            held[future] = [place for part in waiting for place in held.pop(part)]
            groups.add(future)
            waiting.clear()
            done.add(future)

        for chunk in chunks:
            submit(chunk)
        while not done.is_empty() or waiting:
            if done.is_empty():
                submit_merge()
            future = next(done)
            if future.status == "finished" and future in groups:
                yield future.result(), held.pop(future)
            elif future.status == "finished":
                waiting.append(future)
                if len(waiting) == GROUP:
                    submit_merge()
            else:
                reason, places = future.exception(), held.pop(future)
                if not isinstance(reason, distributed.KilledWorker):
                    raise PreprocError(f"expected dask's workers to run, got: {first_line(reason)}", name="remote-failed") from reason
                if len(places) == 1:
                    yield deadly(places[0], "expected a picture, got one that workers keep dying of"), places
                else:
                    for place in places:
                        submit([place])
