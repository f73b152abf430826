"""What an .onnx file computes, in float64, whatever runs it otherwise.

In: a file, and values for its inputs. Out: its outputs, floats in float64; or why there is no float64 form of it.
Never: ONNX Runtime, `onnx.reference`, or a graph of ours.
"""

from .evaluating import DoubleFile
from .reading import NotInDoubleError

__all__ = ["DoubleFile", "NotInDoubleError"]
