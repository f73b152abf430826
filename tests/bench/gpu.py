"""make gpu: proofs and figures on a CUDA device, to $OUT or tests/bench/results/.

The proofs (the cuda tests, and bundles in every runtime) run at the same time, the figures one after another, each group in a process of
its own: one that dies, or kills its CUDA context, is told, and the others go on. The document is written anew whenever something was
found; it says "complete": false until every group has come to its end. Exit 1 if something is wrong.

    python -m tests.bench.gpu [--device cpu] [--quick] [--out FOLDER] [GROUP...]
"""

import argparse
import importlib
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from preproc.errors import PreprocError
from preproc.host import versions

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "tests.bench.gpu"]
PROOFS, FIGURES = 300.0, 240.0
"""Seconds that all proofs together, and all figures together, may take."""
GRACE = 10.0
"""Seconds that an interrupted group has to tell what it found."""
TAIL = 30
Entry = tuple[str, str, Any]
"""A section of the document, a title in it, and what was found."""
Call = Callable[[str, bool], Iterator[Entry]]


@dataclass(frozen=True)
class Group:
    """call: what yields the entries, given "cuda" or "cpu", and whether tiny sizes will do.  timed: a figure, which has the machine for
    itself.  weight: of a proof, its share of the cores."""

    call: Call
    timed: bool = False
    weight: int = 1


def _later(kind: str, name: str) -> Call:
    """A group of tests.bench.proofs or tests.bench.figures, which import torch."""

    def call(device: str, quick: bool) -> Iterator[Entry]:
        module = importlib.import_module(f"tests.bench.{kind}")
        found: Iterator[Entry] = getattr(module, name)(module.Device(device, quick))
        return found

    return call


_PROOFS = {"cuda_tests": 1, "digits": 1, "digits_lower": 1, "resnet18_half": 1, "pipeline_fast": 1, "pipeline_exact": 1}
_PROOFS |= {"resnet50": 2, "vit_b_16": 3}
_TIMED = ("end_to_end_ort", "end_to_end_torch", "lower_precision", "alone_onnx", "alone_torch", "compiled")
GROUPS = {name: Group(_later("proofs", name), weight=weight) for name, weight in _PROOFS.items()}
GROUPS |= {name: Group(_later("figures", name), timed=True) for name in _TIMED}


class Document:
    """What was found, on disk after every entry."""

    def __init__(self, path: Path, head: dict[str, Any]) -> None:
        self.path, self.lock = path, threading.Lock()
        self.data = head | {"groups": {}, "failures": {}, "bundles": {}, "tables": {}, "figures": {}}
        path.parent.mkdir(parents=True, exist_ok=True)

    def add(self, section: str, title: str, value: object) -> None:
        with self.lock:
            self.data[section][title] = value
            self.write()

    def write(self) -> None:
        new = self.path.with_name(f".{self.path.name}.new")
        new.write_text(json.dumps(self.data, indent=2) + "\n", encoding="utf-8")
        new.replace(self.path)


def one_group(name: str, device: str, quick: bool, records: Path) -> int:
    """In the process of its own: runs the group, writes each entry as a line into `records`, and prints it."""
    failed = False
    with records.open("a", encoding="utf-8") as file:

        def record(section: str, title: str, value: object) -> None:
            file.write(json.dumps([section, title, value]) + "\n")
            file.flush()
            print(*_lines(section, title, value), sep="\n", flush=True)

        try:
            for entry in GROUPS[name].call(device, quick):
                record(*entry)
                failed = failed or entry[0] == "failures"
        except PreprocError as error:
            record("failures", name, str(error))
            failed = True
    return int(failed)


def _lines(section: str, title: str, value: Any) -> Iterator[str]:
    if section == "tables":
        yield title
        for name, row in value.items():
            yield f"  {name:32} {row['median']:.3f} [{row['low']:.3f}, {row['high']:.3f}] {row['seconds'] * 1e3:9.3f} ms"
    elif section == "bundles":
        for result in value["report"]["results"]:
            told = "" if result["error"] is None else f"{result['error']:.1e}"
            yield f"{title}: {result['runtime']:17} {result['verdict']:13} {told:8} {result['reason'] or result['ran']}"
    else:
        yield f"{'WRONG: ' if section == 'failures' else ''}{title}: {value}"


def run(name: str, options: Sequence[str], document: Document, *, seconds: float, threads: int | None) -> bool:
    """One group in a process of its own, for at most so many seconds; whether it came to its end, rightly or wrongly."""
    print(f"[{name}] at most {seconds:.0f} s", flush=True)
    start, tail, cut_off = time.perf_counter(), deque[str](maxlen=TAIL), threading.Event()
    environment = os.environ | ({} if threads is None else {"OMP_NUM_THREADS": str(threads)})
    command = [*PROGRAM, *options, "--records"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    with (
        tempfile.NamedTemporaryFile("r", encoding="utf-8", suffix=".jsonl") as records,
        subprocess.Popen([*command, records.name, name], cwd=ROOT, env=environment, **pipes) as process,
    ):

        def stop() -> None:
            cut_off.set()
            process.send_signal(signal.SIGINT)
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()

        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                print(f"[{name}] {line}", end="", flush=True)
                tail.extend([line.strip()] if line.strip() else [])
                _take(records, document)
            status = process.wait()
        finally:
            timer.cancel()
            process.kill()
        _take(records, document)
    done, ended = status == 0 and not cut_off.is_set(), time.perf_counter() - start
    last = tail[-1] if tail else "it said nothing"
    how = f"cut off after {seconds:.0f} s" if cut_off.is_set() else f"died of {signal.Signals(-status).name}" if status < 0 else ""
    entry: dict[str, Any] = {"ok": done, "seconds": round(ended, 1), "line": f"{how}; the last line: {last}" if how else last}
    document.add("groups", name, entry if done else entry | {"tail": list(tail)})
    print(f"[{name}] {'done' if done else 'WRONG'} after {ended:.0f} s: {entry['line']}", flush=True)
    return not cut_off.is_set()


def _take(records: IO[str], document: Document) -> None:
    """Whole lines only: a process that was killed may have left half of one."""
    while True:
        place = records.tell()
        line = records.readline()
        if not line.endswith("\n"):
            records.seek(place)
            return
        document.add(*json.loads(line))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description="proofs and figures on a device")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see whether all of it works")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT") or Path(__file__).parent / "results"))
    parser.add_argument("--records", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"some of {', '.join(GROUPS)}; all of them by default")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.groups if name not in GROUPS]
    if unknown:
        parser.error(f"expected groups of {', '.join(GROUPS)}, got {unknown[0]}")
    if given.records is not None:
        return one_group(given.groups[0], given.device, given.quick, given.records)
    return every_group(given.groups or list(GROUPS), given.device, given.quick, given.out)


def every_group(names: Sequence[str], device: str, quick: bool, out: Path) -> int:
    title = device_name(device)
    head = {
        "command": "make gpu",
        "complete": False,
        "device": title,
        "machine": f"Python {platform.python_version()}, {os.cpu_count()} CPU cores",
        "commit": _commit(),
        "versions": versions(),
    }
    document = Document(out / f"gpu-{short(title)}.json", head)
    document.write()
    options = ["--device", device, *(["--quick"] if quick else [])]
    proofs = [name for name in names if not GROUPS[name].timed]
    whole = sum(GROUPS[name].weight for name in proofs)

    def proof(name: str) -> bool:
        threads = max(2, (os.cpu_count() or 2) * GROUPS[name].weight // whole)
        return run(name, options, document, seconds=PROOFS, threads=threads)

    with ThreadPoolExecutor(max(1, len(proofs))) as pool:
        ended = list(pool.map(proof, proofs))
    deadline = time.perf_counter() + FIGURES
    for name in names:
        if GROUPS[name].timed:
            left = deadline - time.perf_counter() - GRACE
            if left <= 0:
                document.add("groups", name, {"ok": False, "seconds": 0, "line": f"not run: the figures' {FIGURES:.0f} s were over"})
                ended.append(False)
            else:
                ended.append(run(name, options, document, seconds=left, threads=None))
    document.data["complete"] = all(ended)
    document.write()
    wrong = {name: group["line"] for name, group in document.data["groups"].items() if not group["ok"]}
    for what, line in (document.data["failures"] | wrong).items():
        print(f"WRONG: {what}: {line}")
    print(f"{document.path}: {len(document.data['groups']) - len(wrong)} of {len(document.data['groups'])} groups are right")
    return int(bool(wrong))


def device_name(device: str) -> str:
    if device == "cpu":
        return "cpu"
    import torch

    if not torch.cuda.is_available():
        sys.exit("expected a CUDA device, got none: torch.cuda.is_available() is False; nothing was measured")
    return torch.cuda.get_device_name()


def short(title: str) -> str:
    """NVIDIA H100 80GB HBM3 -> h100; what has no such word -> all of it."""
    model = re.search(r"\b[A-Z]{1,3}\d+[A-Za-z]*\b", title)
    name = model[0] if model else title.replace("NVIDIA", "")
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _commit() -> str:
    from tests.bench.measure import commit

    return commit()


if __name__ == "__main__":
    sys.exit(main())
