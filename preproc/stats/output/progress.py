"""How far the counting is, as a bar."""

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ...host import terminal
from .. import Progress as Callback


@contextlib.contextmanager
def counting_bar() -> Iterator[Callback]:
    """A bar with rate and time left, on stderr, if that is a terminal."""
    console = Console(file=terminal.stderr())
    bar = Progress(
        TextColumn("counting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=None, rate="")

        def update(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total or None, rate="" if speed is None else f"{speed:.0f} pictures/s")

        yield update
