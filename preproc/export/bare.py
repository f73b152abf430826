"""The bare network, in every runtime: what it errs by there without us is no fault of the preprocessing."""

import functools
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import graph
from ..errors import PreprocError
from ..host import targets
from ..sources import Recipe
from ..verify import Case, Given, Part, bare_errors
from ..verify.runtimes import Runtime, made
from .companions import beside
from .eight import bare_in_eight_bits
from .job import Eight

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import nn

    from ..sources.backbones import Backbone


@dataclass(frozen=True)
class Bare:
    """files: of the bare network, each by the name of the bundle's file in that format.  module: the network in Python; None where it is
    an .onnx file.  outputs: their names.  arrange: makes of (N, C, H, W) float32 what an .onnx file takes.
    others: what it takes beside."""

    files: Mapping[str, Path]
    module: "nn.Module | None"
    outputs: tuple[str, ...]
    arrange: Callable[[NDArray[np.float32]], NDArray[Any]]
    others: Given = lambda _: {}

    def errors(self, runtime: Runtime, cases: Sequence[Case], parts: Mapping[str, Part]) -> dict[str, float] | None:
        """By part, what the bare network errs by in another runtime of this kind; None where it was not written, or does not run there."""
        if runtime.file not in (self.files if self.module is None else (None, *self.files)):
            return None
        again = made(type(runtime), self.module, self.outputs, tf32=runtime.reduced)
        return bare_errors(again, self.files.get(str(runtime.file), Path()), cases, parts, self.arrange, self.others)


def bare_network(
    recipe: Recipe,
    backbone: "Backbone | Path",
    cases: Sequence[Case],
    files: Container[str],
    folder: Path,
    *,
    exported: "ir.Model | None" = None,
    eight: Eight | None = None,
) -> Bare:
    """Writes those of `files` (model.onnx, model.pt, model.pt2) into `folder` that torch can write; an .onnx file is its own.

    cases: whose first ones are the example.  exported: the bare model.onnx, where somebody has it already.  eight: it is brought to 8 bits.
    """
    names = recipe.backbone.outputs
    if isinstance(backbone, Path):

        @functools.cache
        def fed() -> "tuple[graph.Picture, Given]":
            loaded = graph.load(backbone)
            return graph.picture_input(loaded, recipe.backbone.input, recipe.backbone.layout).alone(), beside(recipe, loaded).others

        file = backbone
        if eight is not None:
            file = folder / "model.onnx"
            graph.save(bare_in_eight_bits(graph.load(backbone), recipe, eight), file)
        return Bare({"model.onnx": file}, None, names, lambda ready: fed()[0].arrange(ready), lambda ready: fed()[1](ready))
    import torch
    from torch import nn

    from ..layers import Model
    from .formats import export_backbone, export_pt2, export_torchscript

    ready = [case.ready for case in cases if case.ready is not None]
    second = next((other for other in ready[1:] if other.shape == ready[0].shape), ready[0])
    example = torch.from_numpy(np.concatenate([ready[0], second]).astype(np.float32))
    size, model, module = recipe.ready_size, Model(nn.Identity(), backbone.module), backbone.module

    def write_onnx(path: Path) -> None:
        made = exported or export_backbone(module, example, outputs=names, opset=recipe.export.opset, size=size)
        graph.save(made if eight is None else bare_in_eight_bits(made, recipe, eight), path)

    writers: dict[str, Callable[[Path], None]] = {
        "model.onnx": write_onnx,
        "model.pt": lambda path: export_torchscript(model, example, path, tf32=recipe.export.tf32, extra={}),
        "model.pt2": lambda path: export_pt2(model, example, path, layout="NCHW", size=size, extra={}),
    }
    written = {}
    for name, write in writers.items():
        if name in files:
            try:
                write(folder / name)
                written[name] = folder / name
            except PreprocError:  # where it is published, the same is said of the whole model
                targets.check_place(folder / name)
    return Bare(written, backbone.module, names, lambda ready: ready)
