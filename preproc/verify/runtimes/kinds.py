"""One class per runtime: load a model file, run it, say what really ran."""

from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING

from .aoti import AotiCpu, AotiCuda
from .base import Runtime
from .executorch import ExecutorchCpu
from .openvino import OpenVinoCpu
from .ort import OrtCpu, OrtCuda
from .pytorch import Pt2Cpu, Pt2Cuda, TorchCpu, TorchCuda, TorchScriptCpu, TorchScriptCuda

if TYPE_CHECKING:
    from torch import nn

KINDS = (
    TorchCpu,
    TorchCuda,
    TorchScriptCpu,
    TorchScriptCuda,
    Pt2Cpu,
    Pt2Cuda,
    AotiCpu,
    AotiCuda,
    OrtCpu,
    OrtCuda,
    OpenVinoCpu,
    ExecutorchCpu,
)
RUNTIMES: Mapping[str, type[Runtime]] = {kind.name: kind for kind in KINDS}


def those_for(files: Container[str | None], *, in_python: bool, ours: bool = False) -> list[str]:
    """The names of all runtimes, but those that are asked for by name, that run one of these files, or the modules in Python. ours: those
    that load code, too, for the files were made here and now."""
    kinds = [kind for kind in RUNTIMES.values() if not kind.asked_by_name and (ours or not kind.alone)]
    return [kind.name for kind in kinds if (in_python if kind.file is None else kind.file in files)]


def here(kind: type[Runtime], module: "nn.Module | None", outputs: Sequence[str], *, why_not: str = "", tf32: bool = False) -> Runtime:
    """A runtime of that kind, in this process; around `module`, with these names of its outputs, where it takes modules in Python."""
    if issubclass(kind, TorchCpu):
        return kind(module, outputs, why_not=why_not, tf32=tf32)
    if issubclass(kind, ExecutorchCpu):
        return kind(outputs, tf32=tf32)
    return kind(tf32=tf32)  # type: ignore[call-arg]
