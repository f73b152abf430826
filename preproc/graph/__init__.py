"""Steps as ONNX nodes in front of a model, and the same fold there. onnx-ir and NumPy, no torch."""

from .convolutions import follow
from .editing import Attached, attach, opened, uncorrected_border
from .files import check, fingerprint, load, output_names, output_types, read_metadata
from .others import others
from .picture import Picture, any_picture, other_inputs, picture_input, sides
from .writing import save, to_bytes

__all__ = [
    "Attached",
    "Picture",
    "any_picture",
    "attach",
    "check",
    "fingerprint",
    "follow",
    "load",
    "opened",
    "other_inputs",
    "others",
    "output_names",
    "output_types",
    "picture_input",
    "read_metadata",
    "save",
    "sides",
    "to_bytes",
    "uncorrected_border",
]
