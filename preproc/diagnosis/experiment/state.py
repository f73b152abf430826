"""What an experiment has found so far, in a file that grows by a line with each picture: whoever is killed goes on from there."""

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from ...errors import PreprocError

FORMAT = "preproc-compare-state"
ENDING = ".state.jsonl"
"""Behind the report's name."""


class State:
    """found: the lines that were there.  file: None where nothing is kept.  experiment: all that the answers depend on but the pictures.

    Raises PreprocError for the state of another experiment, and for one that was changed; half a line at the end, of a run that was killed
    as it wrote, is cut off.
    """

    def __init__(self, file: Path | None, experiment: str) -> None:
        self.file, self.found = file, list[Mapping[str, Any]]()
        self.open: IO[bytes] | None = None
        self.head = {"format": FORMAT, "version": 1, "experiment": hashlib.sha256(experiment.encode()).hexdigest()}

    def __enter__(self) -> Self:
        if self.file is None:
            return self
        whole = self._read() if self.file.exists() else 0
        self.open = self.file.open("r+b" if whole else "wb")
        self.open.truncate(whole)
        self.open.seek(whole)
        if not whole:
            self.add(self.head)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.open is not None:
            self.open.close()

    def add(self, line: Mapping[str, Any]) -> None:
        if self.open is not None:
            text = json.dumps(line, separators=(",", ":"))
            self.open.write(f"{zlib.crc32(text.encode()):08x} {text}\n".encode())
            self.open.flush()

    def remove(self) -> None:
        """There is nothing left to do."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)

    def _read(self) -> int:
        """How many bytes of it are whole lines."""
        assert self.file is not None
        data = self.file.read_bytes()
        whole = data.rfind(b"\n") + 1
        lines = list(self._lines(data[:whole]))
        if lines and lines[0] != self.head:
            raise PreprocError(
                f"{self.file}: expected the state of this experiment, got that of another model, other variants or other versions; remove "
                "it, or give the report another name",
                name="state-unfit",
            )
        self.found = lines[1:]
        return whole

    def _lines(self, data: bytes) -> Iterator[Mapping[str, Any]]:
        for number, line in enumerate(data.splitlines(), start=1):
            check, _, text = line.partition(b" ")
            if check != b"%08x" % zlib.crc32(text):
                raise PreprocError(
                    f"{self.file}: expected lines as they were written, got another one, number {number}; remove the file",
                    name="state-unfit",
                )
            yield json.loads(text)
