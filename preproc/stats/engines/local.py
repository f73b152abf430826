"""The local engine: worker processes, each given a chunk at a time. A worker that dies costs its chunk, which another one gets."""

import contextlib
import json
import os
import selectors
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence

from ...host import children, threads
from ..counting import Tally, count_chunk
from ..places import Archives, Place
from .walk import Counting, Task

PROGRAM = "from preproc.stats.counting.worker import main; main()"
"""What a worker runs."""


def count_here(chunks: Iterable[Sequence[Place]], *, color: str | None, frames: str) -> Counting:
    """In this process."""
    with Archives() as archives:
        for chunk in chunks:
            yield count_chunk(chunk, color, frames, archives), chunk


class Processes(contextlib.AbstractContextManager["Processes"]):
    """So many worker processes."""

    tries = 2
    deadly = "expected a picture that can be decoded, got one that the decoder died of, twice"

    def __init__(self, workers: int, *, color: str | None, frames: str) -> None:
        self.team = [_Worker(color, frames) for _ in range(workers)]

    def __enter__(self) -> "Processes":
        with contextlib.ExitStack() as stack:
            self.selector = stack.enter_context(selectors.DefaultSelector())
            for worker in self.team:
                worker.start(self.selector)
                stack.callback(worker.stop)
            self.resources = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.resources.close()

    def idle(self) -> bool:
        return any(worker.task is None for worker in self.team)

    def busy(self) -> bool:
        return any(worker.task is not None for worker in self.team)

    def give(self, task: Task) -> None:
        next(worker for worker in self.team if worker.task is None).give(task)

    def answers(self) -> Iterator[tuple[Task, Tally | None]]:
        for key, _ in self.selector.select():
            worker: _Worker = key.data
            if (answer := worker.answer()) is not None:
                yield answer
            elif worker.ended:
                lost = worker.task
                worker.restart(self.selector)
                if lost is not None:  # else it died idle
                    yield lost, None


class _Worker:
    """A process that runs preproc.stats.counting.worker. task: what it is busy with, or None. Not multiprocessing: that would run the
    caller's main module again, and could not tell which chunk a dead worker had."""

    def __init__(self, color: str | None, frames: str) -> None:
        self.color, self.frames, self.read, self.ended = color, frames, b"", False
        self.task: Task | None = None

    def start(self, selector: selectors.BaseSelector) -> None:
        path = os.pathsep.join(filter(None, sys.path))
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path} | dict.fromkeys(threads.VARIABLES, "1"),  # the processes are what runs side by side
            process_group=0,  # a terminal's Ctrl-C is for the parent, which ends them
        )
        assert self.process.stdout is not None
        selector.register(self.process.stdout, selectors.EVENT_READ, self)

    def give(self, task: Task) -> None:
        self.task = task
        line = json.dumps({"chunk": [place.to_json() for place in task.places], "color": self.color, "frames": self.frames})
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died: its output ends, which the selector tells
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()

    def answer(self) -> tuple[Task, Tally] | None:
        """Reads what is there; what was counted for its task if that is whole."""
        assert self.process.stdout is not None
        data = os.read(self.process.stdout.fileno(), 1 << 20)
        self.ended = not data
        self.read += data
        if not self.read.endswith(b"\n") or self.task is None:
            return None
        tally, task = Tally.from_json(json.loads(self.read)), self.task
        self.read, self.task = b"", None
        return task, tally

    def restart(self, selector: selectors.BaseSelector) -> None:
        assert self.process.stdout is not None
        selector.unregister(self.process.stdout)
        self.stop()
        self.read, self.task = b"", None
        self.start(selector)

    def stop(self) -> None:
        children.end(self.process)
