"""The arithmetic of the fold, on NumPy arrays in float64: which map goes into a convolution, what stays in front of it.

In: an affine map, and what a walk through torch's or ONNX's graph found to read the input. Out: new weights, or the reason why not.
Never: a mean in the bias of a zero-padded convolution.
"""

from . import guard
from .arithmetic import border_error, fold_conv
from .convolutions import rewrite, spoil_border
from .guard import RAW, InputEffect, described
from .look import Look, clearest, is_single
from .planes import BRIGHTEST, Planes, Rows
from .trail import Reader, Tracked, Trail, common_through, concatenate, plan_for

__all__ = [
    "BRIGHTEST",
    "RAW",
    "InputEffect",
    "Look",
    "Planes",
    "Reader",
    "Rows",
    "Tracked",
    "Trail",
    "border_error",
    "clearest",
    "common_through",
    "concatenate",
    "described",
    "fold_conv",
    "guard",
    "is_single",
    "plan_for",
    "rewrite",
    "spoil_border",
]
