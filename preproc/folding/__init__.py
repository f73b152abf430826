"""The arithmetic of the fold, on NumPy arrays in float64: which map goes into a convolution, what stays in front of it.

In: an affine map, and what a walk through torch's or ONNX's graph found to read the input. Out: new weights, or the reason why not.
Never: a mean in the bias of a zero-padded convolution.
"""

from . import guard
from .arithmetic import FoldPlan, as_dtype, border_error, fold_conv
from .guard import RAW, InputEffect, described
from .planes import BRIGHTEST, Look, Planes, Rows, clearest
from .trail import Reader, Tracked, Trail, common_through, concatenate, plan_for

__all__ = [
    "BRIGHTEST",
    "RAW",
    "FoldPlan",
    "InputEffect",
    "Look",
    "Planes",
    "Reader",
    "Rows",
    "Tracked",
    "Trail",
    "as_dtype",
    "border_error",
    "clearest",
    "common_through",
    "concatenate",
    "described",
    "fold_conv",
    "guard",
    "plan_for",
]
