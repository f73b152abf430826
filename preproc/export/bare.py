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
from ..verify import Case, Given, Part, Report, bare_errors
from ..verify.runtimes import RUNTIMES, Outputs, Runtime, made
from .companions import beside

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import nn

    from ..sources.backbones import Backbone


@dataclass(frozen=True)
class Bare:
    """In the precision that is judged. files: of the bare network, each by the name of the bundle's file in that format.  module: the
    network in Python; None where it is an .onnx file.  outputs: their names.  arrange: makes of (N, C, H, W) float32 what an .onnx file
    takes.  others: what it takes beside.  narrowed: the network with the numbers that it has in that precision, evaluated in float64, fed
    with a case's ready values; None where nobody can."""

    files: Mapping[str, Path]
    module: "nn.Module | None"
    outputs: tuple[str, ...]
    arrange: Callable[[NDArray[np.float32]], NDArray[Any]]
    others: Given = lambda _: {}
    narrowed: Callable[[Case], Outputs] | None = None

    def errors(self, runtime: Runtime, cases: Sequence[Case], parts: Mapping[str, Part]) -> dict[str, float] | None:
        """By part, what the bare network errs by in another runtime of this kind; None where it was not written, or does not run there."""
        kind = RUNTIMES[runtime.kind.bare_in] if runtime.kind.bare_in else runtime.kind
        if kind.file not in (self.files if self.module is None else (None, *self.files)):
            return None
        again = made(kind, self.module, self.outputs, tf32=runtime.reduced)
        return bare_errors(again, self.files.get(str(kind.file), Path()), cases, parts, self.arrange, self.others)


@dataclass(frozen=True)
class BareBefore:
    """The bare network of a bundle, of which only what it erred by at the export is known."""

    report: Report

    def errors(self, runtime: Runtime, _: Sequence[Case], __: Mapping[str, Part]) -> dict[str, float] | None:
        return self.report.bare_errors(runtime)


def bare_file(file: Path, outputs: tuple[str, ...], arrange: Callable[[NDArray[Any]], NDArray[Any]] = lambda ready: ready) -> Bare:
    """A bare network that is this .onnx file, of one input. For what was quantized: its numbers on exact ready values are evaluated without
    the rounding of what is computed in between. arrange: makes of (N, C, H, W) values what it takes."""
    from ..oracle.files import DoubleFile, NotInDoubleError

    (name,) = graph.declared_inputs(file)
    try:
        exact = DoubleFile(file, rounds=False)
    except NotInDoubleError:
        return Bare({"model.onnx": file}, None, outputs, arrange)
    return Bare({"model.onnx": file}, None, outputs, arrange, narrowed=lambda case: exact({name: arrange(_ready(case))}, outputs))


def _ready(case: Case) -> NDArray[np.float64]:
    assert case.ready is not None
    return case.ready


def bare_network(
    recipe: Recipe,
    backbone: "Backbone | Path",
    cases: Sequence[Case],
    files: Container[str],
    folder: Path,
    *,
    exported: "ir.Model | None" = None,
) -> Bare:
    """Writes those of `files` (model.onnx, model.pt, model.pt2, model.pte) into `folder` that torch can write; an .onnx file is its own.

    cases: whose first ones are the example.  exported: the bare model.onnx, where somebody has it already.
    """
    names = recipe.backbone.outputs
    if isinstance(backbone, Path):

        @functools.cache
        def fed() -> "tuple[graph.Picture, Given]":
            loaded = graph.load(backbone)
            return graph.picture_input(loaded, recipe.backbone.input, recipe.backbone.layout).alone(), beside(recipe, loaded).others

        arrange, others = lambda ready: fed()[0].arrange(ready), lambda ready: fed()[1](ready)
        return Bare({"model.onnx": backbone}, None, names, arrange, others, lambda case: case.expected)  # the truth has its own numbers
    import torch
    from torch import nn

    from ..layers import Model
    from ..sources.backbones import Reference, narrowed
    from .formats import at_most, export_backbone, export_executorch, export_program, export_torchscript, write_pt2

    ready = [case.ready for case in cases if case.ready is not None]
    second = next((other for other in ready[1:] if other.shape == ready[0].shape), ready[0])
    example = torch.from_numpy(np.concatenate([ready[0], second]).astype(np.float32))
    module: Any = narrowed(backbone.module, recipe.export, example)
    size, model = recipe.ready_size, Model(nn.Identity(), module)
    most = at_most(size, [array.shape[2:] for array in ready])

    def write_onnx(path: Path) -> None:
        made = exported or export_backbone(module, example, outputs=names, opset=recipe.export.opset, size=size)
        graph.save(made, path)

    def write_program(path: Path) -> None:
        write_pt2(export_program(model, example, layout="NCHW", size=size), path, size=size, extra={})

    writers: dict[str, Callable[[Path], None]] = {
        "model.onnx": write_onnx,
        "model.pt": lambda path: export_torchscript(model, example, path, tf32=recipe.export.tf32, extra={}),
        "model.pt2": write_program,
        "model.pte": lambda path: export_executorch(model, example, path, layout="NCHW", size=size, at_most=most, constants={}),
    }
    written = {}
    for name, write in writers.items():
        if name in files:
            try:
                write(folder / name)
                written[name] = folder / name
            except PreprocError:  # where it is published, the same is said of the whole model
                targets.check_place(folder / name)
    if not recipe.export.half:
        return Bare(written, module, names, lambda ready: ready)
    exact = functools.cache(lambda: Reference(module.network, names))  # with the narrowed numbers
    return Bare(written, module, names, lambda ready: ready, narrowed=lambda case: exact()(_ready(case)))
