"""Networks that say something of pictures: in Python, an .onnx file, or a file of preproc that takes pixels itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ... import graph
from ...errors import PreprocError, first_line
from ...sources import Recipe
from ...verify.runtimes import OnnxReference, OrtCpu
from .scores import chosen

if TYPE_CHECKING:
    from torch import nn

Scores = NDArray[np.float64]
Network = Callable[[NDArray[Any]], Scores]
"""Of prepared values (N, C, H, W) float32, or of pixels as a file takes them: (N, classes)."""


@dataclass(frozen=True)
class Opened:
    """labels: of all outputs; () where neither the recipe nor its weights tell.  trained: False for random weights."""

    network: Network
    labels: tuple[str, ...] = ()
    trained: bool = True


def opened(source: "Recipe | Path") -> Opened:
    """source: a recipe, of whose network this is, without its steps; or a file that takes pixels. Raises PreprocError."""
    if isinstance(source, Path):
        return Opened(_of_file(source))
    if source.backbone.source == "onnx":
        return Opened(_of_onnx(source), source.labels)
    from ...sources.backbones import load_backbone

    backbone = load_backbone(source)
    return Opened(of_module(backbone.module, source.backbone.outputs), source.labels or backbone.labels, backbone.trained)


def of_module(module: "nn.Module", outputs: tuple[str, ...] = ()) -> Network:
    """A network in Python, in eval mode. outputs: as a recipe names them."""
    import torch

    from ...sources.backbones import Backbone, name_outputs, named_outputs

    module.eval()
    named: list[tuple[Any, tuple[str, ...]]] = []

    def scores(ready: NDArray[Any]) -> Scores:
        values = torch.from_numpy(np.ascontiguousarray(ready, np.float32))
        if not named:
            backbone, names = name_outputs(Backbone(module, "", trained=True), outputs, values[:1])
            named.append((backbone.module, names))
        ((network, names),) = named
        try:
            with torch.inference_mode():
                answers = named_outputs(network(values), names)
        except RuntimeError as error:
            shape = tuple(values.shape)
            raise PreprocError(
                f"expected a network that takes {shape}, got: {first_line(error)}", name="network-refuses-picture"
            ) from error
        return chosen(
            {name: value.double().numpy() if value.is_floating_point() else value.numpy() for name, value in answers.items()}, len(ready)
        )

    return scores


def _of_onnx(recipe: Recipe) -> Network:
    file = recipe.resolve(str(recipe.backbone.weights))
    model = graph.load(file)
    graph.check(model, file)
    picture = graph.picture_input(model, recipe.backbone.input, recipe.backbone.layout)
    inputs = graph.declared_inputs(file)
    if len(inputs) != 1 or picture.axes != "N":
        told = f"inputs {', '.join(inputs)}" if len(inputs) != 1 else f"the axes {picture.layout}"
        raise PreprocError(f"{file}: expected a model that takes a batch of pictures and nothing else, got {told}", name="several-inputs")
    names = recipe.backbone.outputs or tuple(str(value.name) for value in model.graph.outputs)
    alone, batch = picture.alone(), picture.batch
    network = OnnxReference(file, names, image=str(picture.value.name), laid_out=alone.laid_out)
    return lambda ready: _in_batches(network, ready, batch)


def _of_file(file: Path) -> Network:
    runtime = OrtCpu()
    runtime.open(file)
    inputs = [each.name for each in runtime.session.get_inputs()]
    if len(inputs) != 1:
        raise PreprocError(
            f"{file}: expected a model that takes a batch of pictures and nothing else, got inputs {', '.join(inputs)}",
            name="several-inputs",
        )
    (taken,) = runtime.session.get_inputs()
    batch = taken.shape[0] if isinstance(taken.shape[0], int) else None

    def run(pixels: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        try:
            return runtime.run(pixels)
        except Exception as error:  # onnxruntime's error classes are not exported
            raise PreprocError(
                f"{file}: expected a file that takes pixels {pixels.shape}, got: {first_line(error)}", name="network-refuses-picture"
            ) from error

    return lambda pixels: _in_batches(run, pixels, batch)


def _in_batches(network: Callable[[NDArray[Any]], Mapping[str, NDArray[Any]]], given: NDArray[Any], batch: int | None) -> Scores:
    """batch: what the network takes at once, the last one filled up; None: any number."""
    size, answers = batch or len(given), list[Scores]()
    for start in range(0, len(given), size):
        part = given[start : start + size]
        filled = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
        answers.append(chosen(network(filled), size)[: len(part)].astype(np.float64))
    return np.concatenate(answers)
