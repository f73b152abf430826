"""What a command says: results on stdout, the rest on stderr."""

from typing import Any

from ..host import terminal

INTERRUPTED = 130
"""The exit code of shells for SIGINT."""


def progress_of(name: str) -> Any:
    """Stages of work on what has that name, on stderr."""
    return lambda text: say(f"{name}: {text}")


def say(text: str) -> None:
    """Progress, notes and errors."""
    print(f"preproc: {text}", file=terminal.stderr(), flush=True)


def refuse(text: str, name: str) -> None:
    """An error, with the name that `preproc explain` takes."""
    say(f"error: {text} [{name}]")


def tell(text: str) -> None:
    """Results."""
    print(text, file=terminal.stdout())
