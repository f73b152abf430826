"""The walk that engines share: chunks handed out as they are asked for, tallies back, and what becomes of a chunk that workers died of."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from ..counting import Remarks, Tally
from ..places import Place

Counting = Generator[tuple[Tally, Sequence[Place]]]
"""Tallies in whatever order, each with the places that it is of. Closed, it ends whoever counts."""


@dataclass(frozen=True, eq=False)
class Task:
    """A chunk, and how many workers have died of it."""

    places: Sequence[Place]
    deaths: int = 0


class Engine(AbstractContextManager["Engine"], Protocol):
    """Workers that count. tries: how many may die of a chunk.  deadly: what is told of a file that as many have died of."""

    tries: int
    deadly: str

    def idle(self) -> bool:
        """Whether it takes another task now."""

    def busy(self) -> bool:
        """Whether there is something to wait for."""

    def give(self, task: Task) -> None:
        """If it is idle."""

    def answers(self) -> Iterator[tuple[Task, Tally | None]]:
        """Waits, if it is busy, for some of the tasks: each with what was counted, or None where the worker died of it."""


def walk(chunks: Iterable[Sequence[Place]], engine: Engine) -> Counting:
    """A chunk that `tries` workers died of is split; a single file that as many died of is broken, and told so."""
    waiting, again = map(Task, chunks), deque[Task]()
    with engine:
        while True:
            while engine.idle() and (task := again.popleft() if again else next(waiting, None)) is not None:
                engine.give(task)
            if not engine.busy():
                return
            for done, tally in engine.answers():
                if tally is not None:
                    yield tally, done.places
                elif done.deaths + 1 < engine.tries:
                    again.append(Task(done.places, done.deaths + 1))
                elif len(done.places) > 1:
                    again.extend(Task([place]) for place in done.places)
                else:
                    yield Tally(remarks=Remarks([(str(done.places[0]), engine.deadly)])), done.places
