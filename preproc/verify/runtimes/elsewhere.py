"""A runtime in a process of its own. Questions and answers are lines of JSON, arrays are .npy files, and nothing is pickled."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import BundleError, PreprocError, RuntimeAbsentError, VerificationError, first_line
from ...host import children
from .base import Outputs, Runtime, no_room
from .watched import Watched

PROGRAM = f"from {__name__} import main; main()"
"""What the process runs."""
_ERRORS = {kind.__name__: kind for kind in (BundleError, PreprocError, RuntimeAbsentError, VerificationError)}


class Elsewhere(Runtime):
    """Runs a file as `runtime` would, in a process that open() starts and the end of the with-block ends. why: stands behind the proof.

    If that process dies, what was asked for raises VerificationError, which says of what.
    """

    def __init__(self, runtime: Runtime, why: str) -> None:
        self.name, self.file, self.why, self.runtime = runtime.name, runtime.file, why, runtime
        self.asked: Mapping[str, Any] = {
            "name": runtime.name,
            "outputs": list(getattr(runtime, "outputs", ())),
            "tf32": bool(getattr(runtime, "tf32", False)),
        }
        self.resources = contextlib.ExitStack()
        self.process: subprocess.Popen[str] | None = None

    @property
    def kind(self) -> type[Runtime]:
        return self.runtime.kind

    @property
    def reduced(self) -> bool:
        return self.runtime.reduced

    def __enter__(self) -> "Elsewhere":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def open(self, path: Path) -> None:
        self.close()
        self.folder = Path(self.resources.enter_context(tempfile.TemporaryDirectory(prefix="preproc-")))
        said = self.resources.enter_context((self.folder / "stderr").open("w"))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TMPDIR": str(self.folder)},
        )
        self.resources.callback(children.end, self.process)
        self._ask("open", {**self.asked, "path": str(path.absolute()), "folder": str(self.folder)})

    def run(self, pixels: NDArray[Any], others: Mapping[str, NDArray[Any]] = MappingProxyType({})) -> Outputs:
        _write(self.folder, "in", [pixels, *others.values()])
        names: list[str] = self._ask("run", list(others))
        return dict(zip(names, _read(self.folder, "out", len(names)), strict=True))

    def proof(self) -> str:
        return f"{self._ask('proof', None)}, {self.why}"

    def close(self) -> None:
        """Lets the file go, and ends the process."""
        if self.process is not None:
            with contextlib.suppress(PreprocError):  # it may have died
                self._ask("close", None)
        self.resources.close()
        self.process = None

    def _ask(self, method: str, argument: object) -> Any:
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it died: its output ends, which is told below
            self.process.stdin.write(json.dumps([method, argument]) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line.endswith("\n"):
            raise VerificationError(f"the process that ran it {self._death()}")
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise VerificationError(f"the process that ran it said what is no answer: {line.strip()[:200]}") from error
        if "error" in answer:
            raise _ERRORS.get(answer["error"], PreprocError)(answer["message"], name=answer["name"])
        return answer["answer"]

    def _death(self) -> str:
        assert self.process is not None
        status = self.process.wait()
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        said = (self.folder / "stderr").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return how + (f": {said[-1][:200]}" if said else "")


class _Inner:
    """The runtime in the other process, asked for by method and argument."""

    def open(self, asked: Mapping[str, Any]) -> None:
        from .kinds import RUNTIMES, here

        self.runtime = Watched(here(RUNTIMES[asked["name"]], None, asked["outputs"], tf32=asked["tf32"]))
        self.folder = Path(asked["folder"])
        self.runtime.open(Path(asked["path"]))

    def run(self, names: Sequence[str]) -> list[str]:
        pixels, *others = _read(self.folder, "in", 1 + len(names))
        outputs = self.runtime.run(pixels, dict(zip(names, others, strict=True)))
        _write(self.folder, "out", list(outputs.values()))
        return list(outputs)

    def proof(self, _: None) -> str:
        return self.runtime.proof()

    def close(self, _: None) -> None:
        self.runtime.close()


def main() -> None:
    """Reads questions from stdin until it ends, and answers each with a line on stdout."""
    inner = _Inner()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # whatever a library prints must not come between
        for line in sys.stdin:
            method, argument = json.loads(line)
            answers.write(json.dumps(_answer(inner, method, argument)) + "\n")
            answers.flush()


def _answer(inner: _Inner, method: str, argument: Any) -> dict[str, Any]:
    try:
        return {"answer": getattr(inner, method)(argument)}
    except PreprocError as error:
        return {"error": type(error).__name__, "message": str(error), "name": error.name}
    except Exception as error:  # noqa: BLE001 - a runtime's own, of any class: the parent tells it as it would its own
        return {"error": "PreprocError", "message": f"{type(error).__name__}: {first_line(error)}", "name": "runtime-refuses-file"}


def _write(folder: Path, side: str, arrays: Sequence[NDArray[Any]]) -> None:
    try:
        for position, array in enumerate(arrays):
            np.save(folder / f"{side}-{position}.npy", array, allow_pickle=False)
    except OSError as error:
        raise no_room(folder, "pixels and outputs", error) from error


def _read(folder: Path, side: str, count: int) -> list[NDArray[Any]]:
    return [np.load(folder / f"{side}-{position}.npy", allow_pickle=False) for position in range(count)]
