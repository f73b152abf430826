"""ONNX Runtime. The only module that imports onnxruntime."""

import contextlib
import ctypes
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from numpy.typing import NDArray

from ...errors import BundleError, RuntimeAbsentError, VerificationError, first_line
from ...host import INSTALL_ONE, WHEELS, memory, threads
from .base import Outputs, Runtime
from .named import named


def onnxruntime() -> Any:
    """The module, imported with its telemetry off (unless the user has set ORT_DISABLE_TELEMETRY): a library does not phone home.

    Raises RuntimeAbsentError where it is not installed, or cannot be imported: the removal of one of its wheels leaves half of it.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime as ort

        ort.InferenceSession  # noqa: B018 - a folder without __init__.py imports, too
    except Exception as error:  # a broken installation raises anything
        if isinstance(error, ModuleNotFoundError) and error.name == "onnxruntime":
            raise RuntimeAbsentError(
                f"{error.name} is not installed; pip install onnxruntime-gpu, or onnxruntime for the CPU", name="not-installed"
            ) from error
        half = " (removing one of its wheels takes files of the other)" if isinstance(error, (ImportError, AttributeError)) else ""
        raise RuntimeAbsentError(
            f"expected a whole onnxruntime, got: {first_line(error)}{half}: {INSTALL_ONE}", name="not-installed"
        ) from error
    return ort


def evaluate(model: bytes, feeds: Sequence[Mapping[str, NDArray[Any]]]) -> list[list[NDArray[Any]]]:
    """All outputs of a small model for each of `feeds`, on the CPU. Raises whatever ONNX Runtime raises, without a line of its own."""
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return [session.run(None, dict(feed)) for feed in feeds]


def options_of(ort: Any) -> Any:
    """Of a session that prints errors only, with the threads that are asked for, which sleep while they wait."""
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, threads.asked()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


class OrtCpu(Runtime):
    """ONNX Runtime on the CPU."""

    name, file = "ort-cpu", "model.onnx"
    provider: ClassVar[str] = "CPUExecutionProvider"

    def __init__(self, *, tf32: bool = False) -> None:
        self.tf32 = tf32

    def open(self, path: Path) -> None:
        ort = onnxruntime()
        self.path = path
        options = options_of(ort)
        with contextlib.suppress(Exception):  # older versions know no such key; proof() then has less to say
            options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        self.session = self._session(ort, str(path), options)
        memory.trim(path.stat().st_size)
        self.outputs = [output.name for output in self.session.get_outputs()]

    def run(self, pixels: NDArray[Any], others: Mapping[str, NDArray[Any]] = MappingProxyType({})) -> Outputs:
        (name,) = [value.name for value in self.session.get_inputs() if value.name not in others]
        values = self.session.run(self.outputs, {name: pixels, **others})
        return named(self.outputs, values)

    def proof(self) -> str:
        return f"onnxruntime {onnxruntime().__version__}, {self._count()} on {', '.join(self.session.get_providers())}"

    def close(self) -> None:
        if self.__dict__.pop("session", None) is not None:
            memory.trim(self.path.stat().st_size)

    def _count(self) -> str:
        return f"{sum(len(part.get_nodes()) for part in self._assignment())} nodes"

    def _assignment(self) -> Sequence[Any]:
        try:
            parts: Sequence[Any] = self.session.get_provider_graph_assignment_info()
        except AttributeError as error:
            raise VerificationError(
                "expected an onnxruntime that says where each node runs (1.24 or newer), got an older one", name="runtime-absent"
            ) from error
        return parts

    def _session(self, ort: Any, model: str | bytes, options: Any) -> Any:
        try:
            # Its own fallback prints on stdout, and would run another provider than the one that was asked for.
            return ort.InferenceSession(model, options, providers=[self._provider()], enable_fallback=0)
        except Exception as error:  # onnxruntime's error classes are not exported; every one means the file cannot be run
            if type(error).__name__ == "NotImplemented":
                raise RuntimeAbsentError(f"it has no kernel for {self.path.name}: {first_line(error)}") from error
            if type(error).__module__.startswith("onnxruntime"):
                raise BundleError(
                    f"{self.path.name}: expected a file that ONNX Runtime can run, got: {first_line(error)}", name="runtime-refuses-file"
                ) from error
            raise

    def _provider(self) -> Any:
        return self.provider


class OrtCuda(OrtCpu):
    """ONNX Runtime on a CUDA device. Falling back to the CPU, which it does with a log line only, counts as absent or failed."""

    name = "ort-cuda"
    provider = "CUDAExecutionProvider"

    @property
    def reduced(self) -> bool:
        return self.tf32

    def open(self, path: Path) -> None:
        ort, self.path = onnxruntime(), path
        if self.provider not in ort.get_available_providers():
            raise RuntimeAbsentError(f"this onnxruntime is built without the CUDA provider{_both()}: onnxruntime-gpu[cuda,cudnn] has it")
        ort.set_default_logger_severity(4)
        try:
            if _has_driver():  # else 200 MB of libraries would be loaded for nothing
                with contextlib.suppress(Exception), _quiet_stdout():
                    ort.preload_dlls()
            self._check_loads(ort)
            super().open(path)
        finally:
            ort.set_default_logger_severity(2)

    def _check_loads(self, ort: Any) -> None:
        """Raises RuntimeAbsentError where a session falls back to the CPU: one of a single node, for a file would be opened there."""
        if self.provider not in self._session(ort, _IDENTITY, options_of(ort)).get_providers():
            raise RuntimeAbsentError(f"{_NOT_LOADED}: onnxruntime fell back to the CPU{_both()}")

    def proof(self) -> str:
        """Every node with a floating output is on CUDA; integer shape arithmetic may be on the CPU, and is counted."""
        types = _output_types(self.path)
        total, strays, shapes = 0, [], 0
        for part in self._assignment():
            for node in part.get_nodes():
                total += 1
                if part.ep_name == self.provider:
                    continue
                if types.get(node.name) == "integer":
                    shapes += 1
                else:
                    strays.append(f"{node.op_type} {node.name!r} on {part.ep_name}")
        if not total or strays:
            raise VerificationError(f"expected every floating node on CUDA, got {'; '.join(strays[:5]) or 'no assignment at all'}")
        precision = "TF32" if self.tf32 else "TF32 off"
        return f"onnxruntime {onnxruntime().__version__}, {total - shapes} nodes on CUDA, {shapes} integer nodes on the CPU, {precision}"

    def _session(self, ort: Any, model: str | bytes, options: Any) -> Any:
        try:
            return super()._session(ort, model, options)
        except RuntimeError as error:  # onnxruntime 1.24 raises where later ones fall back with a log line
            raise RuntimeAbsentError(f"{_NOT_LOADED}: {first_line(error)}{_both()}") from error

    def _provider(self) -> Any:
        return (self.provider, {"use_tf32": "1" if self.tf32 else "0"})


_IDENTITY = (
    b'\x08\x07:7\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01b\x0f\n\x01y\x12'
    b"\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)
"""A small .onnx file: y = Identity(x), of opset 13."""
_NOT_LOADED = "the CUDA provider did not load (no device, or a CUDA library is missing)"


def _has_driver() -> bool:
    """Whether there is a driver of CUDA devices, without which nothing of CUDA runs."""
    for name in ("libcuda.so.1", "nvcuda.dll"):
        with contextlib.suppress(OSError):
            ctypes.CDLL(name)
            return True
    return False


def _both() -> str:
    """Says so where both wheels are installed: they are seldom of one version, and what runs is the one that was written last."""
    found = [name for name in WHEELS if any(metadata.distributions(name=name))]
    return f" (both {' and '.join(found)} are installed, in one folder: {INSTALL_ONE})" if len(found) > 1 else ""


def _output_types(path: Path) -> Mapping[str, str]:
    """Node name -> "integer" for shape arithmetic and texts, which no device holds, or "floating", for every node of the file whose output
    type is known. In our own nodes the first is what no pixel's value is in, be it float64: from sizes on the CPU ONNX Runtime computes a
    resize's positions there, too. And int32, as uint8 everywhere, is a picture, which has to be on the device like floats."""
    from ...graph import of_sizes, output_types

    sizes = of_sizes(path)

    def kind(name: str, dtype: str) -> str:
        if name in sizes:
            return "integer"
        shapes = ("INT64", "BOOL") if name.startswith("preproc/") else ("INT64", "INT32", "BOOL", "STRING")
        return "integer" if dtype in shapes else "floating"

    return {name: kind(name, dtype.name) for name, dtype in output_types(path).items()}


@contextlib.contextmanager
def _quiet_stdout() -> Iterator[None]:
    """preload_dlls() prints what it cannot find."""
    with open(os.devnull, "w") as null, contextlib.redirect_stdout(null):  # noqa: PTH123
        yield
