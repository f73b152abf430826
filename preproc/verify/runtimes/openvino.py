"""OpenVINO. The only module that imports it."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import BundleError, RuntimeAbsentError, VerificationError, first_line
from .base import Outputs, Runtime


class OpenVinoCpu(Runtime):
    """OpenVINO reading the ONNX file, in float32: by itself it computes in bfloat16 where the CPU can, 5e-3 away."""

    name, file = "openvino-cpu", "model.onnx"
    asked_by_name = True

    def __init__(self, *, tf32: bool = False) -> None:
        """tf32: taken as by every runtime; a CPU has none."""

    def open(self, path: Path) -> None:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # a library does not phone home
        try:
            import openvino
        except ImportError as error:
            raise RuntimeAbsentError("openvino is not installed; pip install openvino", name="not-installed") from error
        from ...graph import load

        self.version = openvino.__version__
        self.promised: list[str] = []
        try:
            core = openvino.Core()
            self.model = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            self.promised = [str(value.name) for value in load(path).graph.outputs]
        except RuntimeError as error:
            raise BundleError(
                f"{path.name}: expected a file that OpenVINO can run, got: {_reason(error)}", name="runtime-refuses-file"
            ) from error

    def run(self, pixels: NDArray[Any], others: Mapping[str, NDArray[Any]] = MappingProxyType({})) -> Outputs:
        (name,) = [port.any_name for port in self.model.inputs if not port.names & set(others)]
        found = self.model({name: pixels, **others})
        return {self._name(port): np.array(found[port]) for port in self.model.outputs}

    def _name(self, port: Any) -> str:
        """A port has every name that its value has in the graph: the output's own is the one."""
        return next((name for name in self.promised if name in port.names), str(port.any_name))

    def proof(self) -> str:
        devices, precision = (self.model.get_property(key) for key in ("EXECUTION_DEVICES", "INFERENCE_PRECISION_HINT"))
        if devices != ["CPU"] or precision.get_type_name() != "f32":
            raise VerificationError(f"expected it to run on the CPU in f32, got {', '.join(devices)} in {precision.get_type_name()}")
        return f"openvino {self.version.partition('-')[0]}, CPU, f32"

    def close(self) -> None:
        self.__dict__.pop("model", None)


def _reason(error: RuntimeError) -> str:
    """Without the places in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith(("Exception from", "Check '"))]
    return first_line(RuntimeError("\n".join(lines) or str(error)))
