"""One class per runtime: load a model file, run it, say what really ran.

In: a file, batches of pixels. Out: named arrays, and one line on which device every node ran.
Never: another device than the name says; a process that dies with a file.
"""

from .aoti import package_metadata
from .base import Outputs, Runtime
from .executorch import executorch_runtime
from .in_turn import InTurn
from .kinds import RUNTIMES, those_for
from .making import made
from .named import items_of, named
from .original import OnnxReference
from .ort import OrtCpu, evaluate, onnxruntime
from .pte import Method, Program, Values, read_program
from .pytorch import load_torchscript

__all__ = [
    "RUNTIMES",
    "InTurn",
    "Method",
    "OnnxReference",
    "OrtCpu",
    "Outputs",
    "Program",
    "Runtime",
    "Values",
    "evaluate",
    "executorch_runtime",
    "items_of",
    "load_torchscript",
    "made",
    "named",
    "onnxruntime",
    "package_metadata",
    "read_program",
    "those_for",
]
