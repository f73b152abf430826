"""The program that a worker of the local engine runs: work from the first line of stdin, a chunk from each other; a line of JSON on stdout
for each. The first says whether it could begin."""

import contextlib
import json
import os
import sys
from typing import Any

from ...errors import PreprocError, first_line
from .work import begin, do


def main() -> None:
    """Work as its to_json() has it, then lists of items in; null, or why it could not begin, then what it answers out."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # whatever a decoder prints must not come between

        def say(answer: Any) -> None:
            answers.write(json.dumps(answer) + "\n")
            answers.flush()

        with contextlib.suppress(BrokenPipeError):
            work = sys.stdin.readline().strip()
            failure = _failure(work)
            say(failure)
            for line in sys.stdin if failure is None else ():
                say(do(work, json.loads(line)))


def _failure(work: str) -> tuple[str, str] | None:
    """Why it cannot begin, and the name of the refusal; None where it can."""
    try:
        begin(work)
    except PreprocError as error:
        return str(error), error.name
    except Exception as error:  # noqa: BLE001 - whatever an import or a library of a network raises
        return f"expected worker processes that begin, got {type(error).__name__}: {first_line(error)}", "worker-failed"
    return None
