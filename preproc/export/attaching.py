"""Preprocessing in front of an .onnx file that exists already: a recipe whose backbone is that file. No torch."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import graph
from .. import steps as vocabulary
from ..bundle import KEY, MANIFEST, Bundle, check_target
from ..errors import PreprocError, check_choice
from ..host import Progress, silent, targets
from ..sources import FOLDS, BackboneSpec, ExportSpec, PixelsSpec, Recipe, check_name, check_tolerance, replace
from ..steps import COLORS, FAST, FORMS, LAYOUTS, FromPixels, Geometry, Resampling, Step
from ..verify import Report
from .exporter import publish_bundle, publish_file
from .job import check_images
from .resolving import check_opset, file_job

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..layers import Layer, Pipeline


OTHERS = (".pt", ".pth", ".pt2", ".ort", ".engine", ".safetensors")
"""Endings of model files that attach() does not write."""


def attach(
    onnx_in: str | Path,
    out: str | Path,
    *,
    steps: "Pipeline | Sequence[Layer | Step]",
    pixels: PixelsSpec | None = None,
    model_color: str | None = None,
    input_name: str | None = None,
    model_layout: str | None = None,
    fold: str = "auto",
    force: bool = False,
    verify: bool = True,
    images: str | Path | None = None,
    steps_from: str | None = None,
    tolerance: float | None = None,
    form: str | None = None,
    progress: Progress = silent,
) -> Bundle | Report | None:
    """Writes the model `onnx_in` with `steps` in front of it, verified against the original file, which is not touched.

    out: a folder, for a bundle, which is returned; or a name that ends in .onnx, for the bare file, whose report is returned. Weights
    that are in other files stay outside: they go into one file beside the new model.
    steps: a Pipeline, or its layers or their steps.  pixels: what the caller has; size None: as the model has it, or where the steps resize
    any. A FromPixels at the front says what the caller has and what order the model was trained on, all but the size.
    model_color: that order; default: as FromPixels says, or RGB.  input_name: the one that takes the picture, of several that might.
    model_layout: NCHW or NHWC, what that one takes; None: as the graph reads it, or its shape tells.
    fold: auto, off or require.  force: although the model normalizes its input itself.  verify: False writes a bare file unverified.
    images: a folder of your own pictures to verify with.  steps_from: where the steps were published, for the contract.
    tolerance: how far a runtime may be from the original file, relative to the largest output; None: see verify.Power.bounds().
    form: of resizes, "fast" or "exact", in place of what the steps say; "auto": exact where the model's opset is too old for the steps' own
    and the pixels are of one size.
    Raises VerificationError if the new file differs from the original, PreprocError if the model does not fit.
    """
    onnx_in, out = Path(onnx_in), Path(out)
    bare = out.suffix.lower() == ".onnx"
    said = {"fold": (fold, FOLDS), "model_color": (model_color, COLORS), "model_layout": (model_layout, LAYOUTS)}
    for field, (value, known) in (said | {"form": (form, (*FORMS, "auto"))}).items():
        if value is not None:
            check_choice(field, value, known)
    first, later, pixels = _front(steps, pixels, model_color)
    _check_names(onnx_in, out, bare=bare, verify=verify)
    progress(f"reading {onnx_in.name}")
    model = graph.load(onnx_in, progress)
    if bare:
        _check_weights(onnx_in, out, model)
    recipe = _recipe(
        model,
        onnx_in,
        out,
        sequence=(first, *later),
        pixels=pixels,
        input_name=input_name,
        model_layout=model_layout,
        fold=fold,
        force=force,
    )
    recipe = replace(recipe, steps_from=steps_from, export={"tolerance": None if tolerance is None else check_tolerance(tolerance)})
    recipe, notes = _in_form(recipe, model, form)
    if verify:
        check_images(recipe, images)
    job = file_job(recipe, model, progress)
    job = dataclasses.replace(job, notes=(*job.notes, *notes))
    del model  # as large as its weights
    if bare:
        return publish_file(job, out, verify=verify, images=images, progress=progress)
    return publish_bundle(job, out, images=images, progress=progress)


def _check_names(onnx_in: Path, out: Path, *, bare: bool, verify: bool) -> None:
    """Raises PreprocError if what is read is no bare model, or what is there would be lost, or cannot be written."""
    if (onnx_in / MANIFEST).is_file():
        raise PreprocError(f"{onnx_in}: expected an .onnx file, got a bundle, whose model takes raw pixels already", name="pixels-already")
    if not bare and not verify:
        raise PreprocError(
            f"{out}: expected a name that ends in .onnx for a file that is not verified, got a bundle's: bundles always are",
            name="target-name",
        )
    if bare and out.is_dir():
        raise PreprocError(f"{out}: expected the name of a file, got a folder", name="target-name")
    if bare and out.exists() and onnx_in.exists() and out.samefile(onnx_in):
        raise PreprocError(f"{out}: expected another name than the input's, which is not touched, got the same", name="target-collision")
    if out.suffix.lower() in OTHERS:
        raise PreprocError(
            f"{out}: expected a name that ends in .onnx for a bare file, or a bundle's folder, got {out.suffix}", name="target-name"
        )
    if bare:
        _check_replaceable(out)
        targets.check_place(out)
    else:
        check_target(out)


def _check_weights(onnx_in: Path, out: Path, model: "ir.Model") -> None:
    """Raises PreprocError if the weights of the bare file would replace those of the original."""
    own = {onnx_in.resolve(), *((onnx_in.parent / name).resolve() for name in graph.beside(model))}
    if out.with_name(f"{out.name}.data").resolve() in own:
        raise PreprocError(
            f"{out}: expected another name, got one beside which the weights of {onnx_in} lie, in {out.name}.data", name="target-collision"
        )


def _front(
    given: "Pipeline | Sequence[Layer | Step]", pixels: PixelsSpec | None, model_color: str | None
) -> tuple[FromPixels, tuple[Step, ...], PixelsSpec]:
    """The FromPixels, given or made, what is behind it, and what the caller has."""
    sequence = vocabulary.as_steps(given)
    if not sequence or not isinstance(sequence[0], FromPixels):
        if pixels is None:
            raise PreprocError(
                "expected a FromPixels first, which says what the caller has, or pixels=PixelsSpec(...), got neither", name="no-from-pixels"
            )
        made = FromPixels(layout=pixels.layout, color=pixels.color, to=model_color or "RGB", pixel_dtype=pixels.dtype)
        return made, sequence, pixels
    first, later = sequence[0], sequence[1:]
    channels = vocabulary.channels_in(sequence) or (None if pixels is None else pixels.channels)
    if channels is None:
        raise PreprocError(
            'expected pixels=PixelsSpec(...) with the number of channels, for color = "ANY" does not say it, got none', name="shape-unknown"
        )
    size, batch = (None, None) if pixels is None else (pixels.size, pixels.batch)
    told = PixelsSpec(layout=first.layout, color=first.color, dtype=first.pixel_dtype, size=size, channels=channels, batch=batch)
    if pixels not in (None, told):
        raise PreprocError(
            f"expected pixels= as the FromPixels in front of the steps says, {told}, got {pixels}", name="conflicting-options"
        )
    if model_color not in (None, first.to):
        raise PreprocError(
            f"expected model_color= as the FromPixels in front of the steps says, {first.to}, got {model_color}", name="conflicting-options"
        )
    return first, later, told


def _in_form(recipe: Recipe, model: "ir.Model", form: str | None) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe with its resizes in that form, and what there is to know of it."""
    if form != "auto":  # file_job() says whether the model's opset has it
        return recipe if form is None else _with_form(recipe, form), ()
    try:
        check_opset(recipe, model)
    except PreprocError as error:
        exact = _with_form(recipe, "exact")
        if exact == recipe:
            raise
        if recipe.pixels.size is None:
            raise PreprocError(f"{error}; or say the pixels' size (--size H,W): the exact form of resizes takes older ones") from error
        opset = model.opset_imports.get("", 0)
        return exact, (f"resizes are in the exact form, for a model of opset {opset} has no nodes for the fast one",)
    return recipe, ()


def _with_form(recipe: Recipe, form: str) -> Recipe:
    """But lanczos, box and hamming, which have one form."""
    steps = [
        dataclasses.replace(step, form=form) if isinstance(step, Resampling) and step.smooth and step.interpolation in FAST else step
        for step in recipe.steps
    ]
    return replace(recipe, steps=tuple(steps))


def _check_replaceable(out: Path) -> None:
    """Raises PreprocError if there is a file that is not one of ours: somebody's original, perhaps."""
    if out.exists() and KEY in graph.read_metadata(out):
        return
    for file in (out, out.with_name(f"{out.name}.data")):
        if file.exists():
            raise PreprocError(
                f"{file}: expected a free name, or a file that preproc has made, got another one; remove it first", name="target-taken"
            )


def _recipe(
    model: "ir.Model",
    file: Path,
    out: Path,
    *,
    sequence: tuple[FromPixels, *tuple[Step, ...]],
    pixels: PixelsSpec,
    input_name: str | None,
    model_layout: str | None,
    fold: str,
    force: bool,
) -> Recipe:
    ours = KEY in model.metadata_props
    try:
        size = graph.picture_input(model, input_name, model_layout).size
    except PreprocError as error:
        told = "; it was made by preproc: attach to the original instead" if ours else "; `preproc inspect` tells more"
        raise PreprocError(f"{file}: {error}{told}") from error
    if ours and not force:
        raise PreprocError(
            f"{file}: expected a bare model, got one with a contract of preproc inside, whose input is not that contract's any more; "
            "--force attaches all the same",
            name="pixels-already",
        )
    vocabulary.check(sequence, channels=pixels.channels)
    name = out.stem if out.suffix == ".onnx" else out.absolute().name
    check_name(name)
    return Recipe(
        name=name,
        backbone=BackboneSpec(
            source="onnx",
            color=sequence[0].to,
            weights=str(file.absolute()),
            input=input_name,
            layout=model_layout,
            override="--force" if force else None,
        ),
        pixels=PixelsSpec(
            layout=pixels.layout,
            color=pixels.color,
            dtype=pixels.dtype,
            size=pixels.size or (None if any(isinstance(step, Geometry) for step in sequence) else size),
            channels=pixels.channels,
        ),
        steps=sequence,
        export=ExportSpec(formats=("onnx",), fold=fold),
    )
