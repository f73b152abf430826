"""Recipe or Model -> what is to be made: the network, how it is fed, and what is known of its weights."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import graph
from ..bundle.inspection import graph_effect
from ..errors import PreprocError, RecipeError
from ..folding import InputEffect, guard
from ..host import Progress, silent
from ..sources import (
    FORMATS,
    FRAMES,
    USUAL,
    FurtherPicture,
    PixelsSpec,
    Recipe,
    check_precision,
    replace,
)
from ..steps import Normalize, channels_out, check, plausibility
from ..verify import inputs, ready_size_of, sizes_of
from .from_python import recipe_of
from .job import Job
from .opsets import in_opset
from .sizing import with_sizes
from .whole import check_whole
from .writable import check_writable

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import Tensor

    from ..layers import Model
    from ..sources.backbones import Backbone


def job_of(
    source: "Recipe | Model",
    formats: Sequence[str] | None,
    said: Mapping[str, Any],
    progress: Progress,
    *,
    precision: str | None = None,
) -> Job:
    """formats, precision: in place of a recipe's own.  said: of a Model, what recipe_of() takes."""
    outputs = said.get("outputs", ())
    if isinstance(formats, str) or isinstance(outputs, str):
        raise PreprocError(f"expected formats and outputs to be lists of names, got {formats!r} and {outputs!r}", name="unknown-choice")
    for name in formats or ():
        if name not in FORMATS:
            raise PreprocError(f"expected formats to be some of {', '.join(FORMATS)}, got {name!r}", name="unknown-choice")
    if not isinstance(source, Recipe):
        own = said if precision is None else {**said, "precision": precision}
        recipe, backbone = recipe_of(source, tuple(formats or USUAL), **own)
        check_writable(recipe)
        return _python_job(recipe, backbone, "unknown", progress)
    recipe = source if formats is None else replace(source, export={"formats": tuple(formats)})
    recipe = recipe if precision is None else in_precision(recipe, precision)
    if said:
        raise PreprocError(
            f"expected {', '.join(said)} with a Model only, got it with a recipe, which says that itself", name="conflicting-options"
        )
    if recipe.backbone.source == "onnx":
        if recipe.export.formats != ("onnx",):
            raise PreprocError(
                f'{recipe.name}: expected formats = ["onnx"] for a backbone that is an .onnx file, got {list(recipe.export.formats)}',
                name="unknown-choice",
            )
        file = recipe.resolve(str(recipe.backbone.weights))
        progress(f"reading {file.name}")
        return file_job(recipe, graph.load(file, progress), progress)
    from ..sources.backbones import agreement, load_backbone, published_weights

    check_writable(recipe)
    fetched = ", whose weights are fetched if they are not in the cache" if published_weights(recipe.backbone) else ""
    progress(f"loading the backbone {recipe.backbone.name}{fetched}")
    backbone = load_backbone(recipe)
    return _python_job(recipe, backbone, agreement(recipe, backbone), progress)


def in_precision(recipe: Recipe, precision: str) -> Recipe:
    """In place of its own; outputs that had the network's own precision have it still. Raises RecipeError."""
    made = replace(recipe, export={"precision": check_precision(precision), "outputs_precision": "float32"})
    follow = recipe.export.outputs_precision != "float32" and made.export.half
    return replace(made, export={"outputs_precision": precision}) if follow else made


def file_job(recipe: Recipe, model: "ir.Model", progress: Progress = silent, *, any_form: bool = False) -> Job:
    """A network that is an .onnx file, loaded as `model`: its outputs named, its batch as it is, refused if it normalizes its input a
    second time. any_form: as in_opset()'s."""
    file = recipe.resolve(str(recipe.backbone.weights))
    graph.check(model, file)
    outputs = _choose(recipe, tuple(str(value.name) for value in model.graph.outputs))
    further = tuple(other if other.given else dataclasses.replace(other, pixels=_as_taken(other, model)) for other in recipe.further)
    taken = _as_taken(recipe, model)
    own = {"batch": taken.batch, "axes": taken.axes, "frames": taken.frames}
    computes = graph.precision(model, filter(None, (view.backbone.input for view in recipe.views())))
    export = _precision(recipe, model, computes.name)
    recipe = replace(recipe, backbone={"outputs": outputs}, pixels=own, export=export, further=further)
    for view in recipe.views():
        _check_fits(view, model)
    recipe, raised, told = _in_opset(recipe, model, any_form=any_form)
    notes = (*dict.fromkeys(note for view in recipe.views() for note in _guarded(view, raised)), *told)
    if any(pixels.axes == "NT" and pixels.frames is None for pixels in (recipe.pixels, *(other.pixels for other in further))):
        notes += (f"the number of frames is free: verified with {FRAMES}",)
    notes += (str(computes),) * computes.partly
    notes += tuple(f"sides of {name} that are declared as 0 or -1 are free" for name in graph.freed(model))
    size = sum(each.stat().st_size for each in (file, *(file.parent / name for name in graph.beside(model))))
    sha256 = graph.fingerprint(file, raised, progress)
    load = functools.partial(_load, file, raised.opset_imports.get("", 0), progress)
    return Job(recipe, file, "unknown", file.name, sha256, True, recipe.labels, notes, size, load)


def _precision(recipe: Recipe, model: "ir.Model", own: str) -> dict[str, str]:
    """ExportSpec's, as the file has it. own: the file's. Raises RecipeError for a recipe that wants another."""
    asked = recipe.export.precision
    if asked not in ("float32", own) and (recipe.export.half or own != "float32"):
        raise stays_as_it_is(own, asked)
    if own == "float32":
        return {"precision": asked}
    outputs = {None if value.dtype is None else value.dtype.name.lower() for value in model.graph.outputs}
    return {"precision": own, "outputs_precision": own if own in outputs else "float32"}


def stays_as_it_is(own: str, asked: str) -> RecipeError:
    """For a file that is asked for in another precision than its own."""
    return RecipeError(
        f"precision: expected {own}, in which the file computes and which stays as it is, got {asked}", name="conflicting-options"
    )


def _in_opset(recipe: Recipe, model: "ir.Model", *, any_form: bool) -> "tuple[Recipe, ir.Model, tuple[str, ...]]":
    """in_opset() for the steps of every picture."""
    views, notes = list[Recipe](), list[str]()
    for view in recipe.views():
        view, model, told = in_opset(view, model, any_form=any_form)
        views.append(view)
        notes += told
    steps_of = {view.takes: view.steps for view in views}
    further = tuple(dataclasses.replace(other, steps=steps_of.get(other.takes, other.steps)) for other in recipe.further)
    return dataclasses.replace(views[0], further=further), model, tuple(dict.fromkeys(notes))


def _as_taken(taker: "Recipe | FurtherPicture", model: "ir.Model") -> PixelsSpec:
    """The pixels with the batch and the frames of the model's input."""
    which = (taker.backbone.input, taker.backbone.layout) if isinstance(taker, Recipe) else (taker.input, taker.layout)
    picture = graph.picture_input(model, *which)
    return dataclasses.replace(taker.pixels, batch=picture.batch, axes=picture.axes, frames=picture.frames)


def _check_fits(recipe: Recipe, model: "ir.Model") -> None:
    """Raises PreprocError where what the steps make does not fit the model."""
    picture, ready = graph.picture_input(model, recipe.backbone.input, recipe.backbone.layout), _channels(recipe)
    picture.check_fits(recipe.pixels, channels=ready, size=recipe.ready_size)
    if picture.is_whole:
        check_whole(recipe, picture)


def _channels(recipe: Recipe) -> int:
    """That the steps make."""
    return channels_out(recipe.steps, recipe.pixels.channels)


def _guarded(recipe: Recipe, model: "ir.Model") -> tuple[str, ...]:
    return _guard(recipe, graph_effect(model, _channels(recipe), name=recipe.backbone.input, layout=recipe.backbone.layout))


def _load(file: Path, opset: int, progress: Progress) -> "ir.Model":
    """As file_job() took it: of that opset."""
    model = graph.load(file, progress)
    return model if model.opset_imports.get("", 0) == opset else graph.raised(model, opset)[0]


def _choose(recipe: Recipe, own: tuple[str, ...]) -> tuple[str, ...]:
    """The outputs of an .onnx file that the recipe asks for, by their own names."""
    for name in recipe.backbone.outputs:
        if name not in own:
            raise RecipeError(
                f"[backbone] outputs: expected some of {', '.join(own)}, which the file has, got {name!r}", name="output-names"
            )
    return recipe.backbone.outputs or own


def _guard(recipe: Recipe, effect: InputEffect) -> tuple[str, ...]:
    """Raises RecipeError if a network that does this to its input would be fed with values that are normalized already; else, notes."""
    reason = guard.why_not(effect, check(recipe.steps, channels=recipe.pixels.channels))
    if reason is not None and recipe.backbone.override is None:
        raise RecipeError(
            f'{recipe.name}: {reason}; if two are meant, say why in override = "the reason" (attach: --force)', name="normalized-twice"
        )
    needless = reason is None and recipe.backbone.override is not None
    said = f"{'' if recipe.backbone.override == '--force' else 'override: '}{recipe.backbone.override}"
    forced = [f"{said}: not needed, for nothing was seen that normalizes the values a second time"] if needless else []
    return (*_constants(recipe), *forced, *guard.notes(effect))


def _constants(recipe: Recipe) -> Iterator[str]:
    """What may surprise of the constants that were given; those of preproc's own statistics are what the pictures have."""
    for step in recipe.steps:
        if not isinstance(step, Normalize) or step.unit is None:
            continue
        if step.constants_because is not None:
            yield f"normalize: its constants are taken as they are given, because: {step.constants_because}"
        elif not (step.origin or "").startswith("stats "):
            given = plausibility.Constants(step.mean, step.std, step.unit)
            yield from (f"normalize: {note}" for note in plausibility.notes(given, color=recipe.backbone.color))


def _python_job(recipe: Recipe, backbone: "Backbone", agree: str, progress: Progress) -> Job:
    """A network in Python: refused if it normalizes its input a second time, its outputs named."""
    from ..folding.modules import module_effect
    from ..sources.backbones import answered, check_narrowed

    recipe = with_sizes(recipe, lambda ready: answered(backbone.module, ready), progress)
    progress("looking at what the backbone does to its input")
    example = example_of(recipe)
    notes = (*backbone.notes, *_guard(recipe, module_effect(backbone.module, example[1])))
    sha256, labels = backbone.sha256(), recipe.labels or backbone.labels
    recipe, named = with_outputs(recipe, backbone)
    written = to_be_written(recipe, named, example[1])
    check_narrowed(written.module, recipe.export, example[1])
    values = (*backbone.module.parameters(), *backbone.module.buffers())
    size = len(recipe.export.formats) * sum(value.nbytes for value in values)
    return Job(recipe, named, agree, backbone.weights, sha256, backbone.trained, labels, notes, size, example=example, written=written)


def to_be_written(recipe: Recipe, backbone: "Backbone", ready: "Tensor") -> "Backbone":
    """The backbone as it is narrowed: in half precision its batch norms are in its convolutions. ready: as example_of()'s."""
    from ..folding.modules import fold_batch_norms

    if not recipe.export.half:
        return backbone
    return dataclasses.replace(backbone, module=fold_batch_norms(backbone.module, ready))


def example_of(recipe: Recipe) -> "tuple[Tensor, Tensor]":
    """Two pictures as the model takes them, and what the steps make of them."""
    import torch

    from ..layers import Pipeline

    size = sizes_of(recipe)[0]
    pictures = [picture for _, picture in inputs.standard(recipe.pixels, size)][:2]
    pixels = torch.cat([torch.from_numpy(picture) for picture in pictures])
    return pixels, Pipeline.from_steps(recipe.steps)(pixels)


def with_outputs(recipe: Recipe, backbone: "Backbone") -> "tuple[Recipe, Backbone]":
    """The recipe with the names of all outputs, and the backbone answering them in that order. Runs it once."""
    import torch

    from ..sources.backbones import name_outputs

    picture = torch.zeros(1, channels_out(recipe.steps, recipe.pixels.channels), *ready_size_of(recipe))
    backbone, names = name_outputs(backbone, recipe.backbone.outputs, picture)
    return replace(recipe, backbone={"outputs": names}), backbone
