"""What does a network do to its input before its first layers? Seen by running its first operations on flat planes.

In: a torch module, or an ONNX graph. Out: an InputEffect, of maps on channels, and whether all of the way was seen.
Never: a statement about what stands behind an operation that was not understood.
"""

from .graphs import graph_effect
from .modules import module_effect

__all__ = ["graph_effect", "module_effect"]
