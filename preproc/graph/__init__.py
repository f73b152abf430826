"""Steps as ONNX nodes in front of a model, and the same fold there. onnx-ir and NumPy, no torch."""

from .editing import Attached, attach, uncorrected_border
from .files import check_file, fingerprint, load, output_names, output_types, read_metadata, save, strip_traces, to_bytes

__all__ = [
    "Attached",
    "attach",
    "check_file",
    "fingerprint",
    "load",
    "output_names",
    "output_types",
    "read_metadata",
    "save",
    "strip_traces",
    "to_bytes",
    "uncorrected_border",
]
