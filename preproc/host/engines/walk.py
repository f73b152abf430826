"""The walk that engines share: chunks handed out as they are asked for, answers back, and what becomes of a chunk that workers died of."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from .work import Chunk


@dataclass(frozen=True)
class Lost:
    """In place of an answer: the workers died of a single item. reason: what is told of it, the end of a sentence."""

    reason: str


Answers = Generator[tuple[Any, Chunk]]
"""Answers, or Lost, in whatever order, each with the items that it is of. Closed, it ends whoever works."""


@dataclass(frozen=True, eq=False)
class Task:
    """A chunk, and how many workers have died of it."""

    items: Chunk
    deaths: int = 0


class Engine(AbstractContextManager["Engine"], Protocol):
    """Workers. tries: how many may die of a chunk.  deadly: what is told of an item that as many have died of."""

    tries: int
    deadly: str

    def idle(self) -> bool:
        """Whether it takes another task now."""

    def busy(self) -> bool:
        """Whether there is something to wait for."""

    def give(self, task: Task) -> None:
        """If it is idle."""

    def answers(self) -> Iterator[tuple[Task, Any]]:
        """Waits, if it is busy, for some of the tasks: each with its answer, or None where the worker died of it."""


def walk(chunks: Iterable[Chunk], engine: Engine) -> Answers:
    """A chunk that `tries` workers died of is split; a single item that as many died of is lost, and told so."""
    waiting, again = map(Task, chunks), deque[Task]()
    with engine:
        while True:
            while engine.idle() and (task := again.popleft() if again else next(waiting, None)) is not None:
                engine.give(task)
            if not engine.busy():
                return
            for done, answer in engine.answers():
                if answer is not None:
                    yield answer, done.items
                elif done.deaths + 1 < engine.tries:
                    again.append(Task(done.items, done.deaths + 1))
                elif len(done.items) > 1:
                    again.extend(Task([item]) for item in done.items)
                else:
                    yield Lost(engine.deadly), done.items
