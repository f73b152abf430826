"""The precision that a file computes in."""

from collections import Counter

import onnx_ir as ir

HALF = {ir.DataType.FLOAT16: "float16", ir.DataType.BFLOAT16: "bfloat16"}
KEEPING = frozenset({"Cast", "CastLike", "Constant", "Identity", "Transpose", "Reshape", "DequantizeLinear"})
"""Operators that compute nothing: weights that are only kept in half precision are widened by one."""


def precision(model: ir.Model) -> str:
    """In which most nodes compute of those that do so in 16 bits, "float16" or "bfloat16"; "float32" where none does."""
    found = Counter[str]()
    graphs = [model.graph, *(function.graph for function in model.functions.values())]
    for graph in graphs:
        for node in graph.all_nodes():
            if node.op_type not in KEEPING:
                found.update({HALF[kind] for kind in map(_dtype, node.inputs) if kind in HALF})
    return max(found, key=lambda name: found[name], default="float32")


def _dtype(value: ir.Value | None) -> ir.DataType | None:
    """As far as it is told without an inference: of weights, inputs, and what a Cast makes."""
    if value is None:
        return None
    node = value.producer()
    if node is not None and node.op_type == "Cast" and "to" in node.attributes:
        return ir.DataType(node.attributes["to"].as_int())
    return value.const_value.dtype if value.const_value is not None else value.dtype
