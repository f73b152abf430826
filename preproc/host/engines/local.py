"""The local engine: worker processes, each given a chunk at a time. A worker that dies costs its chunk, which another one gets; one that
cannot even begin ends the work."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ...errors import PreprocError
from .. import children, threads
from .walk import Answers, Task
from .work import Chunk, Work

PROGRAM = "from preproc.host.engines.worker import main; main()"
"""What a worker runs."""


def here(chunks: Iterable[Chunk], work: Work) -> Answers:
    """In this process."""
    do = work.begun or work.begin(work.options)
    for chunk in chunks:
        yield do(chunk), chunk


class Processes(contextlib.AbstractContextManager["Processes"]):
    """So many worker processes. answers() raises PreprocError where one cannot begin: it says why, or dies of it `tries` times on end."""

    tries = 2
    deadly = "got one that a worker process died of, twice"

    def __init__(self, workers: int, work: Work) -> None:
        self.team = [_Worker(work) for _ in range(workers)]

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

    def answers(self) -> Iterator[tuple[Task, Any]]:
        for key, _ in self.selector.select():
            worker: _Worker = key.data
            if (answer := worker.answer()) is not None:
                yield answer
            elif worker.ended:
                lost, begun = worker.task, worker.ready
                if worker.starts == self.tries:
                    raise PreprocError(
                        f"expected worker processes that begin, got one that {worker.end()}, {self.tries} times on end; where memory is "
                        "short, ask for fewer --workers",
                        name="worker-failed",
                    )
                worker.restart(self.selector)
                if lost is not None and not begun:  # it did not die of that
                    worker.give(lost)
                elif lost is not None:  # else it died idle
                    yield lost, None


class _Worker:
    """A process that runs preproc.host.engines.worker. task: what it is busy with, or None.  ready: whether it has begun.  starts: since
    the last one that had. Not multiprocessing: that would run the caller's main module again, and could not tell which chunk a dead one
    had."""

    def __init__(self, work: Work) -> None:
        self.work, self.starts = work, 0

    def start(self, selector: selectors.BaseSelector) -> None:
        self.read, self.ended, self.ready = b"", False, False
        self.task: Task | None = None
        self.starts += 1
        path = os.pathsep.join(each or str(Path.cwd()) for each in sys.path)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM],  # -P: no module of the folder that one is in, if this process has none
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path} | dict.fromkeys(threads.VARIABLES, "1"),  # the processes are what runs side by side
            process_group=0,  # a terminal's Ctrl-C is for the parent, which ends them
        )
        assert self.process.stdout is not None
        selector.register(self.process.stdout, selectors.EVENT_READ, self)
        self._write(self.work.to_json())

    def give(self, task: Task) -> None:
        self.task = task
        self._write(json.dumps(list(task.items)))

    def _write(self, line: str) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died: its output ends, which the selector tells
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()

    def answer(self) -> tuple[Task, Any] | None:
        """Reads what is there; the answer to its task if that is whole. Raises PreprocError where it could not begin, and says why."""
        assert self.process.stdout is not None
        data = os.read(self.process.stdout.fileno(), 1 << 20)
        self.ended = not data
        self.read += data
        if not self.ready and b"\n" in self.read:
            line, _, self.read = self.read.partition(b"\n")
            self.ready, self.starts = True, 0
            if (failure := json.loads(line)) is not None:
                told, name = failure
                raise PreprocError(told, name=name)
        if not self.read.endswith(b"\n") or self.task is None:
            return None
        answer, task = json.loads(self.read), self.task
        self.read, self.task = b"", None
        return task, answer

    def restart(self, selector: selectors.BaseSelector) -> None:
        assert self.process.stdout is not None
        selector.unregister(self.process.stdout)
        self.stop()
        self.start(selector)

    def end(self) -> str:
        """How it ended, whose output has."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        code = self.process.returncode
        if code is not None and code < 0:
            return f"was ended by {signal.Signals(-code).name} before it had"
        return f"ended with code {code} before it had"

    def stop(self) -> None:
        children.end(self.process)
