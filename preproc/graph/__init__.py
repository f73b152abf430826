"""Steps as ONNX nodes in front of a model, and the same fold there. onnx-ir and NumPy, no torch."""

from .convolutions import follow
from .editing import Attached, attach, uncorrected_border
from .files import EXTERNAL, check_file, fingerprint, load, output_names, output_types, read_metadata, save, strip_traces, to_bytes
from .picture import Picture, picture_input

__all__ = [
    "EXTERNAL",
    "Attached",
    "Picture",
    "attach",
    "check_file",
    "fingerprint",
    "follow",
    "load",
    "output_names",
    "output_types",
    "picture_input",
    "read_metadata",
    "save",
    "strip_traces",
    "to_bytes",
    "uncorrected_border",
]
