"""One class per runtime: load a model file, run it, say what really ran."""

from collections.abc import Container, Mapping

from ._base import Outputs, Runtime
from .openvino import OpenVinoCpu
from .ort import OnnxReference, OrtCpu, OrtCuda, onnxruntime
from .pytorch import Pt2Cpu, Pt2Cuda, TorchCpu, TorchCuda, TorchScriptCpu, TorchScriptCuda, load_pt2, load_torchscript

RUNTIMES: Mapping[str, type[Runtime]] = {
    kind.name: kind for kind in (TorchCpu, TorchCuda, TorchScriptCpu, TorchScriptCuda, Pt2Cpu, Pt2Cuda, OrtCpu, OrtCuda, OpenVinoCpu)
}


def those_for(files: Container[str | None], *, in_python: bool) -> list[str]:
    """The names of all runtimes, but those that are asked for by name, that run one of these files, or the modules in Python."""
    kinds = [kind for kind in RUNTIMES.values() if not kind.asked_by_name]
    return [kind.name for kind in kinds if (in_python if kind.file is None else kind.file in files)]


__all__ = [
    "RUNTIMES",
    "OnnxReference",
    "OpenVinoCpu",
    "OrtCpu",
    "OrtCuda",
    "Outputs",
    "Pt2Cpu",
    "Pt2Cuda",
    "Runtime",
    "TorchCpu",
    "TorchCuda",
    "TorchScriptCpu",
    "TorchScriptCuda",
    "load_pt2",
    "load_torchscript",
    "onnxruntime",
    "those_for",
]
