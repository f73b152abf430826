"""A network as one file, in each format: ONNX, TorchScript, pt2, AOTInductor, ExecuTorch.

In: a module and an example. Out: the file, without paths or names of this machine.
Never: what files promise and keep, which is other rooms' affair.
"""

from .aoti import compile_aoti
from .executorch import at_most, bundle_executorch, exir, export_executorch
from .onnx import export_backbone
from .program import export_program
from .pt2 import write_pt2
from .torchscript import check_settled, export_torchscript

__all__ = [
    "at_most",
    "bundle_executorch",
    "check_settled",
    "compile_aoti",
    "exir",
    "export_backbone",
    "export_executorch",
    "export_program",
    "export_torchscript",
    "write_pt2",
]
