"""The program that a worker of the local engine runs: chunks from stdin, a line of JSON each, until it ends; a line on stdout for each."""

import contextlib
import json
import os
import sys

from ..places import Archives, Place
from .chunk import count_chunk


def main() -> None:
    """{"chunk": places, "color": ..., "frames": ...} in, a tally out."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers, Archives() as archives:
        os.dup2(2, 1)  # whatever a decoder prints must not come between
        with contextlib.suppress(BrokenPipeError):
            for line in sys.stdin:
                task = json.loads(line)
                tally = count_chunk([Place.from_json(data) for data in task["chunk"]], task["color"], task["frames"], archives)
                answers.write(json.dumps(tally.to_json()) + "\n")
                answers.flush()
