"""The affine end of the steps in the weights of a graph's first convolutions, and what is left in front of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import NotFoldableError, PreprocError
from ..folding import (
    Cells,
    Eight,
    Whole,
    on_grid,
    plan_for,
    plan_on_cells,
    planes_or_pixels,
    rewrite,
    selected,
    unit_for,
    whole_or_scaled,
    with_fine_constant,
)
from ..sources import PixelsSpec
from ..steps import Affine, Sides, Step, are_whole, split_affine_end, subtract_steps
from .beside import beside
from .cells import Given
from .first_convolutions import First
from .near import Near
from .picture import HALF, Picture
from .walk import first_convolutions, follow
from .wider import widened

QUANTIZED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""The first layers that ONNX Runtime's quantizer knows."""


@dataclass(frozen=True)
class Left:
    """In front of the first convolutions: steps, and a channel that holds `constant` everywhere, unless that is None.
    form, why: as FoldPlan's.  convolutions: the names of the weights that took up the rest.  zero: what is subtracted from the first
    channel.  anchor: (channels,) the pixel for which the biases correct what the weights are rounded by.  found: what reads what is left.
    near: where padding is only near to what it was, by how much, and what that is.  selected: which of the pixels' channels the steps
    choose, where they do.  given: where the convolutions are given luma and chroma apart, in place of what the steps make.
    chroma: as FoldResult's."""

    steps: Sequence[Step]
    constant: float | None
    form: str
    why: str
    convolutions: tuple[str, ...]
    zero: float
    found: Sequence[First]
    near: Near | None
    selected: tuple[int, ...]
    anchor: NDArray[np.float64]
    given: Given | None = None
    chroma: str = ""


def fold_into(
    picture: Picture,
    steps: Sequence[Step],
    pixels: PixelsSpec,
    *,
    channels: int,
    size: Sides,
    opset: int,
    wide: ir.Model | None,
    eight: Eight | None,
) -> Left:
    """Rewrites the weights, in place. channels, size: that the steps make.  wide: the network before it was narrowed, as widened()'s.
    eight: the pixels less one whole number are to be a quantized tensor.

    Where half precision holds the values on their way, whole numbers are subtracted, unless the values are no whole levels: these are
    rounded there, folded or not. float16 has few exponents, for which a power of two may go from the pixels into the weights.

    Raises NotFoldableError with the reason, and PreprocError for other channels than the network reads; nothing is changed then.
    """
    if eight is not None and pixels.dtype != "uint8":
        raise NotFoldableError(f"pixels of {pixels.dtype} are no tensor of 8 bits", name="fold-dtype")
    kept, affine = split_affine_end(steps, channels=channels)
    walk = follow(picture, channels, size)
    walk.check()
    _check_channels(walk.found)
    if eight is not None:
        _check_eight(walk.found)
    found, half = widened(walk.found, wide, channels=channels, size=size), walk.floats & set(HALF)
    whole: Whole | None = "each" if half and pixels.dtype == "uint8" and are_whole(kept) else None

    def fold(affine: Affine, selection: Affine | None, cells: Cells | None) -> Left:
        unit, given = 1.0, None
        if ir.DataType.FLOAT16 in half:
            unit = unit_for([item.weights()[0] for item in found], affine, top=np.iinfo(pixels.dtype).max)
        readers, scaled = [item.reader for item in found], Affine(affine.matrix / unit, affine.offset)
        if cells is not None:
            plan = plan_on_cells(readers, scaled, cells, whole=whole, unit=unit)
            given, shift = Given.of(walk, kept, plan, cells, unit), plan.shift
        else:
            plan = plan_for(
                readers,
                scaled,
                lambda count: [item.reader for item in first_convolutions(picture, count, size)],
                whole=whole if eight is None else eight.whole,
                unit=unit,
                nearest=eight is not None and eight.nearest,
            )
            shift = plan.shift
        if plan.constant is not None and opset < 11:
            raise NotFoldableError(f"appending a channel needs opset 11, the model has {opset}", name="opset-too-old")
        plan = plan if eight is None else with_fine_constant(plan, found)
        rewrite(found, plan, dtype=walk.found[0].weights()[0].dtype, grid=None if eight is None else on_grid)
        if plan.constant is not None or affine.channels_in != affine.channels_out:
            walk.forget_shapes()
        second = [] if cells is None else [beside(item.node) for item in walk.found]
        names = tuple(sorted({str(item.constants[0].name) for item in walk.found}))
        names += tuple(sorted({str(node.inputs[1].name) for node in second if node is not None}))  # type: ignore[union-attr]
        left = [*kept, *subtract_steps(shift, unit=unit, selection=selection)]
        near = None if plan.border is None else Near.of(walk.found, plan)
        zero, anchor = float(plan.shift[0]), plan.anchor(readers)
        return Left(left, plan.constant, plan.form, plan.why, names, zero, walk.found, near, selected(selection), anchor, given)

    if eight is not None:
        return fold(affine, None, None)
    made, chroma = planes_or_pixels(kept, lambda cells: whole_or_scaled(affine, lambda affine, selection: fold(affine, selection, cells)))
    return replace(made, chroma=chroma)


def _check_eight(found: Sequence[First]) -> None:
    """Raises NotFoldableError for a layer that ONNX Runtime's quantizer leaves in floats, which is given no tensor of 8 bits."""
    left = next((item.node.op_type for item in found if item.node.op_type not in QUANTIZED), None)
    if left is not None:
        raise NotFoldableError(f"{left} reads the pixels, which ONNX Runtime's quantizer leaves in floats", name="fold-not-convolution")


def _check_channels(found: Sequence[First]) -> None:
    for item in found:
        takes, given = item.weights()[0].shape[1] * item.reader.groups, len(item.reader.slots)
        if takes != given:
            raise PreprocError(
                f"expected steps that make the {takes} channels which the first convolution reads, got {given}", name="channel-mismatch"
            )
