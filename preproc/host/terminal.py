"""What the command line says, apart from what libraries print meanwhile, which reaches neither stdout nor, unless asked for, stderr."""

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO


@dataclass
class _Ours:
    """The streams that are this program's own while a command runs, and whether libraries may speak on stderr."""

    stdout: TextIO | None = None
    stderr: TextIO | None = None
    verbose: bool = False


_OURS = _Ours()


def stdout() -> TextIO:
    """Where results go."""
    return _OURS.stdout or sys.stdout


def stderr() -> TextIO:
    """Where progress and errors go."""
    return _OURS.stderr or sys.stderr


def speak(*, verbose: bool) -> None:
    """Whether libraries' own lines go to stderr, or nowhere."""
    _OURS.verbose = verbose


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """While the body runs, whatever is printed other than on stdout() and stderr() of this module is a library's own: what Python prints,
    warns of and logs, and what C++ writes to the file descriptors 1 and 2, here and in processes that are started here."""
    before = sys.stdout, sys.stderr
    for stream in before:
        stream.flush()
    with contextlib.ExitStack() as stack:
        saved = [_copied(stack, number) for number in (1, 2)]
        sink = stack.enter_context(_opened(os.dup(saved[1]) if _OURS.verbose else os.open(os.devnull, os.O_WRONLY)))
        streams = [_own(stack, stream, number) for number, stream in zip((1, 2), before, strict=True)]
        try:
            for number in (1, 2):
                os.dup2(sink.fileno(), number)
            sys.stdout = sys.stderr = sink
            _OURS.stdout, _OURS.stderr = streams
            yield
        finally:
            _OURS.stdout = _OURS.stderr = None
            sys.stdout, sys.stderr = before
            for stream in (sink, *streams):
                with contextlib.suppress(BrokenPipeError):
                    stream.flush()
            for number, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, number)


def _copied(stack: contextlib.ExitStack, number: int) -> int:
    copy = os.dup(number)
    stack.callback(os.close, copy)
    return copy


def _own(stack: contextlib.ExitStack, stream: TextIO, number: int) -> TextIO:
    """A stream to where the file descriptor leads now; the very stream where it is none of the process's own, as under a test."""
    try:
        real = stream.fileno() == number
    except (OSError, AttributeError, ValueError):
        real = False
    return stack.enter_context(_opened(os.dup(number), stream.encoding, stream.errors)) if real else stream


def _opened(number: int, encoding: str | None = "utf-8", errors: str | None = "replace") -> TextIO:
    return open(number, "w", buffering=1, encoding=encoding, errors=errors)
