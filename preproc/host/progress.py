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


def paced(items: Sequence[Item], stage: str, progress: Progress) -> Iterator[Item]:
    """The items, one by one; a stage that takes longer than EVERY says how many are done."""
    started = told = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - told >= EVERY:
            told, left = now, (now - started) / done * (len(items) - done)
            progress(f"{stage}: {done} of {len(items)}, about {left:.0f} s left")
        yield item
