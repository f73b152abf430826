"""Where a backbone comes from, and what its weights know of the preprocessing they were trained with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ... import steps
from ...errors import RecipeError
from ...steps import PIXEL_DTYPES, Affine
from .. import BackboneSpec, Recipe
from . import embedded, own, zoo
from .base import Backbone
from .weights import is_file

_SOURCES: Mapping[str, Callable[[BackboneSpec, Recipe], Backbone]] = {
    "embedded": embedded.embedded,
    "torchvision": zoo.torchvision,
    "timm": zoo.timm,
    "checkpoint": own.checkpoint,
    "import": own.imported,
}


def load_backbone(recipe: Recipe) -> Backbone:
    """The network that a recipe names, with its weights. Raises PreprocError with the ways out."""
    spec = recipe.backbone
    if spec.source not in _SOURCES:
        raise RecipeError(
            f"[backbone] source: expected one of {', '.join(_SOURCES)} for a network in Python, got {spec.source!r}", name="unknown-choice"
        )
    backbone = _SOURCES[spec.source](spec, recipe)
    backbone.module.eval().requires_grad_(False)
    return backbone


def published_weights(spec: BackboneSpec) -> bool:
    """Whether they are fetched, by their name."""
    return spec.source in ("torchvision", "timm") and spec.weights != "random" and not is_file(spec.weights)


def _told(recipe: Recipe) -> str:
    return f"{recipe.backbone.color} through {', '.join(map(str, recipe.steps[1:])) or 'no steps'}"


def agreement(recipe: Recipe, backbone: Backbone) -> str:
    """ "yes", "no" or "unknown": whether the recipe's constants are those that the weights know; and so the resizes and crops of a recipe
    that has some, where the weights know theirs.

    Raises RecipeError if they differ and the recipe gives no reason in `override`.
    """
    known = backbone.published
    if known is None:
        return "unknown"
    channels = len(steps.COLORS[known.color])
    (moved, values), (theirs_moved, theirs_values) = map(_apart, (recipe.steps[1:], known.steps))
    ours, theirs = steps.compose(values, channels), steps.compose(theirs_values, channels)
    assert theirs is not None
    same = not moved or not theirs_moved or moved == theirs_moved
    if recipe.backbone.color == known.color and ours is not None and same:
        depth = PIXEL_DTYPES[recipe.pixels.dtype] / PIXEL_DTYPES["uint8"]  # theirs is told in 8-bit grey levels
        if Affine(ours.matrix * depth, ours.offset).close_to(theirs):
            return "yes"
    if recipe.backbone.override is None:
        raise RecipeError(
            f"[[steps]]: expected what the weights {backbone.weights} were trained with, {known}, got {_told(recipe)}; "
            'if that is meant, write override = "the reason" under [backbone]',
            name="trained-otherwise",
        )
    return "no"


def _apart(sequence: Sequence[steps.Step]) -> tuple[list[steps.Geometry], list[steps.Step]]:
    """What moves pixels, whatever its form in files and its Pillow, which weights do not know, and the others."""
    moving = [step for step in sequence if isinstance(step, steps.Geometry)]
    alike: list[steps.Geometry] = [
        replace(step, form="fast", pillow=None) if isinstance(step, steps.Resampling) else step for step in moving
    ]
    return alike, [step for step in sequence if not isinstance(step, steps.Geometry)]
