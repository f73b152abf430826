"""The precision that a file computes in: what the numbers from its inputs to its outputs are rounded to; not what is only kept in it."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc import graph
from preproc.graph.precision import Precision
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
    assert graph.precision(graph.load(hand_made(tmp_path, dtype=dtype))) == Precision(expected)


def test_what_is_only_kept_in_half_precision_computes_in_float32():
    assert graph.precision(kept()).name == "float32"


def test_of_two_the_coarser():
    x = ir.Value(name="x", type=ir.TensorType(HALF))
    wide = ir.node("Cast", [x], {"to": TensorProto.BFLOAT16})
    nodes = [ir.node("Relu", [x]), wide, ir.node("Relu", [wide.outputs[0]]), ir.node("Exp", [wide.outputs[0]])]
    ends = [nodes[0].outputs[0], nodes[2].outputs[0], nodes[3].outputs[0]]
    model = ir.Model(ir.Graph([x], ends, nodes=nodes, opset_imports={"": 18}, name="g"), ir_version=10)
    assert graph.precision(model).name == "bfloat16"


def test_a_branch_is_looked_into():
    inner = ir.node("Relu", [ir.Value(name="h", const_value=ir.tensor(np.ones(2, np.float16), name="h"))])
    branch = ir.Graph([], inner.outputs, nodes=[inner], name="b")
    condition = ir.Value(name="c", type=ir.TensorType(ir.DataType.BOOL))
    chosen = ir.node("If", [condition], {"then_branch": branch, "else_branch": branch})
    model = ir.Model(ir.Graph([condition], chosen.outputs, nodes=[chosen], opset_imports={"": 18}, name="g"), ir_version=10)
    assert graph.precision(model).name == "float16"


n, FLOAT, F16 = helper.make_node, TensorProto.FLOAT, TensorProto.FLOAT16
INTO, BACK = n("Cast", ["x"], ["h"], to=F16), n("Cast", ["m"], ["y"], to=FLOAT)
WEIGHTS = {"w": np.ones((3, 3, 1, 1), np.float32), "k": np.ones((3, 3, 1, 1), np.float16), "s": np.array([0]), "e": np.array([3])}


def model(nodes, functions=(), outputs=("y",)):
    """None of the values in it has its dtype told."""
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, ["N", 3, 4, 4])],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, key) for key, value in WEIGHTS.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1), helper.make_opsetid("com.microsoft", 1)]
    return ir.from_proto(helper.make_model(made, opset_imports=opsets, ir_version=9, functions=functions))


def branch(*nodes):
    return helper.make_graph(nodes, "b", [], [helper.make_tensor_value_info(nodes[-1].output[0], F16, None)])


def loop():
    """float32 at first; a round later what came in is left of what was half."""
    ins = [helper.make_tensor_value_info(*each, []) for each in (("i", TensorProto.INT64), ("go", TensorProto.BOOL))]
    ins += [helper.make_tensor_value_info(name, FLOAT, None) for name in ("one", "two")]
    outs = [helper.make_tensor_value_info("on", TensorProto.BOOL, [])]
    outs += [helper.make_tensor_value_info(name, FLOAT, None) for name in ("two_", "half_")]
    nodes = [
        n("Identity", ["go"], ["on"]),
        n("Relu", ["two"], ["two_"]),
        n("Cast", ["one"], ["c"], to=F16),
        n("Cast", ["c"], ["half_"], to=FLOAT),
    ]
    return helper.make_graph(nodes, "l", ins, outs)


FUNCTION = helper.make_function("own", "Twice", ["a"], ["b"], [n("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 18)])
SAID = {
    "half between casts": ([INTO, n("Identity", ["k"], ["i"]), n("Conv", ["h", "i"], ["m"]), BACK], "float16", False),
    "nothing multiplies": ([INTO, n("Relu", ["h"], ["m"]), BACK], "float16", False),
    "only the end": ([n("Conv", ["x", "w"], ["c"]), n("Cast", ["c"], ["h"], to=F16), n("Sigmoid", ["h"], ["m"]), BACK], "float16", True),
    "one of two": ([INTO, n("Conv", ["h", "k"], ["m"]), n("Cast", ["m"], ["f"], to=FLOAT), n("Conv", ["f", "w"], ["y"])], "float16", True),
    "weights kept and cut": (
        [n("Slice", ["k", "s", "e"], ["c"]), n("Cast", ["c"], ["v"], to=FLOAT), n("Conv", ["x", "v"], ["y"])],
        "float32",
        False,
    ),
    "a dead end": ([INTO, n("Conv", ["h", "k"], ["m"]), n("Conv", ["x", "w"], ["y"])], "float32", False),
    "asked for its shape": ([INTO, n("Shape", ["h"], ["t"]), n("Reshape", ["x", "t"], ["y"])], "float32", False),
    "counted in it": ([INTO, n("ArgMax", ["h"], ["a"]), n("Cast", ["a"], ["y"], to=FLOAT)], "float16", False),
    "unknown operators": ([INTO, n("Mystery", ["h"], ["m"], domain="com.microsoft"), BACK], "float16", False),
    "a comparison of float32": ([n("Greater", ["x", "x"], ["g"]), n("Cast", ["g"], ["y"], to=FLOAT)], "float32", False),
    "a function": ([INTO, n("Twice", ["h"], ["m"], domain="own"), BACK], "float16", False),
    "a function of float32": ([n("Twice", ["x"], ["y"], domain="own"), n("Cast", ["y"], ["h"], to=F16)], "float32", False),
    "a branch": (
        [
            n("ReduceMax", ["x"], ["r"], keepdims=0),
            n("Cast", ["r"], ["t"], to=TensorProto.BOOL),
            n("If", ["t"], ["m"], then_branch=branch(INTO, n("Relu", ["h"], ["o"])), else_branch=branch(n("Identity", ["k"], ["p"]))),
            BACK,
        ],
        "float16",
        True,
    ),
    "a loop's later round": ([n("Loop", ["s", "", "x", "x"], ["y", "z"], body=loop())], "float16", True),
}


@pytest.mark.parametrize("name", SAID)
def test_what_is_rounded_on_the_way_and_partly_where_other_floats_are_computed_with(name):
    nodes, kind, partly = SAID[name]
    found = graph.precision(model(nodes, [FUNCTION]))
    assert found == Precision(kind, partly)
    assert str(found) == f"computes {'partly ' if partly else ''}in {kind}"


def test_only_the_way_of_the_inputs_that_are_named():
    assert graph.precision(model(SAID["nothing multiplies"][0]), ["another"]).name == "float32"
