"""Networks in .onnx files, run by ONNX Runtime on the CPU."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import graph
from ...errors import PreprocError
from ...verify.runtimes import OnnxReference
from .networks import Array, Norm, features

_OTHER_NORMS = ("LayerNormalization", "GroupNormalization", "InstanceNormalization")


class FileNetwork:
    """A file that takes prepared floats. name, layout: of its picture input, as graph.picture_input() has them. picture: what that is.

    Raises PreprocError for a file that takes something else."""

    def __init__(self, file: Path, *, name: str | None = None, layout: str | None = None) -> None:
        self.file, self.name, self.layout = file, name, layout
        model = graph.load(file)
        picture = graph.picture_input(model, name, layout)
        if picture.axes == "NT":
            raise PreprocError(f"{file.name}: expected a model that takes pictures, got one of frames", name="no-picture-input")
        self.picture, self.others = picture.alone(), graph.others(model, picture)
        self.names = tuple(str(value.name) for value in model.graph.outputs)
        self.norms: Sequence[Norm] = [Norm(norm.name, norm.mean, norm.var, norm.eps) for norm in graph.batch_norms(model)]
        self.other_norms: Sequence[str] = sorted({node.op_type for node in model.graph.all_nodes()} & set(_OTHER_NORMS))
        self.opened: dict[tuple[int, ...] | None, OnnxReference] = {}

    def before(self, ready: Array, which: Sequence[int]) -> list[Array | None]:
        chosen = tuple(which)
        if chosen not in self.opened:
            model = graph.load(self.file)
            norms = graph.batch_norms(model)
            names = graph.tap(model, [norms[number] for number in chosen])
            self.opened[chosen] = self._open(graph.to_bytes(model), names, folder=self.file.absolute().parent)
        found = self._run(self.opened[chosen], ready)
        return [features(values, self.norms[number]) for values, number in zip(found.values(), chosen, strict=True)]

    def answers(self, ready: Array) -> Mapping[str, NDArray[Any]]:
        if None not in self.opened:
            self.opened[None] = self._open(self.file, self.names)
        each = [self._run(self.opened[None], ready[at : at + 1]) for at in range(len(ready))]
        return {name: np.concatenate([found[name] for found in each]) for name in each[0]}

    def _open(self, model: Path | bytes, names: Sequence[str], folder: Path | None = None) -> OnnxReference:
        laid_out, image = self.picture.laid_out, str(self.picture.value.name)
        return OnnxReference(model, names, image=image, laid_out=laid_out, others=self.others, folder=folder)

    def _run(self, opened: OnnxReference, ready: Array) -> dict[str, NDArray[Any]]:
        """In a batch of as many as the file wants, of which the first counts."""
        batch = self.picture.batch or 1
        found = opened(np.repeat(ready, batch, axis=0))
        return {name: values[:1] if values.ndim and len(values) == batch else values[None] for name, values in found.items()}
