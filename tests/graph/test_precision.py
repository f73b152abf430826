"""The precision that a file computes in: of a weight, an input, what a Cast makes; not of what is only kept in it."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto

from preproc import graph
from tests.onnx_files import hand_made

HALF = ir.DataType.FLOAT16


def kept(dtype=np.float16, *, to=TensorProto.FLOAT):
    """A weight that is cast before it is read."""
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT))
    weight = ir.Value(name="w", const_value=ir.tensor(np.ones(3, dtype), name="w"))
    cast = ir.node("Cast", [weight], {"to": to})
    node = ir.node("Mul", [x, cast.outputs[0]])
    return ir.Model(ir.Graph([x], node.outputs, nodes=[cast, node], initializers=[weight], opset_imports={"": 18}, name="g"), ir_version=10)


@pytest.mark.parametrize(
    ("dtype", "expected"), [(TensorProto.FLOAT, "float32"), (TensorProto.FLOAT16, "float16"), (TensorProto.BFLOAT16, "bfloat16")]
)
def test_the_dtype_of_weights_and_inputs(tmp_path, dtype, expected):
    assert graph.precision(graph.load(hand_made(tmp_path, dtype=dtype))) == expected


def test_what_is_only_kept_in_half_precision_computes_in_float32():
    assert graph.precision(kept()) == "float32"


def test_what_a_cast_makes_is_computed_with():
    assert graph.precision(kept(np.float32, to=TensorProto.FLOAT16)) == "float16"


def test_of_two_the_one_that_most_nodes_compute_in():
    x = ir.Value(name="x", type=ir.TensorType(HALF))
    wide = ir.node("Cast", [x], {"to": TensorProto.BFLOAT16})
    nodes = [ir.node("Relu", [x]), wide, ir.node("Relu", [wide.outputs[0]]), ir.node("Exp", [wide.outputs[0]])]
    ends = [nodes[0].outputs[0], nodes[2].outputs[0], nodes[3].outputs[0]]
    model = ir.Model(ir.Graph([x], ends, nodes=nodes, opset_imports={"": 18}, name="g"), ir_version=10)
    assert graph.precision(model) == "bfloat16"


def test_a_branch_is_looked_into():
    inner = ir.node("Relu", [ir.Value(name="h", const_value=ir.tensor(np.ones(2, np.float16), name="h"))])
    branch = ir.Graph([], inner.outputs, nodes=[inner], name="b")
    condition = ir.Value(name="c", type=ir.TensorType(ir.DataType.BOOL))
    chosen = ir.node("If", [condition], {"then_branch": branch, "else_branch": branch})
    model = ir.Model(ir.Graph([condition], chosen.outputs, nodes=[chosen], opset_imports={"": 18}, name="g"), ir_version=10)
    assert graph.precision(model) == "float16"
