"""The local engine: worker processes, each given a chunk at a time. A worker that dies costs its chunk, which another one gets."""

import contextlib
import json
import os
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..host import children, threads
from .sources import Place
from .work import Archives, deadly, run_chunk

Result = Mapping[str, Any]
"""As run_chunk()'s."""
PROGRAM = "from preproc.stats.work import main; main()"
"""What a worker runs."""
Task = tuple[Sequence[Place], int]
"""A chunk, and how many workers have died of it."""


def run(chunks: Iterable[Sequence[Place]], *, color: str | None, frames: str, workers: int) -> Generator[tuple[Result, Sequence[Place]]]:
    """The chunks' results in whatever order, each with its places.

    workers: 0 for this process. A chunk that two workers died of is split; a single picture that two died of is broken, and told so.
    """
    if workers == 0:
        with Archives() as archives:
            for chunk in chunks:
                yield run_chunk([place.to_json() for place in chunk], color, frames, archives), chunk
        return
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        team = [_Worker(color, frames) for _ in range(workers)]
        waiting, again = iter(chunks), deque[Task]()
        for worker in team:
            worker.start(selector)
            stack.callback(worker.stop)
        while True:
            for worker in team:
                if worker.task is None and (task := _next(again, waiting)) is not None:
                    worker.give(task)
            if all(worker.task is None for worker in team):
                return
            for key, _ in selector.select():
                worker = key.data
                if (found := worker.answer()) is not None:
                    yield found
                elif worker.ended:
                    lost, deaths = worker.task or ((), 0)
                    worker.restart(selector)
                    if not lost:
                        continue  # it died idle
                    if deaths == 0:
                        again.append((lost, 1))
                    elif len(lost) > 1:
                        again.extend(([place], 0) for place in lost)
                    else:
                        reason = "expected a picture that can be decoded, got one that the decoder died of, twice"
                        yield deadly(lost[0], reason), lost


def _next(again: deque[Task], waiting: Iterator[Sequence[Place]]) -> Task | None:
    if again:
        return again.popleft()
    chunk = next(waiting, None)
    return None if chunk is None else (chunk, 0)


class _Worker:
    """A process that runs preproc.stats.work. task: what it is busy with, or None. Not multiprocessing: that would run the caller's main
    module again, and could not tell which chunk a dead worker had."""

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
        line = json.dumps({"chunk": [place.to_json() for place in task[0]], "color": self.color, "frames": self.frames})
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died: its output ends, which the selector tells
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()

    def answer(self) -> "tuple[Result, Sequence[Place]] | None":
        """Reads what is there; the result of its task if that is whole."""
        assert self.process.stdout is not None
        data = os.read(self.process.stdout.fileno(), 1 << 20)
        self.ended = not data
        self.read += data
        if not self.read.endswith(b"\n") or self.task is None:
            return None
        result, chunk = json.loads(self.read), self.task[0]
        self.read, self.task = b"", None
        return result, chunk

    def restart(self, selector: selectors.BaseSelector) -> None:
        assert self.process.stdout is not None
        selector.unregister(self.process.stdout)
        self.stop()
        self.read, self.task = b"", None
        self.start(selector)

    def stop(self) -> None:
        children.end(self.process)
