"""Preprocessing in front of an .onnx file that exists already: a recipe whose backbone is that file. No torch."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import graph
from .. import steps as vocabulary
from ..bundle import KEY, MANIFEST, Bundle, check_target
from ..bundle import contract as contracts
from ..errors import PreprocError, check_choice
from ..host import Progress, silent, targets
from ..sources import (
    FOLDS,
    BackboneSpec,
    ExportSpec,
    FurtherPicture,
    PixelsSpec,
    Recipe,
    check_name,
    check_precision,
    check_tolerance,
    check_verify_sizes,
    replace,
    taken_as,
)
from ..steps import COLORS, FORMS, NETWORK_LAYOUTS, FromPixels, Geometry, Resampling, Sides, Step
from ..verify import Report
from .before import contract_before, given_of
from .exporter import publish_bundle, publish_file
from .job import check_images
from .opsets import in_form
from .resolving import file_job, stays_as_it_is

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..layers import Layer, Pipeline


OTHERS = (".pt", ".pth", ".pt2", ".pte", ".bpte", ".ort", ".engine", ".safetensors")
"""Endings of model files that attach() does not write."""


def attach(
    onnx_in: str | Path,
    out: str | Path,
    *,
    steps: "Pipeline | Layer | Step | Iterable[Layer | Step]",
    pixels: PixelsSpec | None = None,
    model_color: str | None = None,
    input_name: str | Sequence[str] | None = None,
    model_layout: str | None = None,
    fold: str = "auto",
    force: bool = False,
    verify: bool = True,
    images: str | Path | None = None,
    steps_from: str | None = None,
    tolerance: float | None = None,
    precision: str | None = None,
    form: str | None = None,
    verify_sizes: Sequence[tuple[int, int]] = (),
    progress: Progress = silent,
) -> Bundle | Report | None:
    """Writes the model `onnx_in` with `steps` in front of it, verified against the original file, which is not touched.

    out: a folder, for a bundle, which is returned; or a name that ends in .onnx, for the bare file, whose report is returned. Weights
    that are in other files stay outside: they go into one file beside the new model.
    steps: a Pipeline, or its layers or their steps.  pixels: what the caller has; a side of its size that is
    None: as the model has it, or where the steps resize, any. A FromPixels at the front says what the caller has and what order the model
    was trained on, all but the size.
    model_color: that order; default: as FromPixels says, or RGB.  input_name: the one that takes the picture, of several that might; or
    several, each of which gets the same steps. A file that attach() made of a model with more pictures is taken, too, with one of these.
    model_layout: what that one takes, one of steps.NETWORK_LAYOUTS; None: as the graph reads it, or its shape tells.
    fold: auto, off or require.  force: although the model normalizes its input itself.  verify: False writes a bare file unverified.
    images: a folder of your own pictures to verify with.  steps_from: where the steps were published, for the contract.
    tolerance: how far a runtime may be from the original file, relative to the largest output; None: see verify.Power.bounds().
    precision: "tf32" for a file in float32 which CUDA devices may multiply in TF32 (as ONNX Runtime does there by default), and which is
    verified so; None: the file's own, which no other takes the place of.
    form: of resizes, "fast" or "exact", in place of what the steps say; "auto": exact where the model's opset is too old for the steps' own
    and the pixels are of one size. An opset that is too old all the same is raised, where that changes nothing of what the model computes.
    verify_sizes: (height, width) of pixels to verify with, where a side is free; (): those that the model takes are looked for.
    Raises VerificationError if the new file differs from the original, PreprocError if the model does not fit.
    """
    onnx_in, out = Path(onnx_in), Path(out)
    bare = out.suffix.lower() == ".onnx"
    said = {"fold": (fold, FOLDS), "model_color": (model_color, COLORS), "model_layout": (model_layout, NETWORK_LAYOUTS)}
    for field, (value, known) in (said | {"form": (form, (*FORMS, "auto"))}).items():
        if value is not None:
            check_choice(field, value, known)
    names = (input_name,) if isinstance(input_name, str) else tuple(input_name or ())
    if len(set(names)) < len(names):
        raise PreprocError(f"expected different inputs, got {', '.join(names)}", name="conflicting-options")
    first, later, pixels = _front(steps, pixels, model_color)
    _check_names(onnx_in, out, bare=bare, verify=verify)
    asked = check_precision("float32" if precision is None else precision)
    progress(f"reading {onnx_in.name}")
    model = graph.load(onnx_in, progress)
    if bare:
        _check_weights(onnx_in, out, model)
    before, names = contract_before(model, onnx_in, names, model_layout)
    recipe = _recipe(
        model,
        onnx_in,
        out,
        sequence=(first, *later),
        pixels=pixels,
        names=names,
        before=before,
        model_layout=model_layout,
        fold=fold,
        force=force,
    )
    sizes = check_verify_sizes(verify_sizes) if verify_sizes else ()
    if sizes and not verify:
        raise PreprocError(
            "--verify-size (verify_sizes): expected for a file that is verified, got it for one that is not", name="option-without-effect"
        )
    tolerance = None if tolerance is None else check_tolerance(tolerance)
    recipe = replace(recipe, steps_from=steps_from, export={"tolerance": tolerance, "verify_sizes": sizes, "precision": asked})
    if form in FORMS:
        recipe = in_form(recipe, str(form))
        if not any(isinstance(step, Resampling) and step.form == form for view in recipe.views() for step in view.steps):
            raise PreprocError(
                f"--form {form} (form): expected with a resize that has this form, got none among the steps", name="option-without-effect"
            )
    if verify:
        check_images(recipe, images)
    job = dataclasses.replace(file_job(recipe, model, progress, any_form=form == "auto"), before=before)
    del model  # as large as its weights
    if precision is not None and job.recipe.export.precision != precision:
        raise stays_as_it_is(job.recipe.export.precision, precision)
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
    given: "Pipeline | Layer | Step | Iterable[Layer | Step]", pixels: PixelsSpec | None, model_color: str | None
) -> tuple[FromPixels, tuple[Step, ...], PixelsSpec]:
    """The FromPixels, given or made, what is behind it, and what the caller has."""
    sequence = vocabulary.as_steps(given)
    if not sequence or not isinstance(sequence[0], FromPixels):
        if pixels is None:
            raise PreprocError(
                "expected a FromPixels first, which says what the caller has, or pixels=PixelsSpec(...), got neither", name="no-from-pixels"
            )
        said = {"matrix": pixels.matrix, "range": pixels.range}
        made = FromPixels(layout=pixels.layout, color=pixels.color, to=model_color or "RGB", pixel_dtype=pixels.dtype, **said)
        return made, sequence, pixels
    first, later = sequence[0], sequence[1:]
    channels = vocabulary.channels_in(sequence) or (None if pixels is None else pixels.channels)
    if channels is None:
        raise PreprocError(
            'expected pixels=PixelsSpec(...) with the number of channels, for color = "ANY" does not say it, got none', name="shape-unknown"
        )
    size, batch = ((None, None), None) if pixels is None else (pixels.size, pixels.batch)
    told = PixelsSpec.of(first, size=size, channels=channels, batch=batch)
    if pixels not in (None, told):
        raise PreprocError(
            f"expected pixels= as the FromPixels in front of the steps says, {told}, got {pixels}", name="conflicting-options"
        )
    if model_color not in (None, first.to):
        raise PreprocError(
            f"expected model_color= as the FromPixels in front of the steps says, {first.to}, got {model_color}", name="conflicting-options"
        )
    return first, later, told


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
    names: Sequence[str],
    before: Mapping[str, Any] | None,
    model_layout: str | None,
    fold: str,
    force: bool,
) -> Recipe:
    ours = KEY in model.metadata_props and before is None
    try:
        sizes = [graph.picture_input(model, name, model_layout).size for name in names or (None,)]
    except PreprocError as error:
        made = ours and error.name == "pixels-already"
        told = "; it was made by preproc: attach to the original instead" if made else "; `preproc inspect` tells more"
        raise PreprocError(f"{file}: {error}{told}") from error
    if ours and not force:
        raise PreprocError(
            f"{file}: expected a bare model, got one with a contract of preproc inside, whose input is not that contract's any more; "
            "--force attaches all the same",
            name="pixels-already",
        )
    vocabulary.check(sequence, channels=pixels.channels)
    resized = any(isinstance(step, Geometry) for step in sequence)
    specs = [dataclasses.replace(pixels, size=pixels.size if resized else _where_free(pixels.size, size), batch=None) for size in sizes]
    further = [
        FurtherPicture(takes=taken_as(taker), input=taker, color=sequence[0].to, pixels=spec, steps=sequence, layout=model_layout)
        for taker, spec in zip(names[1:], specs[1:], strict=False)
    ]
    name = out.stem if out.suffix == ".onnx" else out.absolute().name
    check_name(name)
    return Recipe(
        name=name,
        backbone=BackboneSpec(
            source="onnx",
            color=sequence[0].to,
            weights=str(file.absolute()),
            input=names[0] if names else None,
            layout=model_layout,
            override="--force" if force else None,
        ),
        pixels=specs[0],
        steps=sequence,
        export=ExportSpec(formats=("onnx",), fold=fold),
        takes=contracts.INPUT if before is None else taken_as(names[0]),
        further=(*further, *given_of(before)),
    )


def _where_free(own: Sides, other: Sides) -> Sides:
    """The sides, the others' where they are free."""
    height, width = (side if had is None else had for had, side in zip(own, other, strict=True))
    return height, width
