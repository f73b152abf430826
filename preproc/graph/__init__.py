"""Steps as ONNX nodes in front of a model, and the same fold there. onnx-ir and NumPy, no torch."""

from .agreement import disagreements, record, stamp
from .alone import alone
from .constants import constant
from .convolutions import follow
from .editing import Attached, attach, opened, uncorrected_border
from .files import check, fingerprint, load, of_sizes, output_types
from .messages import beside, inlined
from .others import others, promised_others
from .picture import HALF, RAW, Picture, any_picture, other_inputs, picture_input, sides
from .reading import read_metadata
from .writing import save, to_bytes

__all__ = [
    "HALF",
    "RAW",
    "Attached",
    "Picture",
    "alone",
    "any_picture",
    "attach",
    "beside",
    "check",
    "constant",
    "disagreements",
    "fingerprint",
    "follow",
    "inlined",
    "load",
    "of_sizes",
    "opened",
    "other_inputs",
    "others",
    "output_types",
    "picture_input",
    "promised_others",
    "read_metadata",
    "record",
    "save",
    "sides",
    "stamp",
    "to_bytes",
    "uncorrected_border",
]
