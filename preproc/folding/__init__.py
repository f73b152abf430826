"""The arithmetic of the fold, on NumPy arrays in float64: which map goes into a first layer, what stays in front of it.

In: an affine map, and what a walk through torch's or ONNX's graph found to read the input. Out: new weights, or the reason why not.
Never: a mean in the bias of a zero-padded convolution.
"""

from . import guard
from .adding import added
from .apart import FOLDED, planes_or_pixels, selected, whole_or_scaled
from .arithmetic import seen_everywhere
from .cells import Cells, Side, Window
from .convolutions import rewrite, spoil_border
from .eight import Eight, on_grid, scales_of, with_fine_constant
from .guard import RAW, InputEffect, described
from .joining import concatenate
from .look import Look, clearest, is_single
from .planes import BRIGHTEST, Planes, Rows
from .planning import FoldPlan, plan_for, plan_on_cells
from .tracked import Tracked, is_free
from .trail import Reader, Trail, common_through
from .whole import Whole, unit_for

__all__ = [
    "BRIGHTEST",
    "FOLDED",
    "RAW",
    "Cells",
    "Eight",
    "FoldPlan",
    "InputEffect",
    "Look",
    "Planes",
    "Reader",
    "Rows",
    "Side",
    "Tracked",
    "Trail",
    "Whole",
    "Window",
    "added",
    "clearest",
    "common_through",
    "concatenate",
    "described",
    "guard",
    "is_free",
    "is_single",
    "on_grid",
    "plan_for",
    "plan_on_cells",
    "planes_or_pixels",
    "rewrite",
    "scales_of",
    "seen_everywhere",
    "selected",
    "spoil_border",
    "unit_for",
    "whole_or_scaled",
    "with_fine_constant",
]
