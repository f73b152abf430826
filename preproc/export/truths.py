"""The original backbone, asked for the truth: in float64, in float32, and with a known mistake inside."""

import contextlib
import copy
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ..errors import NotFoldableError
from ..sources import Recipe
from ..steps import Affine, channels_out, output_size, split_affine_end
from ..verify import Truth, ready_size_of
from ..verify.runtimes import OnnxReference

if TYPE_CHECKING:
    from ..sources.backbones import Backbone


@dataclass(frozen=True)
class Truths:
    """reference: the backbone in float64 (an .onnx file: in ONNX Runtime).  bare: in float32.  uncorrected: with the offset in the bias of
    its padded first convolution, and what is then to be subtracted from its input; None where that would be right.  name: of the
    reference, for people."""

    reference: Truth
    bare: Truth
    uncorrected: tuple[Truth, NDArray[Any]] | None
    name: str


def truths_of(recipe: Recipe, backbone: "Backbone | Path") -> Truths:
    """Of the recipe's network; affine: what would be folded into it."""
    affine = None
    with contextlib.suppress(NotFoldableError):
        _, affine = split_affine_end(recipe.steps, channels=channels_out(recipe.steps, recipe.pixels.channels))
    return _of_a_file(recipe, backbone, affine) if isinstance(backbone, Path) else _in_python(recipe, backbone, affine)


def _of_a_file(recipe: Recipe, file: Path, affine: Affine | None) -> Truths:
    from .. import graph

    model = graph.load(file)
    picture = graph.picture_input(model, recipe.backbone.input, recipe.backbone.layout)
    open_one = functools.partial(
        OnnxReference,
        names=recipe.backbone.outputs,
        image=str(picture.value.name),
        nhwc=picture.layout == "NHWC",
        others=graph.others(model, picture),
        untouched=graph.untouched(model, picture.value),
    )
    truth = open_one(file)
    minus = None if affine is None else graph.uncorrected_border(picture, affine, size=output_size(recipe.steps, recipe.pixels.size))
    wrong = None if minus is None else (open_one(graph.to_bytes(model), folder=file.absolute().parent), minus)
    return Truths(truth, truth, wrong, "the original file fed by float64 steps")


def _in_python(recipe: Recipe, backbone: "Backbone", affine: Affine | None) -> Truths:
    import torch

    from ..folding.modules import uncorrected_border
    from ..sources.backbones import Reference

    names = recipe.backbone.outputs
    double, wrong_module = Reference(backbone.module, names), copy.deepcopy(backbone.module).double()
    example = torch.zeros(2, channels_out(recipe.steps, recipe.pixels.channels), *ready_size_of(recipe), dtype=torch.float64)
    minus = None if affine is None else uncorrected_border(wrong_module, affine, example)
    bare = Reference(backbone.module, names, dtype=torch.float32)
    return Truths(double, bare, None if minus is None else (Reference(wrong_module, names), minus), "float64 reference")
