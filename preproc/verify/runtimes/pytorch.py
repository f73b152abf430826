"""The runtimes of torch, which is imported when one of them opens a file."""

import contextlib
import json
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from ...errors import BundleError, RuntimeAbsentError, VerificationError, first_line
from .base import Outputs, Runtime

if TYPE_CHECKING:
    import torch
    from torch import nn


class TorchCpu(Runtime):
    """The modules in Python, on the CPU, folded as the recipe says."""

    name = "torch-cpu"
    device: ClassVar[str] = "cpu"

    def __init__(self, module: "nn.Module | None" = None, outputs: Sequence[str] = (), *, why_not: str = "", tf32: bool = False) -> None:
        self.module, self.outputs, self.why_not, self.tf32 = module, tuple(outputs), why_not, tf32

    @property
    def reduced(self) -> bool:
        return self.tf32 and self.device != "cpu"

    def open(self, path: Path) -> None:  # noqa: ARG002
        import copy

        if self.module is None:
            raise RuntimeAbsentError(self.why_not)
        check_device(self.device)
        self.module = copy.deepcopy(self.module).to(self.device).eval()

    def run(self, pixels: NDArray[Any], others: Mapping[str, NDArray[Any]] = MappingProxyType({})) -> Outputs:  # noqa: ARG002
        import torch

        from ...sources.backbones import named_outputs

        assert self.module is not None
        with torch.inference_mode(), _tf32(self.tf32):
            outputs = named_outputs(self.module(torch.from_numpy(pixels).to(self.device)), self.outputs)
        self.ran_on = {str(value.device.type) for value in (*outputs.values(), *self._held())}
        return {name: array_of(value.cpu()) for name, value in outputs.items()}

    def _held(self) -> "Iterator[torch.Tensor]":
        """The tensors that it computes with."""
        assert self.module is not None
        yield from self.module.parameters()
        yield from self.module.buffers()

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
        check_device(self.device)
        self.module = load_torchscript(path, device=self.device)


class TorchScriptCuda(TorchScriptCpu):
    """The TorchScript file, on a CUDA device."""

    name, device = "torchscript-cuda", "cuda"


class Pt2Cpu(TorchCpu):
    """The pt2 archive, on the CPU."""

    name, file = "pt2-cpu", "model.pt2"

    def open(self, path: Path) -> None:
        check_device(self.device)
        self.module = load_pt2(path, device=self.device)


class Pt2Cuda(Pt2Cpu):
    """The pt2 archive, on a CUDA device."""

    name, device = "pt2-cuda", "cuda"


def load_torchscript(path: Path, *, device: str = "cpu") -> "torch.jit.ScriptModule":
    """Raises BundleError if it is not a TorchScript file. Loading one runs code: only files of your own."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.")  # deprecated in torch 2.15; LibTorch and Triton load nothing else
        try:
            module: torch.jit.ScriptModule = torch.jit.load(str(path), map_location=device)
        except (RuntimeError, ValueError, OSError) as error:
            raise BundleError(f"{path.name}: expected a TorchScript file, got: {first_line(error)}", name="runtime-refuses-file") from error
    return module


def load_pt2(path: Path, *, device: str = "cpu") -> "nn.Module":
    """Raises BundleError if it is not a pt2 archive as ours are, of tensors only: torch would unpickle others.

    Loading one builds and runs its graph: only files of your own.
    """
    import torch
    from torch.export.passes import move_to_device_pass

    try:
        with zipfile.ZipFile(path) as archive:
            _check_tensors_only(path, archive)
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="The given buffer is not writable"
            )  # torch 2.10 reads tensors off bytes; nobody writes to them
            program = torch.export.load(path)
    except BundleError:
        raise
    except Exception as error:  # a broken archive makes torch raise anything
        raise BundleError(f"{path.name}: expected a pt2 archive, got: {first_line(error)}", name="runtime-refuses-file") from error
    module: nn.Module = (program if device == "cpu" else move_to_device_pass(program, device)).module()
    return module


_PT2_MEMBERS = re.compile(
    r"[^/]+/(data/weights/(weight_\d+|model_weights_config\.json)|data/constants/(tensor_\d+|model_constants_config\.json)"
    r"|data/sample_inputs/model\.pt|models/model\.json|extra/contract\.json|archive_format|archive_version|version|byteorder|\.data/(version|serialization_id))"
)


def _check_tensors_only(path: Path, archive: zipfile.ZipFile) -> None:
    names = archive.namelist()
    strange = [name for name in names if not _PT2_MEMBERS.fullmatch(name)]
    configs = [json.loads(archive.read(name)) for name in names if name.endswith("_config.json")]
    entries = [entry for config in configs for entry in config["config"].values()]
    strange += [str(entry["path_name"]) for entry in entries if entry["use_pickle"] is not False]
    strange += [str(entry["path_name"]) for entry in entries if not re.fullmatch(r"(weight|tensor)_\d+", str(entry["path_name"]))]
    strange += [name for name in names if names.count(name) > 1]
    strange += [name for name in names if name.endswith("/sample_inputs/model.pt") and archive.getinfo(name).file_size]
    if strange or not configs:
        found = strange[0] if strange else "none"
        raise BundleError(
            f"{path.name}: expected a pt2 archive of tensors, without pickles, got {found} in it; export it again",
            name="weights-unreadable",
        )


def array_of(value: "torch.Tensor") -> NDArray[Any]:
    """In NumPy, which has no bfloat16: in float32, which holds it."""
    import torch

    held: NDArray[Any] = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    return held


def check_device(device: str) -> None:
    """Raises RuntimeAbsentError where there is no torch, or no such device."""
    try:
        import torch
    except ImportError as error:
        raise RuntimeAbsentError("torch is not installed", name="not-installed") from error
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
