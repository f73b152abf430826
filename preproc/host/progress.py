"""What long work says meanwhile: a line per stage and, within one, how far it is and about how long the rest takes."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Progress = Callable[[str], None]
"""Called with a line of text, whenever there is one."""
Item = TypeVar("Item")
EVERY = 5.0
"""Seconds between two lines of one stage."""


def silent(_: str) -> None:
    """Nobody listens."""


class Stage:
    """One that begins now. total: items, or bytes where `in_bytes` is true."""

    def __init__(self, name: str, total: int, progress: Progress, *, in_bytes: bool = False) -> None:
        self.name, self.total, self.progress, self.in_bytes = name, total, progress, in_bytes
        self.started = self.told = time.monotonic()

    def at(self, done: int) -> None:
        """Says how far it is, if it was long ago that anything was said."""
        now = time.monotonic()
        if done and now - self.told >= EVERY:
            self.told, left = now, (now - self.started) / done * (self.total - done)
            far = f"{done / 1e9:.1f} of {self.total / 1e9:.1f} GB" if self.in_bytes else f"{done} of {self.total}"
            self.progress(f"{self.name}: {far}, about {left:.0f} s left")


def paced(items: Sequence[Item], stage: str, progress: Progress) -> Iterator[Item]:
    """The items, one by one; a stage that takes longer than EVERY says how many are done."""
    begun = Stage(stage, len(items), progress)
    for done, item in enumerate(items):
        begun.at(done)
        yield item
