"""The BatchNormalization nodes of a graph: their running statistics, and a file that answers what they are given."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import NotFoldableError
from .constants import OURS, attribute, constant
from .unread import drop


@dataclass(frozen=True)
class BatchNorm:
    """mean, var: (K,) float64, the running statistics.  eps: what it adds to the variance.  value: what it is given."""

    name: str
    mean: NDArray[np.float64]
    var: NDArray[np.float64]
    eps: float
    value: ir.Value


def batch_norms(model: ir.Model) -> list[BatchNorm]:
    """In the order of the graph. Those inside of subgraphs and functions are not seen, nor any whose statistics are computed."""
    found = []
    for node in model.graph:
        if node.op_type != "BatchNormalization" or node.domain not in OURS or len(node.inputs) < 5 or node.inputs[0] is None:
            continue
        try:
            mean, var = (constant(node.inputs[place]).astype(np.float64).reshape(-1) for place in (3, 4))
        except NotFoldableError:
            continue
        name = str(node.name or node.outputs[0].name)
        found.append(BatchNorm(name, mean, var, float(attribute(node, "epsilon", 1e-5)), node.inputs[0]))
    return found


def tap(model: ir.Model, norms: Sequence[BatchNorm]) -> list[str]:
    """Makes the model answer what these of its BatchNormalizations are given, and nothing else, in place; what nobody reads then goes.
    Returns the names of the outputs."""
    before, taken = list(model.graph.outputs), []
    model.graph.outputs.clear()
    for number, norm in enumerate(norms):
        output = ir.Value(name=f"preproc/tap/{number}", type=ir.TensorType(norm.value.dtype or ir.DataType.FLOAT))
        model.graph.append(ir.Node("", "Identity", [norm.value], outputs=[output], name=f"preproc/tap/{number}/node"))
        model.graph.outputs.append(output)
        taken.append(str(output.name))
    for value in before:
        drop(value)
    return taken
