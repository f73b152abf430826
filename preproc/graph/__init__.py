"""Steps as ONNX nodes in front of a model, and the same fold there. onnx-ir and NumPy, no torch."""

from .attach import Attached, attach
from .files import check_file, load, read_metadata, save

__all__ = ["Attached", "attach", "check_file", "load", "read_metadata", "save"]
