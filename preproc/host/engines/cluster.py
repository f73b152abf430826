"""The dask engine: chunks out to the workers of a cluster, answers back, merged there in groups."""

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

from ...errors import PreprocError, first_line
from .walk import Task
from .work import Work, do, merge

GROUP = 16
"""Answers that are merged on a worker before they come back."""


def check_installed() -> Any:
    """dask's module. Raises PreprocError where it is not installed."""
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise PreprocError(
            "expected dask.distributed for --engine dask, got none installed; pip install distributed", name="not-installed"
        ) from error


class Cluster(contextlib.AbstractContextManager["Cluster"]):
    """The cluster of the scheduler at that address, whose workers must see the same files and have preproc; without one a cluster of
    `workers` processes on this machine, on its loopback interface, without a dashboard.

    A worker that dies costs what it held, which dask lets others compute again, some times, before it tells of it.
    """

    tries = 1
    deadly = "got one that workers keep dying of"

    def __init__(self, workers: int, work: Work, *, scheduler: str | None) -> None:
        self.workers, self.work, self.scheduler = workers, work.to_json(), scheduler
        self.held: dict[Any, Task] = {}  # what each future does
        self.groups: set[Any] = set()  # those of the futures that merge others
        self.waiting: list[Any] = []  # those that are done, to be merged

    def __enter__(self) -> "Cluster":
        self.distributed = check_installed()
        with contextlib.ExitStack() as stack:
            try:
                where = self.scheduler or stack.enter_context(self._of_our_own())
                self.client = stack.enter_context(self.distributed.Client(where, timeout="10s"))
            except (OSError, TimeoutError, ValueError) as error:
                raise PreprocError(
                    f"expected a dask scheduler at {self.scheduler}, got: {first_line(error)}", name="remote-failed"
                ) from error
            self.done = self.distributed.as_completed()
            self.resources = stack.pop_all()
        return self

    def _of_our_own(self) -> Any:
        import logging

        return self.distributed.LocalCluster(
            n_workers=self.workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=logging.CRITICAL
        )

    def __exit__(self, *_: object) -> None:
        self.resources.close()

    def idle(self) -> bool:
        return True

    def busy(self) -> bool:
        return not self.done.is_empty() or bool(self.waiting)

    def give(self, task: Task) -> None:
        future = self.client.submit(do, self.work, list(task.items), pure=False)
        self.held[future] = task
        self.done.add(future)

    def answers(self) -> Iterator[tuple[Task, Any]]:
        if self.done.is_empty():
            self._submit_merge()
        future = next(self.done)
        if future.status == "finished" and future in self.groups:
            yield self.held.pop(future), future.result()
        elif future.status == "finished":
            self.waiting.append(future)
            if len(self.waiting) == GROUP:
                self._submit_merge()
        else:
            reason, task = future.exception(), self.held.pop(future)
            if not isinstance(reason, self.distributed.KilledWorker):
                raise PreprocError(f"expected dask's workers to run, got: {first_line(reason)}", name="remote-failed") from reason
            yield task, None

    def _submit_merge(self) -> None:
        future = self.client.submit(merge, self.work, self.waiting.copy(), pure=False)
        self.held[future] = Task([item for part in self.waiting for item in self.held.pop(part).items])
        self.groups.add(future)
        self.waiting.clear()
        self.done.add(future)
