"""The original backbone, asked for the truth: in float64, in float32, and with a known mistake inside."""

import contextlib
import copy
import functools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ..errors import NotFoldableError
from ..host import memory, targets
from ..sources import Recipe
from ..steps import Affine, channels_out, split_affine_end
from ..verify import FileTruths, Given, Lists, Truth, ready_size_of
from ..verify.runtimes import OnnxReference, OrtCpu
from .companions import beside

if TYPE_CHECKING:
    import onnx_ir as ir

    from .. import graph
    from ..sources.backbones import Backbone

ORIGINAL_FILE = "the original file"


@dataclass(frozen=True)
class Truths:
    """reference: the backbone in float64 (an .onnx file: in ONNX Runtime, in its own precision; known mistakes are asked of that, and told
    by what it answers to the right pixels).  bare: in float32.  bare_in: the runtime that this is, fed batch by batch; None where it is
    asked picture by picture, or in another precision than the one that is judged.  uncorrected: opens the backbone with the offset in the
    bias of its padded first convolution, and says what is then to be subtracted from its input; None where that would be right.
    name: of the reference, for people.  given: what the file that is verified takes beside the picture."""

    reference: Truth
    bare: Truth
    bare_in: str | None
    uncorrected: Callable[[], tuple[Truth, NDArray[Any]] | None]
    name: str
    given: Given
    file: FileTruths | None = None
    """Of an .onnx file: where the float64 is from."""
    lists: Sequence[Lists] = ()
    """Of an .onnx file: what its outputs list."""


def truths_of(recipe: Recipe, backbone: "Backbone | Path") -> Truths:
    """Of the recipe's network; affine: what would be folded into it."""
    affine = None
    with contextlib.suppress(NotFoldableError):
        _, affine = split_affine_end(recipe.steps, channels=channels_out(recipe.steps, recipe.pixels.channels))
    return _of_a_file(recipe, backbone, affine) if isinstance(backbone, Path) else _in_python(recipe, backbone, affine)


def _of_a_file(recipe: Recipe, file: Path, affine: Affine | None) -> Truths:
    """The wrong network is read from the file again, for neither this one nor that is held longer than it is asked."""
    from .. import graph

    folder = file.absolute().parent

    def loaded() -> "tuple[ir.Model, graph.Picture]":
        model = graph.load(file)
        return model, graph.picture_input(model, recipe.backbone.input, recipe.backbone.layout)

    model, picture = loaded()
    around = beside(recipe, model)
    open_one = functools.partial(
        OnnxReference,
        names=recipe.backbone.outputs,
        image=str(picture.value.name),
        laid_out=picture.alone().laid_out,
        others=around.others,
        untouched=graph.untouched(model, picture.value),
    )
    original = functools.partial(open_one, file)
    if graph.freed(model):  # ONNX Runtime would hold its sides of 0 for such
        original = functools.partial(open_one, graph.to_bytes(model), folder=folder)

    def exchanged(listing: "graph.Listing", *, scores_alone: bool = False) -> Truth:
        model, _ = loaded()
        return open_one(graph.exchanged(model, listing, scores_alone=scores_alone), folder=folder)

    lists = [
        Lists(names, functools.partial(exchanged, each), functools.partial(exchanged, each, scores_alone=True) if each.value else None)
        for each in graph.Listing
        for names in graph.listed(model, each)
    ]
    del model, picture

    def uncorrected() -> tuple[Truth, NDArray[Any]] | None:
        if affine is None:
            return None
        model, picture = loaded()
        minus = graph.uncorrected_border(picture, affine, size=recipe.ready_size)
        if minus is None:
            return None
        if graph.beside(model):
            return open_one(graph.to_bytes(model), folder=folder), minus
        with tempfile.TemporaryDirectory() as place, targets.writing(Path(place)):  # bytes would be in memory beside what is made of them
            graph.save(model, Path(place, "wrong.onnx"))
            del model, picture
            memory.release(file.stat().st_size)
            return open_one(Path(place, "wrong.onnx")), minus

    memory.release(file.stat().st_size)
    truth = original()
    spec = recipe.export
    file_truths = FileTruths(file, truth, functools.partial(original, optimized=False), spec.precision if spec.half else "float32")
    bare_in = None if spec.precision == "int8" else OrtCpu.name
    return Truths(truth, truth, bare_in, uncorrected, ORIGINAL_FILE, around.given, file_truths, lists)


def _in_python(recipe: Recipe, backbone: "Backbone", affine: Affine | None) -> Truths:
    import torch

    from ..folding.modules import uncorrected_border
    from ..sources.backbones import Reference

    names = recipe.backbone.outputs

    def uncorrected() -> tuple[Truth, NDArray[Any]] | None:
        if affine is None:
            return None
        wrong = copy.deepcopy(backbone.module).double()
        example = torch.zeros(2, channels_out(recipe.steps, recipe.pixels.channels), *ready_size_of(recipe), dtype=torch.float64)
        minus = uncorrected_border(wrong, affine, example)
        return None if minus is None else (Reference(wrong, names), minus)

    double, single = Reference(backbone.module, names), Reference(backbone.module, names, dtype=torch.float32)
    return Truths(double, single, None, uncorrected, "float64 reference", double.others)
