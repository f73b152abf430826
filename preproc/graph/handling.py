"""What a file makes of its picture before the first product with weights."""

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from .subgraphs import subgraphs
from .unread import drop
from .writing import to_bytes

PRODUCTS = frozenset(
    f"{start}{kind}" for start in ("", "Fused", "QLinear", "Nhwc", "NhwcFused") for kind in ("Conv", "MatMul", "Gemm", "ConvTranspose")
) | {
    *("ConvInteger", "DeformConv", "Einsum", "MatMulInteger", "MatMulNBits", "TransposeMatMul", "QGemm"),
    *("Attention", "GroupQueryAttention", "MultiHeadAttention", "LSTM", "GRU", "RNN"),
}
"""Operators that multiply with weights, of any domain: what a network's arithmetic is in."""
KNOWN = ("", "ai.onnx", "com.microsoft")
"""The domains whose operators are known; another one's may do anything."""


def handling(model: ir.Model, name: str) -> tuple[bytes, list[str]]:
    """An ONNX file with nothing but what is made of the input `name` alone before the first product with weights; and its outputs' names:
    the values of that which something behind reads, or which the model answers. In place."""
    graph = model.graph
    (picture,) = [value for value in graph.inputs if value.name == name]
    made = {picture}
    for node in graph:
        read = [value for value in node.inputs if value is not None and not _is_constant(value)]
        plain = node.domain in KNOWN and node.op_type not in PRODUCTS and not list(subgraphs(node))
        if plain and read and made.issuperset(read):
            made.update(node.outputs)
    inside = {value.producer() for value in made}
    ends = [value for value in made if value.is_graph_output() or any(node not in inside for node, _ in value.uses())]
    ends.sort(key=lambda value: str(value.name))
    old = list(graph.outputs)
    graph.outputs[:] = ends
    for value in old:
        drop(value)
    graph.inputs[:] = [picture]
    return to_bytes(model), [str(value.name) for value in ends]


def ending(model: ir.Model, names: Sequence[str]) -> bytes:
    """An ONNX file that answers the values of these names in place of its outputs. The model stays as it is."""
    old = list(model.graph.outputs)
    model.graph.outputs[:] = _made(model, names)
    try:
        return to_bytes(model)
    finally:
        model.graph.outputs[:] = old


def ending_at(model: ir.Model, names: Sequence[str]) -> ir.Model:
    """The model, in place, with the values of these names as its outputs, and nothing behind them."""
    old = list(model.graph.outputs)
    model.graph.outputs[:] = _made(model, names)
    for value in old:
        drop(value)
    return model


def beginning(model: ir.Model, name: str, values: Sequence[NDArray[Any]]) -> ir.Model:
    """The model, in place, with the value of that name as its one input, of the dtype of `values`, its batch free, and every side in which
    these differ."""
    shapes = zip(*(array.shape for array in values), strict=True)
    sides = [side[0] if len(set(side)) == 1 else f"side_{axis}" for axis, side in enumerate(shapes)]
    (old,) = [value for node in model.graph for value in node.outputs if value.name == name]
    new = ir.Value(name=f"{name}/input", type=ir.TensorType(ir.DataType.from_numpy(values[0].dtype)), shape=ir.Shape(["N", *sides[1:]]))
    for user, index in tuple(old.uses()):
        user.replace_input_with(index, new)
    drop(old)
    model.graph.inputs[:] = [new]
    return model


def _made(model: ir.Model, names: Sequence[str]) -> list[ir.Value]:
    made = {str(value.name): value for node in model.graph for value in node.outputs}
    return [made[name] for name in names]


def _is_constant(value: ir.Value) -> bool:
    producer = value.producer()
    return value.is_initializer() or (producer is not None and producer.op_type == "Constant")
