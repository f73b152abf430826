"""What an error in a lower precision is made of: the answers in between, evaluated in float64 on the golden samples."""

from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import graph
from ..errors import first_line
from ..host import Progress
from ..verify import FLOAT64, Between, Case
from ..verify.runtimes import Outputs, evaluate
from .bare import Bare
from .proof import Proof

if TYPE_CHECKING:
    from torch import nn

MOST_WORK = 2e11
"""Multiply-adds in float64 for all samples together: about a minute on one core."""
SPLIT = ("float16", "bfloat16", "int8")
"""The precisions in which files have narrowed numbers."""
ONNX = "model.onnx"
ByFile = Mapping[str | None, Mapping[str, Between]]
"""By the file that a runtime runs, None for the modules in Python; then by the case's name."""


def between(
    place: Path, proof: Proof, bare: Bare, files: Container[str | None], module: "nn.Module | None", precision: str, progress: Progress
) -> ByFile:
    """Of the files in the folder `place`, or the one file `place`. Those that nobody evaluates in float64 are not there, and progress is
    told why: nothing is said of what their error is made of.

    files: that are asked for.  module: the model in Python, of which the formats of torch are.
    """
    cases = [case for case in proof.golden if case.ready is not None]
    if bare.narrowed is None or not cases or any(truth.kind != FLOAT64 for truth in proof.power.truths.values()):
        return {}
    file = place / ONNX if place.is_dir() else place
    makers: dict[tuple[str | None, ...], Callable[[], Callable[[Case], Outputs]]] = {(ONNX,): lambda: _of_a_file(file, cases, precision)}
    if module is not None:
        makers[None, "model.pt", "model.pt2", "model.aoti.pt2", "model.pte"] = lambda: _in_python(module, list(cases[0].expected))
    found = dict[str | None, Mapping[str, Between]]()
    try:
        narrowed = {case.name: bare.narrowed(case) for case in cases}
        for kinds, make in makers.items():
            if any(kind in files for kind in kinds):
                handled = make()
                own = {case.name: Between(narrowed[case.name], handled(case)) for case in cases}
                found |= dict.fromkeys(kinds, own)
    except Exception as error:  # noqa: BLE001 - no form in float64, no kernel here, of whatever class
        progress(f"note: not every error is split: {type(error).__name__}: {first_line(error)}")
    return found


def _of_a_file(path: Path, cases: list[Case], precision: str) -> Callable[[Case], Outputs]:
    """ONNX Runtime makes of the pixels what the file does, up to the first product with weights; the rest is evaluated in float64, of int8
    without what is rounded there."""
    from ..oracle.files import DoubleFile

    model = graph.load(path)
    (name,) = [str(value.name) for value in model.graph.inputs if value.name not in cases[0].others]
    names, (front, ends) = tuple(cases[0].expected), graph.handling(model, name)
    values = evaluate(front, [{name: case.pixels} for case in cases])
    made = {case.name: dict(zip(ends, map(_wide, arrays), strict=True)) for case, arrays in zip(cases, values, strict=True)}
    exact = DoubleFile(path, rounds=precision != "int8")

    def handled(case: Case) -> Outputs:
        return exact({name: case.pixels, **case.others, **made[case.name]}, names, most=MOST_WORK / len(cases))

    return handled


def _wide(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.float64) if values.dtype.kind == "f" else values


def _in_python(module: "nn.Module", names: Sequence[str]) -> Callable[[Case], Outputs]:
    """The pipeline as the module computes it, rounded as the network in half precision takes it; then that network with the numbers that it
    has, in float64."""
    import torch

    from ..sources.backbones import Reference

    narrow: Any = module.backbone
    network = Reference(narrow.network, tuple(names))

    def handled(case: Case) -> Outputs:
        with torch.inference_mode():
            ready = module.pipeline(torch.from_numpy(case.pixels)).to(narrow.dtype)  # type: ignore[operator]
        return network(ready.double().numpy())

    return handled
