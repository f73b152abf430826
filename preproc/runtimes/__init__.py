"""One class per runtime: load a model file, run it, say what really ran."""

from collections.abc import Mapping

from ._base import Outputs, Runtime
from .ort import OnnxReference, OrtCpu, OrtCuda, onnxruntime
from .pytorch import Pt2Cpu, Pt2Cuda, TorchCpu, TorchCuda, TorchScriptCpu, TorchScriptCuda, load_pt2, load_torchscript

RUNTIMES: Mapping[str, type[Runtime]] = {
    kind.name: kind for kind in (TorchCpu, TorchCuda, TorchScriptCpu, TorchScriptCuda, Pt2Cpu, Pt2Cuda, OrtCpu, OrtCuda)
}

__all__ = [
    "RUNTIMES",
    "OnnxReference",
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
]
