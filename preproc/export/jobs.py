"""Recipe or Model -> what is to be written: the network, how it is fed, and what is known of its weights."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from .. import graph, guard, plausibility
from ..errors import PreprocError, RecipeError
from ..probe import InputEffect, graph_effect
from ..progress import Progress
from ..proof import sizes_of, with_outputs
from ..recipe import FORMATS, USUAL, BackboneSpec, ExportSpec, PixelsSpec, Recipe, check_tolerance, replace
from ..runtimes import onnxruntime
from ..steps import FromPixels, Normalize, channels_in, channels_out, check

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import Tensor

    from ..backbones import Backbone
    from ..pipeline import Model


@dataclass(frozen=True)
class Job:
    """Everything that the files are made from. backbone: a network in Python, or the .onnx file that is one.
    model: that file, loaded, for the steps to be put in front of."""

    recipe: Recipe
    backbone: "Backbone | Path"
    constants_agree: str
    weights: str
    weights_sha256: str
    trained: bool
    labels: Sequence[str]
    notes: tuple[str, ...]
    model: "ir.Model | None" = None

    def size(self) -> int:
        """About how many bytes the files will have: those of the weights, in each format."""
        if isinstance(self.backbone, Path):
            beside = () if self.model is None else graph.beside(self.model)
            return sum(file.stat().st_size for file in (self.backbone, *(self.backbone.parent / name for name in beside)))
        module = self.backbone.module
        return len(self.recipe.export.formats) * sum(value.nbytes for value in (*module.parameters(), *module.buffers()))


def job_of(
    source: "Recipe | Model",
    formats: Sequence[str] | None,
    example: "Tensor | None",
    outputs: Sequence[str],
    override: str | None,
    tolerance: float | None,
    progress: Progress,
) -> Job:
    if isinstance(formats, str) or isinstance(outputs, str):
        raise PreprocError(f"expected formats and outputs to be lists of names, got {formats!r} and {outputs!r}")
    for name in formats or ():
        if name not in FORMATS:
            raise PreprocError(f"expected formats to be some of {', '.join(FORMATS)}, got {name!r}")
    if not isinstance(source, Recipe):
        recipe, backbone = _model_recipe(source, tuple(formats or USUAL), example)
        if tolerance is not None:
            recipe = replace(recipe, export={"tolerance": check_tolerance(tolerance)})
        _check_installed(recipe)
        return _python_job(replace(recipe, backbone={"outputs": tuple(outputs), "override": override}), backbone, "unknown", progress)
    recipe = source if formats is None else replace(source, export={"formats": tuple(formats)})
    if example is not None or outputs or override is not None or tolerance is not None:
        raise PreprocError(
            "expected example, outputs, override and tolerance with a Model only, got them with a recipe, which says them itself"
        )
    if recipe.backbone.source == "onnx":
        if recipe.export.formats != ("onnx",):
            raise PreprocError(
                f'{recipe.name}: expected formats = ["onnx"] for a backbone that is an .onnx file, got {list(recipe.export.formats)}'
            )
        return file_job(recipe, graph.load(recipe.resolve(str(recipe.backbone.weights))))
    from ..backbones import agreement, load_backbone, published_weights

    _check_installed(recipe)
    fetched = ", whose weights are fetched if they are not in the cache" if published_weights(recipe.backbone) else ""
    progress(f"loading the backbone {recipe.backbone.name}{fetched}")
    backbone = load_backbone(recipe)
    return _python_job(recipe, backbone, agreement(recipe, backbone), progress)


def _check_installed(recipe: Recipe) -> None:
    """Raises PreprocError where what is needed last is not there: an .onnx file is written with onnxscript, and not published unless it
    runs."""
    if "onnx" not in recipe.export.formats:
        return
    if find_spec("onnxscript") is None:
        raise PreprocError(f"{recipe.name}: expected onnxscript for the format onnx, got none installed; pip install onnxscript")
    onnxruntime()


def file_job(recipe: Recipe, model: "ir.Model") -> Job:
    """A network that is an .onnx file, loaded as `model`: its outputs named, its batch as it is, refused if it normalizes its input a
    second time."""
    file = recipe.resolve(str(recipe.backbone.weights))
    graph.check(model, file)
    which = recipe.backbone.input, recipe.backbone.layout
    picture = graph.picture_input(model, *which)
    recipe = replace(
        recipe,
        backbone={"outputs": _choose(recipe, tuple(str(value.name) for value in model.graph.outputs))},
        pixels={"batch": picture.batch},
    )
    ready = channels_out(recipe.steps, recipe.pixels.channels)
    picture.check_fits(recipe.pixels, channels=ready, size=recipe.ready_size)
    notes = _guard(recipe, graph_effect(model, ready, name=which[0], layout=which[1]))
    return Job(recipe, file, "unknown", file.name, graph.fingerprint(file, model), True, recipe.labels, notes, model)


def _choose(recipe: Recipe, own: tuple[str, ...]) -> tuple[str, ...]:
    """The outputs of an .onnx file that the recipe asks for, by their own names."""
    for name in recipe.backbone.outputs:
        if name not in own:
            raise RecipeError(f"[backbone] outputs: expected some of {', '.join(own)}, which the file has, got {name!r}")
    return recipe.backbone.outputs or own


def _guard(recipe: Recipe, effect: InputEffect) -> tuple[str, ...]:
    """Raises RecipeError if a network that does this to its input would be fed with values that are normalized already; else, notes."""
    reason = guard.why_not(effect, check(recipe.steps, channels=recipe.pixels.channels))
    if reason is not None and recipe.backbone.override is None:
        raise RecipeError(f'{recipe.name}: {reason}; if two are meant, say why in override = "the reason" (attach: --force)')
    return (*_constants(recipe), *guard.notes(effect))


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
    from ..probe.modules import module_effect

    progress("looking at what the backbone does to its input")
    notes = _guard(recipe, module_effect(backbone.module, ready_for(recipe)))
    sha256, labels = backbone.sha256(), recipe.labels or backbone.labels
    recipe, named = with_outputs(recipe, backbone)
    return Job(recipe, named, agree, backbone.weights, sha256, backbone.trained, labels, notes)


def _model_recipe(model: "Model", formats: tuple[str, ...], example: "Tensor | None") -> "tuple[Recipe, Backbone]":
    """A recipe for a Model that somebody built in Python; the model itself is not touched."""
    import torch

    from ..backbones import Backbone
    from ..pipeline import Model, Pipeline

    if not isinstance(model, Model) or not isinstance(model.pipeline, Pipeline):
        raise PreprocError(f"expected a Recipe, or a Model made by prepend(), got {type(model).__name__}")
    sequence = model.pipeline.steps()
    if not sequence or not isinstance(sequence[0], FromPixels):
        raise PreprocError("expected a pipeline that starts with FromPixels, for the file takes pixels, got one that does not")
    if example is None or example.dim() != 4:
        got = "none" if example is None else f"one of shape {tuple(example.shape)}"
        raise PreprocError(f"expected example=, a batch of pixels of the size that the file shall take, 4-D, got {got}")
    first, nhwc = sequence[0], sequence[0].layout == "NHWC"
    size = tuple(example.shape[1:3] if nhwc else example.shape[2:4])
    channels = channels_in(sequence) or int(example.shape[3 if nhwc else 1])
    if example.is_floating_point():
        raise PreprocError(f"expected example= of {first.pixel_dtype} pixels, got {example.dtype}")
    if example.shape[3 if nhwc else 1] != channels:
        raise PreprocError(
            f"expected example= of shape (N, {'H, W, ' if nhwc else ''}{channels}{'' if nhwc else ', H, W'}), got {tuple(example.shape)}"
        )
    kinds = {value.dtype for value in model.backbone.parameters()} - {torch.float32}
    if kinds:
        raise PreprocError(f"expected a backbone with float32 weights, got {', '.join(map(str, kinds))}; call .float() on a copy of it")
    backbone = Backbone(copy.deepcopy(model.backbone).to("cpu").eval().requires_grad_(False), "as given", True)
    recipe = Recipe(
        name=type(model.backbone).__name__.lower(),
        backbone=BackboneSpec(source="module", color=first.to, name=type(model.backbone).__name__, weights="as given"),
        pixels=PixelsSpec(layout=first.layout, color=first.color, dtype=first.pixel_dtype, size=(size[0], size[1]), channels=channels),
        steps=sequence,
        export=ExportSpec(formats=formats),
    )
    return recipe, backbone


def pixels_for(recipe: Recipe) -> "Tensor":
    import torch

    from ..inputs import standard

    size = sizes_of(recipe)[0]
    pictures = [picture for _, picture in standard(recipe.pixels, size)][:2]
    return torch.cat([torch.from_numpy(picture) for picture in pictures])


def ready_for(recipe: Recipe) -> "Tensor":
    from ..pipeline import Pipeline

    ready: Tensor = Pipeline.from_steps(recipe.steps)(pixels_for(recipe))
    return ready
