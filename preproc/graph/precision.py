"""In what precision a file computes."""

import onnx_ir as ir

from ..errors import NotFoldableError
from .constants import constant
from .picture import HALF


def precision(model: ir.Model) -> str:
    """ "float16" or "bfloat16" where an input has it, or something that is computed from one is cast to it; else "float32", of which
    weights that are only kept in 16 bits are no exception."""
    found = {value.dtype for value in model.graph.inputs}
    for node in model.graph.all_nodes():
        if node.op_type == "Cast" and node.domain in ("", "ai.onnx") and not _is_constant(node.inputs[0]):
            found.add(ir.DataType(node.attributes["to"].as_int()))
    return next((dtype.name.lower() for dtype in HALF if dtype in found), "float32")


def _is_constant(value: ir.Value | None) -> bool:
    try:
        constant(value)
    except NotFoldableError:
        return False
    return True
