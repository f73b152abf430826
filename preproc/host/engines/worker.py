"""The program that a worker of the local engine runs: work from the first line of stdin, a chunk from each other; a line of JSON on stdout
for each."""

import contextlib
import json
import os
import sys

from .work import do


def main() -> None:
    """Work as its to_json() has it, then lists of items in; what it answers out."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # whatever a decoder prints must not come between
        with contextlib.suppress(BrokenPipeError):
            work = sys.stdin.readline().strip()
            for line in sys.stdin:
                answers.write(json.dumps(do(work, json.loads(line))) + "\n")
                answers.flush()
