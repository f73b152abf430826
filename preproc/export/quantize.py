"""Recipe, Model or bundle -> bundle in 8 bits, its ranges taken from raw pictures."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import graph
from ..bundle import EIGHT, MANIFEST, Bundle, check_target, open_bundle, precision_of
from ..errors import PreprocError
from ..host import Progress, silent
from ..sources import Recipe, replace
from ..steps import YUV
from .exporter import publish_bundle
from .finding import check_weights, find_recipe
from .job import Eight, Job, check_images
from .quantizing import Quantization, calibrated_with, without_batch_norms
from .resolving import job_of

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..layers import Model


def quantize_bundle(
    source: "Recipe | Model | str | Path",
    out_dir: str | Path,
    *,
    images: str | Path,
    format: str = "qdq",  # noqa: A002 - the option's name
    per_channel: bool = False,
    method: str = "minmax",
    border: str = "exact",
    target: str = "any",
    recipe: str | Path | None = None,
    progress: Progress = silent,
    **said: Any,
) -> Bundle:
    """Writes a verified bundle in 8 bits into the folder `out_dir`: ONNX, uint8 pixels being the quantized tensor of its first layer.

    source: a recipe, a Model, with the words that export_bundle() takes for one, or the folder of a bundle whose network is at hand.
    images: a folder of raw pictures, as the model takes them: the ranges of all tensors are taken from what the file itself makes of them,
    so that they cannot be normalized twice, or not at all.  format: "qdq".  per_channel: a scale for each output channel of every weight;
    the first layer always has them.  method: "minmax", "entropy" or "percentile".
    border: "exact", padding stays the mean, through an appended channel; "nearest", without one: padding is the grey level nearest to the
    mean, and the contract says how far off.  target: "tensorrt" writes what TensorRT takes: int8, and zero points of 0.
    recipe: where a bundle's recipe is, if not in models/, or the .onnx file that it was made from, if that is not in the working directory.

    Raises PreprocError for what cannot be quantized, or with no raw pictures; VerificationError as export_bundle() does.
    """
    asked = Quantization(Path(images), format, per_channel, method, border, target)
    check_target(Path(out_dir))
    _check_replaceable(Path(out_dir))
    job = _job(source, asked.images, None if recipe is None else Path(recipe), said, progress)
    _check(job)
    progress(f"reading the pictures of {asked.images.name}")
    eight = Eight(asked, calibrated_with(asked.images, job.recipe))
    own = None if job.recipe.export.images else asked.images  # to verify with: others than these, if there are others
    read = job.load
    job = dataclasses.replace(job, load=None if read is None else lambda: without_batch_norms(read()))
    job = dataclasses.replace(job, recipe=replace(job.recipe, export={"precision": EIGHT}), eight=eight)
    return publish_bundle(job, Path(out_dir), images=own, progress=progress)


def _check_replaceable(out_dir: Path) -> None:
    """Raises PreprocError if a bundle is there that is none in 8 bits, as the source is."""
    found = precision_of(open_bundle(out_dir).contract) if (out_dir / MANIFEST).is_file() else EIGHT
    if found != EIGHT:
        raise PreprocError(
            f"{out_dir}: expected no bundle there, or one in 8 bits, got one in {found}, which would be lost; give another folder",
            name="target-taken",
        )


def _job(source: "Recipe | Model | str | Path", images: Path, where: Path | None, said: dict[str, Any], progress: Progress) -> Job:
    """What is known without the network is looked at first."""
    bundle = open_bundle(source) if isinstance(source, (str, Path)) else None
    if bundle is not None:
        _check_precision(str(bundle.contract["name"]), precision_of(bundle.contract))
        if bundle.contract["backbone"]["source"] == "module":
            raise PreprocError(
                f"{source}: expected a network that is at hand, got one handed over in Python: preproc.quantize_bundle(model, ...) "
                "takes it where it is",
                name="original-not-at-hand",
            )
    made = source if bundle is None else find_recipe(bundle, where)
    if isinstance(made, Recipe):
        _check_precision(made.name, made.export.precision)
        check_images(made, images)
    assert not isinstance(made, (str, Path))
    job = job_of(made, ("onnx",), said, progress)
    if bundle is not None:
        check_weights(job.weights_sha256, bundle.contract)
    return job


def _check_precision(name: str, precision: str) -> None:
    if precision not in ("float32", "tf32"):
        raise PreprocError(
            f"{name}: expected a network in float32 to begin with, got {precision}; give the recipe or the bundle in float32",
            name="not-quantizable",
        )


def _check(job: Job) -> None:
    """Raises PreprocError for a network that is not brought to 8 bits from here."""
    _check_precision(job.recipe.name, job.recipe.export.precision)
    model = None if job.load is None else job.load()
    for reason in _reasons(job, model):
        raise PreprocError(f"{job.recipe.name}: expected {reason}", name="not-quantizable")


def _reasons(job: Job, model: "ir.Model | None") -> Iterator[str]:
    pixels = job.recipe.pixels
    if pixels.axes != "N" or pixels.batch not in (None, 1):
        yield f"a model that takes pictures one by one, got one that takes {pixels.batch or 'frames'} at once"
    if pixels.color in YUV:
        yield (
            f'pixels of R, G and B, or grey ones, which become the quantized numbers, got {pixels.color}: write [pixels] color = "RGB" and '
            "convert in front of the file, or export these in float32 or half precision"
        )
    if model is None:
        return
    others = [str(value.name) for value in model.graph.inputs if value.name not in model.graph.initializers]
    if len(others) > 1:
        yield f"a model with one input, got {', '.join(others)}"
    found = next((node for node in model.graph.all_nodes() if node.op_type in graph.OPAQUE - {"ConvTranspose"}), None)
    if found is not None:
        yield f"a model in floats, got one that is quantized already: {found.op_type} {found.name}"
