"""ONNX files: read, followed, edited, written. onnx-ir and NumPy, no torch.

In: an .onnx file, or a network that torch has exported. Out: the same with the steps in front, folded where that is exact.
Never: a message that was not understood and is changed all the same; a file that ONNX Runtime was not asked about.
"""

from .agreement import OPAQUE, disagreements, landing, record, stamp
from .alone import alone
from .batch_norms import batch_norms, tap
from .constants import constant
from .editing import Attached, attach, hand_over, opened, uncorrected_border
from .files import check, fingerprint, load, of_sizes, output_types, strip
from .handling import beginning, ending, ending_at, handling
from .held import Held, less_128
from .levels import all_taps, half_steps, layers_of
from .listing import Listing, exchanged, listed
from .messages import beside, freed, inlined
from .nodes import needed_opset
from .others import others, promised_others
from .picture import RAW, Picture, any_picture, picture_input, sides
from .precision import PARTLY, precision
from .raising import raised
from .reach import untouched
from .reading import declared_inputs, read_metadata
from .unrounded import answer_unrounded
from .walk import follow
from .writing import save, to_bytes
from .written import NOTHING, REWRITTEN, VALUES, WEIGHTS, WRITTEN, changed_since, digests

__all__ = [
    "NOTHING",
    "OPAQUE",
    "PARTLY",
    "RAW",
    "REWRITTEN",
    "VALUES",
    "WEIGHTS",
    "WRITTEN",
    "Attached",
    "Held",
    "Listing",
    "Picture",
    "all_taps",
    "alone",
    "answer_unrounded",
    "any_picture",
    "attach",
    "batch_norms",
    "beginning",
    "beside",
    "changed_since",
    "check",
    "constant",
    "declared_inputs",
    "digests",
    "disagreements",
    "ending",
    "ending_at",
    "exchanged",
    "fingerprint",
    "follow",
    "freed",
    "half_steps",
    "hand_over",
    "handling",
    "inlined",
    "landing",
    "layers_of",
    "less_128",
    "listed",
    "load",
    "needed_opset",
    "of_sizes",
    "opened",
    "others",
    "output_types",
    "picture_input",
    "precision",
    "promised_others",
    "raised",
    "read_metadata",
    "record",
    "save",
    "sides",
    "stamp",
    "strip",
    "tap",
    "to_bytes",
    "uncorrected_border",
    "untouched",
]
