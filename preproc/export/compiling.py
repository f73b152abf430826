"""What machine code is compiled for, and whether it can be compiled here."""

import platform
import sys
from typing import Any

from ..errors import PreprocError
from ..host import compiler, needed, no_compiler, versions
from ..sources import ExportSpec

PORTABLE = ("x86_64",)
"""The machines that have portable levels of instructions; on others torch chooses by the machine that it runs on."""


def check_compiles(name: str, spec: ExportSpec) -> None:
    """Raises PreprocError where a recipe wants machine code that cannot be made here. name: the recipe's."""
    if "aoti" not in spec.formats:
        return
    if sys.platform != "linux":
        raise PreprocError(
            f"{name}: expected Linux for the format aoti, whose packages are for it, got {sys.platform}; onnx and pt2 run anywhere",
            name="not-exportable",
        )
    if compiler() is None:
        raise PreprocError(
            f"{name}: expected a C++ compiler for the format aoti, got {no_compiler()}; or leave aoti out",
            name="not-installed",
        )
    machine = platform.machine()
    if spec.cpu != "native" and machine not in PORTABLE:
        raise PreprocError(
            f'{name}: [export] cpu: expected "native" on {machine}, for {spec.cpu} is of other processors, got "{spec.cpu}"',
            name="conflicting-options",
        )
    if not needed(spec.cpu):
        raise PreprocError(
            f'{name}: [export] cpu: expected a system that tells its processor\'s instructions for "native", got none in /proc/cpuinfo; '
            "onnx and pt2 run anywhere",
            name="not-exportable",
        )
    if spec.device == "cuda":
        _check_device(name)


def _check_device(name: str) -> None:
    import torch

    if not torch.cuda.is_available():
        raise PreprocError(
            f'{name}: [export] device: expected a CUDA device here to compile for, got none; write device = "cpu"', name="runtime-absent"
        )


def compiled_for(spec: ExportSpec) -> dict[str, Any]:
    """For the contract: the device, the system, the machine and its instructions, the torch that it is for."""
    made: dict[str, Any] = {"device": spec.device, "system": sys.platform, "machine": platform.machine(), "cpu": spec.cpu}
    made |= {"instructions": needed(spec.cpu), "torch": versions()["torch"]}
    if spec.device == "cuda":
        import torch

        made |= {"gpu": torch.cuda.get_device_name(), "compute_capability": list(torch.cuda.get_device_capability())}
    return made
