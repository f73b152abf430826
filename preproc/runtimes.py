"""One class per runtime: load a model file, run it, say what really ran. The only module that imports onnxruntime."""

import contextlib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .errors import BundleError, PreprocError, RuntimeAbsentError, VerificationError

if TYPE_CHECKING:
    import torch
    from torch import nn

Outputs = Mapping[str, NDArray[Any]]


def onnxruntime() -> Any:
    """The module, imported with its telemetry off (unless the user has set ORT_DISABLE_TELEMETRY): a library does not phone home."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime as ort

    return ort


class Runtime:
    """open() a file once, run() it on batches of pixels, then proof() says on what it ran.

    open() raises RuntimeAbsentError where this machine cannot run it; proof() raises VerificationError where it ran elsewhere.
    """

    name: ClassVar[str]
    file: ClassVar[str | None] = None
    """The bundle's file that this runtime runs; None: the modules in Python."""

    def open(self, path: Path) -> None:
        raise NotImplementedError

    def run(self, pixels: NDArray[Any]) -> Outputs:
        """Named outputs for pixels as the contract says."""
        raise NotImplementedError

    def proof(self) -> str:
        """One line: what ran where."""
        raise NotImplementedError


class OrtCpu(Runtime):
    """ONNX Runtime on the CPU."""

    name, file = "ort-cpu", "model.onnx"
    provider: ClassVar[str] = "CPUExecutionProvider"

    def __init__(self, *, tf32: bool = False) -> None:
        self.tf32 = tf32

    def open(self, path: Path) -> None:
        ort = onnxruntime()
        self.path = path
        options = ort.SessionOptions()
        options.log_severity_level = 3
        with contextlib.suppress(Exception):  # older versions know no such key; proof() then has less to say
            options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        self.session = self._session(ort, str(path), options)
        self.outputs = [output.name for output in self.session.get_outputs()]

    def run(self, pixels: NDArray[Any]) -> Outputs:
        (name,) = [value.name for value in self.session.get_inputs()]
        return dict(zip(self.outputs, self.session.run(self.outputs, {name: pixels}), strict=True))

    def proof(self) -> str:
        return f"onnxruntime {onnxruntime().__version__}, {self._count()} on {', '.join(self.session.get_providers())}"

    def _count(self) -> str:
        return f"{sum(len(part.get_nodes()) for part in self._assignment())} nodes"

    def _assignment(self) -> Sequence[Any]:
        try:
            parts: Sequence[Any] = self.session.get_provider_graph_assignment_info()
        except AttributeError as error:
            raise VerificationError("expected an onnxruntime that says where each node runs (1.24 or newer), got an older one") from error
        return parts

    def _session(self, ort: Any, path: str, options: Any) -> Any:
        try:
            return ort.InferenceSession(path, options, providers=[self._provider()])
        except Exception as error:  # onnxruntime's error classes are not exported; every one means the file cannot be run
            if type(error).__module__.startswith("onnxruntime"):
                raise BundleError(
                    f"{Path(path).name}: expected a file that ONNX Runtime can run, got: {str(error).splitlines()[0]}"
                ) from error
            raise

    def _provider(self) -> Any:
        return self.provider


class OrtCuda(OrtCpu):
    """ONNX Runtime on a CUDA device. Falling back to the CPU, which it does with a log line only, counts as absent or failed."""

    name = "ort-cuda"
    provider = "CUDAExecutionProvider"

    def open(self, path: Path) -> None:
        ort = onnxruntime()
        if self.provider not in ort.get_available_providers():
            raise RuntimeAbsentError("this onnxruntime is built without the CUDA provider; install onnxruntime-gpu[cuda,cudnn]")
        ort.set_default_logger_severity(4)
        try:
            with contextlib.suppress(Exception), _quiet_stdout():
                ort.preload_dlls()
            super().open(path)
        finally:
            ort.set_default_logger_severity(2)
        if self.provider not in self.session.get_providers():
            raise RuntimeAbsentError(
                "the CUDA provider did not load (no device, or a CUDA library is missing): onnxruntime fell back to the CPU"
            )

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

    def _provider(self) -> Any:
        return (self.provider, {"use_tf32": "1" if self.tf32 else "0"})


def _output_types(path: Path) -> Mapping[str, str]:
    """Node name -> "integer" or "floating" for every node of the file whose output type is known."""
    from .graph import output_types

    return {name: "integer" if dtype.name in ("INT64", "INT32", "BOOL") else "floating" for name, dtype in output_types(path).items()}


@contextlib.contextmanager
def _quiet_stdout() -> Iterator[None]:
    """preload_dlls() prints what it cannot find."""
    with open(os.devnull, "w") as null, contextlib.redirect_stdout(null):  # noqa: PTH123
        yield


class TorchCpu(Runtime):
    """The modules in Python, on the CPU, folded as the recipe says."""

    name = "torch-cpu"
    device: ClassVar[str] = "cpu"

    def __init__(self, module: "nn.Module | None" = None, outputs: Sequence[str] = (), *, why_not: str = "", tf32: bool = False) -> None:
        self.module, self.outputs, self.why_not, self.tf32 = module, tuple(outputs), why_not, tf32

    def open(self, path: Path) -> None:  # noqa: ARG002
        import copy

        if self.module is None:
            raise RuntimeAbsentError(self.why_not)
        _check_device(self.device)
        self.module = copy.deepcopy(self.module).to(self.device).eval()

    def run(self, pixels: NDArray[Any]) -> Outputs:
        import torch

        from .backbones import named_outputs

        assert self.module is not None
        with torch.inference_mode(), _tf32(self.tf32):
            outputs = named_outputs(self.module(torch.from_numpy(pixels).to(self.device)), self.outputs)
        self.ran_on = {str(value.device.type) for value in outputs.values()} | {str(value.device.type) for value in _tensors(self.module)}
        return {name: value.cpu().numpy() for name, value in outputs.items()}

    def proof(self) -> str:
        import torch

        if self.ran_on != {self.device}:
            raise VerificationError(f"expected every parameter and output on {self.device}, got some on {', '.join(sorted(self.ran_on))}")
        if self.device == "cpu":
            return f"torch {torch.__version__} on the CPU"
        precision = "TF32" if self.tf32 else "TF32 off"
        return f"torch {torch.__version__} on {torch.cuda.get_device_name()}, every parameter and output there, {precision}"


class TorchCuda(TorchCpu):
    """The modules in Python, on a CUDA device."""

    name, device = "torch-cuda", "cuda"


class TorchScriptCpu(TorchCpu):
    """The TorchScript file, on the CPU."""

    name, file = "torchscript-cpu", "model.pt"

    def open(self, path: Path) -> None:
        _check_device(self.device)
        self.module = load_torchscript(path, device=self.device)


class TorchScriptCuda(TorchScriptCpu):
    """The TorchScript file, on a CUDA device."""

    name, device = "torchscript-cuda", "cuda"


RUNTIMES: Mapping[str, type[Runtime]] = {
    kind.name: kind for kind in (TorchCpu, TorchCuda, TorchScriptCpu, TorchScriptCuda, OrtCpu, OrtCuda)
}


def load_torchscript(path: Path, *, device: str = "cpu") -> "torch.jit.ScriptModule":
    """Raises BundleError if it is not a TorchScript file. Loading one runs code: only files of your own."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.")  # deprecated in torch 2.15; LibTorch and Triton load nothing else
        try:
            module: torch.jit.ScriptModule = torch.jit.load(str(path), map_location=device)
        except (RuntimeError, ValueError, OSError) as error:
            raise BundleError(f"{path.name}: expected a TorchScript file, got: {str(error).splitlines()[0]}") from error
    return module


def _tensors(module: "nn.Module") -> "Iterator[torch.Tensor]":
    yield from module.parameters()
    yield from module.buffers()


def _check_device(device: str) -> None:
    try:
        import torch
    except ImportError as error:
        raise RuntimeAbsentError("torch is not installed") from error
    if device == "cuda" and not torch.cuda.is_available():
        raise RuntimeAbsentError("no CUDA device: torch.cuda.is_available() is False")


@contextlib.contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """torch computes convolutions in TF32 unless told otherwise."""
    import torch

    switches: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn]  # type: ignore[attr-defined]
    before = [switch.fp32_precision for switch in switches]
    try:
        for switch in switches:
            switch.fp32_precision = "tf32" if allowed else "ieee"
        yield
    finally:
        for switch, precision in zip(switches, before, strict=True):
            switch.fp32_precision = precision


class OnnxReference:
    """The original ONNX file in ONNX Runtime on the CPU, fed with floats: the reference where a backbone is a file.

    It computes in the file's own precision, so `mixed` says so.
    """

    def __init__(self, model: bytes, names: Sequence[str]) -> None:
        ort = onnxruntime()
        options = ort.SessionOptions()
        options.log_severity_level = 3
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.names = tuple(names)
        batch = self.session.get_inputs()[0].shape[:1]
        if batch and isinstance(batch[0], int):
            raise PreprocError(f"expected a model with a free batch dimension, got batch {batch[0]}; export it with a dynamic one")
        for output in self.session.get_outputs():
            if output.type not in ("tensor(float)", "tensor(float16)", "tensor(double)"):
                raise PreprocError(f"expected outputs of floats, got {output.name}: {output.type}; cut the model before it")
        self.mixed = {"the original file in ONNX Runtime, in its own precision"}
        found = [output.name for output in self.session.get_outputs()]
        if len(found) != len(self.names):
            raise PreprocError(
                f"expected {len(self.names)} output(s) ({', '.join(self.names)}), got {', '.join(found)}; name them in [backbone] outputs"
            )

    def __call__(self, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
        (image,) = self.session.get_inputs()
        kind = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}[image.type]
        rows = [self.session.run(None, {image.name: picture[None].astype(kind)}) for picture in x]
        return {name: np.concatenate(parts).astype(np.float64) for name, parts in zip(self.names, zip(*rows, strict=True), strict=True)}
