"""The opset of an .onnx file, and what the steps need: another form of resizes, or a newer opset where that changes nothing."""

import contextlib
import dataclasses
from typing import TYPE_CHECKING

from .. import graph
from ..errors import PreprocError
from ..sources import Recipe, replace
from ..steps import known, with_form

if TYPE_CHECKING:
    import onnx_ir as ir

EXACT = 11
"""From which on the exact form of resizes has all its nodes."""


def in_form(recipe: Recipe, form: str) -> Recipe:
    """With its resizes in that form, see with_form(); those in front of further pictures, too."""
    further = [other if other.given else dataclasses.replace(other, steps=with_form(other.steps, form)) for other in recipe.further]
    return replace(recipe, steps=with_form(recipe.steps, form), further=tuple(further))


def in_opset(recipe: Recipe, model: "ir.Model", *, any_form: bool) -> "tuple[Recipe, ir.Model, tuple[str, ...]]":
    """The recipe and the model such that there are nodes for all of its steps, and what there is to know of it; as they are where nothing
    is missing. any_form: resizes in the exact form where that needs an older opset, and the pixels are of one size.

    Raises PreprocError if the model's opset is too old for the steps, and cannot be raised without changing what the model computes.
    """
    have, notes = model.opset_imports.get("", 0), tuple[str, ...]()
    need, step = _needed(recipe, model)
    sized = all(known(view.pixels.size) is not None for view in recipe.views())
    if need > have and any_form and sized:
        exact = in_form(recipe, "exact")
        with contextlib.suppress(PreprocError):  # sizes for which it is not exact
            less, which = _needed(exact, model)
            if less < need:
                recipe, need, step = exact, less, which
                notes = (f"resizes are in the exact form, for a model of opset {have} has no nodes for the fast one",)
    if need == have:
        return recipe, model, notes
    try:
        model, rewritten = graph.raised(model, need)
        graph.check(model, str(recipe.backbone.weights))
    except PreprocError as error:
        sizeless = any_form and not sized and have >= EXACT and in_form(recipe, "exact") != recipe
        other = f"; or say the pixels' size (--size H,W): from opset {EXACT} on resizes of one size have a form of their own"
        raise PreprocError(
            f"expected a model of opset {need} or newer for {step}, got opset {have}, which cannot be raised without a change: {error}; "
            f"export it again with a newer opset{other if sizeless else ''}",
            name="opset-too-old",
        ) from error
    otherwise = f"written otherwise, to the same effect: {', '.join(rewritten)}" if rewritten else "no operator had to be written otherwise"
    return recipe, model, (*notes, f"the model's opset was raised from {have} to {need}, which {step} needs; {otherwise}")


def _needed(recipe: Recipe, model: "ir.Model") -> tuple[int, str]:
    """The oldest opset for the steps, from the model's own on, and for which of them."""
    dtype = graph.picture_input(model, recipe.backbone.input, recipe.backbone.layout).computes
    have, pixels = model.opset_imports.get("", 0), recipe.pixels
    return graph.needed_opset(have, dtype, recipe.steps, channels=pixels.channels, size=pixels.size)
