"""Triton's backends that a bundle may have a file for: what each is called, what it loads, and how it names inputs and outputs.

The C++ backends' demands are from their READMEs, onnxruntime_backend and pytorch_backend; those of torch_aoti from that backend's source of
release 26.05, the first that takes such names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Backend:
    """One of Triton's, and the kind of file that it loads.

    name, platform: in config.pbtxt.  files: the bundle's, the model first, each with its name in a version folder.  filename: the model's
    there, where Triton has to be told.  inputs, outputs: their names, with {name}, the contract's, and {position}.
    """

    name: str
    platform: str
    files: Mapping[str, str]
    filename: str = ""
    inputs: str = "{name}"
    outputs: str = "{name}"

    @property
    def model(self) -> str:
        """The bundle's file."""
        return next(iter(self.files))

    def device(self, contract: Mapping[str, Any]) -> str | None:
        """What machine code is compiled for, "cpu" or "cuda"; None of other files, which run on either."""
        made: str | None = contract["compiled"]["aoti"]["device"] if self.platform == AOTI else None
        return made


AOTI = "torch_aoti"
BACKENDS: Mapping[str, Backend] = {
    "onnxruntime": Backend("onnxruntime", "onnxruntime_onnx", {"model.onnx": "model.onnx", "model.onnx.data": "model.onnx.data"}),
    "pytorch": Backend("pytorch", "pytorch_libtorch", {"model.pt": "model.pt"}, outputs="{name}__{position}"),
    "aoti": Backend(
        "pytorch", AOTI, {"model.aoti.pt2": "model.pt2"}, "model.pt2", inputs="INPUT__{position}", outputs="OUTPUT__{position}"
    ),
}
"""By what `--backend` says."""
