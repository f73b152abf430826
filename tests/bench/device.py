"""What the groups of `make gpu` share: the device they run on, a table of times, a session of ONNX Runtime in device memory."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from preproc.errors import first_line
from preproc.verify.runtimes import onnxruntime
from tests.bench.measure import ratios

Entry = tuple[str, str, Any]
Call = Callable[[], object]


@dataclass(frozen=True)
class Device:
    """Where the groups run. name: cuda or cpu.  quick: tiny sizes, to see whether all of it works."""

    name: str
    quick: bool = False

    def wait(self) -> None:
        if self.name == "cuda":
            torch.cuda.synchronize()

    @property
    def repeat(self) -> int:
        """How many calls are made between two waits."""
        return 20 if self.name == "cuda" else 1


def table(
    title: str, makers: Mapping[str, Callable[[], Call]], on: Device, *, peer: str, seconds: float, repeat: int = 1
) -> Iterator[Entry]:
    """A table of ratios to `peer`. makers: each prepares a call, of which a turn makes `repeat`; one that raises leaves its line."""
    calls = dict[str, Call]()
    for name, make in makers.items():
        try:
            call = make()
            call()
        except Exception as error:  # noqa: BLE001 - of any class: a row that cannot run is told, and the others are measured
            yield "failures", f"{title}: {name}", f"{type(error).__name__}: {first_line(error)}"
        else:
            calls[name] = call
    if calls:
        rounds, limit = (9, 0.1) if on.quick else (200, seconds)
        measured = ratios(calls, peer=peer if peer in calls else next(iter(calls)), rounds=rounds, seconds=limit)
        rows = {name: vars(dataclasses.replace(ratio, seconds=ratio.seconds / repeat)) for name, ratio in measured.items()}
        yield "tables", title, rows


def session_of(file: bytes | Path, on: Device, *, tf32: bool = False) -> Any:
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    provider: Any = "CPUExecutionProvider" if on.name == "cpu" else ("CUDAExecutionProvider", {"use_tf32": str(int(tf32))})
    session = ort.InferenceSession(file if isinstance(file, bytes) else str(file), options, providers=[provider], enable_fallback=0)
    if on.name != "cpu" and session.get_providers()[0] != "CUDAExecutionProvider":
        raise RuntimeError("expected ONNX Runtime's CUDA provider, got a session that fell back to the CPU; nothing was measured")
    return session


def bound(session: Any, array: np.ndarray, on: Device) -> Call:
    value = onnxruntime().OrtValue.ortvalue_from_numpy(array, on.name, 0)
    binding = session.io_binding()
    binding.bind_ortvalue_input(session.get_inputs()[0].name, value)
    binding.bind_output(session.get_outputs()[0].name, on.name)

    def run() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return run
