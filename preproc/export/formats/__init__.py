"""A network as one file, in each format: ONNX, TorchScript, pt2, ExecuTorch.

In: a module and an example. Out: the file, without paths or names of this machine.
Never: what files promise and keep, which is other rooms' affair.
"""

from .executorch import at_most, bundle_executorch, exir, export_executorch
from .onnx import export_backbone
from .pt2 import export_pt2
from .torchscript import MODEL, check_settled, export_torchscript

__all__ = [
    "MODEL",
    "at_most",
    "bundle_executorch",
    "check_settled",
    "exir",
    "export_backbone",
    "export_executorch",
    "export_pt2",
    "export_torchscript",
]
