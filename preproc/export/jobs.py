"""Recipe or Model -> what is to be written: the network, how it is fed, and what is known of its weights."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import graph
from ..bundle.inspection import graph_effect
from ..errors import PreprocError, RecipeError, check_choice
from ..folding import InputEffect, guard
from ..host import Progress
from ..sources import (
    FOLDS,
    FORMATS,
    USUAL,
    BackboneSpec,
    ExportSpec,
    PixelsSpec,
    Recipe,
    check_name,
    check_opset,
    check_size,
    check_tolerance,
    read_labels,
    replace,
)
from ..steps import FromPixels, Normalize, channels_in, channels_out, check, plausibility
from ..verify.runtimes import onnxruntime
from .proof import sizes_of, with_outputs

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray
    from torch import Tensor

    from ..layers import Model
    from ..sources.backbones import Backbone


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


def job_of(source: "Recipe | Model", formats: Sequence[str] | None, said: Mapping[str, Any], progress: Progress) -> Job:
    """said: of a Model, what _model_recipe() takes."""
    outputs = said.get("outputs", ())
    if isinstance(formats, str) or isinstance(outputs, str):
        raise PreprocError(f"expected formats and outputs to be lists of names, got {formats!r} and {outputs!r}")
    for name in formats or ():
        if name not in FORMATS:
            raise PreprocError(f"expected formats to be some of {', '.join(FORMATS)}, got {name!r}")
    if not isinstance(source, Recipe):
        recipe, backbone = _model_recipe(source, tuple(formats or USUAL), **said)
        _check_installed(recipe)
        return _python_job(recipe, backbone, "unknown", progress)
    recipe = source if formats is None else replace(source, export={"formats": tuple(formats)})
    if said:
        raise PreprocError(f"expected {', '.join(said)} with a Model only, got it with a recipe, which says that itself")
    if recipe.backbone.source == "onnx":
        if recipe.export.formats != ("onnx",):
            raise PreprocError(
                f'{recipe.name}: expected formats = ["onnx"] for a backbone that is an .onnx file, got {list(recipe.export.formats)}'
            )
        return file_job(recipe, graph.load(recipe.resolve(str(recipe.backbone.weights))))
    from ..sources.backbones import agreement, load_backbone, published_weights

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
    from ..folding.modules import module_effect

    progress("looking at what the backbone does to its input")
    notes = (*backbone.notes, *_guard(recipe, module_effect(backbone.module, ready_for(recipe))))
    sha256, labels = backbone.sha256(), recipe.labels or backbone.labels
    recipe, named = with_outputs(recipe, backbone)
    return Job(recipe, named, agree, backbone.weights, sha256, backbone.trained, labels, notes)


def _model_recipe(
    model: "Model",
    formats: tuple[str, ...],
    *,
    example: "Tensor | NDArray[Any] | None" = None,
    size: object = None,
    name: str | None = None,
    labels: "Sequence[str] | str | Path" = (),
    outputs: Sequence[str] = (),
    override: str | None = None,
    fold: str = "auto",
    opset: int = ExportSpec.opset,
    tolerance: float | None = None,
    tf32: bool = False,
) -> "tuple[Recipe, Backbone]":
    """A recipe for a Model that somebody built in Python; the model itself is not touched."""
    import torch

    from ..layers import Model, Pipeline
    from ..sources.backbones import Backbone

    if not isinstance(model, Model) or not isinstance(model.pipeline, Pipeline):
        raise PreprocError(f"expected a Recipe, or a Model made by prepend(), got {type(model).__name__}")
    sequence = model.pipeline.steps()
    if not sequence or not isinstance(sequence[0], FromPixels):
        raise PreprocError("expected a pipeline that starts with FromPixels, for the file takes pixels, got one that does not")
    pixels = _pixels(sequence[0], channels_in(sequence), example, size)
    kinds = {value.dtype for value in model.backbone.parameters()} - {torch.float32}
    if kinds:
        raise PreprocError(f"expected a backbone with float32 weights, got {', '.join(map(str, kinds))}; call .float() on a copy of it")
    backbone = Backbone(copy.deepcopy(model.backbone).to("cpu").eval().requires_grad_(False), "as given", True)
    kind = type(model.backbone).__name__
    name = kind.lower() if name is None else name
    check_name(name)
    check_choice("fold", fold, FOLDS)
    tolerance = None if tolerance is None else check_tolerance(tolerance)
    recipe = Recipe(
        name=name,
        backbone=BackboneSpec(
            source="module", color=sequence[0].to, name=kind, weights="as given", outputs=tuple(outputs), override=override
        ),
        pixels=pixels,
        steps=sequence,
        export=ExportSpec(formats=formats, fold=fold, opset=check_opset(opset), tolerance=tolerance, tf32=tf32),
        labels=read_labels(labels),
    )
    return recipe, backbone


def _pixels(first: FromPixels, channels: int | None, example: "Tensor | NDArray[Any] | None", size: object) -> PixelsSpec:
    """What the caller has: of the example's size, or of `size` where that is said. channels: where the steps tell."""
    sides = None if size is None else check_size(size)
    if example is None and channels is None:
        raise PreprocError(
            f'expected example=, a batch of pixels, for their number of channels, which color = "{first.color}" and the other steps do not '
            f"say, got {'none' if size is None else f'size={size!r} alone'}"
        )
    if example is None and size is None:
        raise PreprocError("expected example=, a batch of pixels of the size that the file shall take, 4-D, or size=, got none")
    if example is not None:
        shape, dtype = tuple(getattr(example, "shape", ())), str(getattr(example, "dtype", type(example).__name__)).removeprefix("torch.")
        if len(shape) != 4:
            raise PreprocError(f"expected example=, a batch of pixels of the size that the file shall take, 4-D, got one of shape {shape}")
        if dtype != first.pixel_dtype:
            raise PreprocError(f"expected example= of {first.pixel_dtype} pixels, got {dtype}")
        axis, nhwc = (3, True) if first.layout == "NHWC" else (1, False)
        channels = channels or int(shape[axis])
        if shape[axis] != channels:
            raise PreprocError(
                f"expected example= of shape (N, {'H, W, ' if nhwc else ''}{channels}{'' if nhwc else ', H, W'}), got {shape}"
            )
        given = (int(shape[1]), int(shape[2])) if nhwc else (int(shape[2]), int(shape[3]))
        if sides is not None and sides != given:
            raise PreprocError(f'expected size= to be the example\'s height and width, {given}, or "dynamic", got {sides}')
        sides = given if size is None else sides
    assert channels is not None
    return PixelsSpec(layout=first.layout, color=first.color, dtype=first.pixel_dtype, size=sides, channels=channels)


def pixels_for(recipe: Recipe) -> "Tensor":
    import torch

    from ..verify import standard

    size = sizes_of(recipe)[0]
    pictures = [picture for _, picture in standard(recipe.pixels, size)][:2]
    return torch.cat([torch.from_numpy(picture) for picture in pictures])


def ready_for(recipe: Recipe) -> "Tensor":
    from ..layers import Pipeline

    ready: Tensor = Pipeline.from_steps(recipe.steps)(pixels_for(recipe))
    return ready
