"""Answers that are not rounded to 256 numbers."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc import graph
from preproc.verify.runtimes import evaluate


def rounding(tmp_path, *more, outputs=("y",)):
    """relu(x), rounded to quarters; more: further nodes."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
        *more,
    ]
    constants = [numpy_helper.from_array(np.float32(0.25), "scale"), numpy_helper.from_array(np.uint8(0), "zero")]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in ("x", *outputs)]
    made = helper.make_graph(nodes, "net", values[:1], values[1:], constants)
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), tmp_path / "m.onnx")
    return graph.load(tmp_path / "m.onnx")


def answers(model, x):
    graph.check(model, "m.onnx")
    return evaluate(graph.to_bytes(model), [{"x": x}])[0]


X = np.array([-1.0, 0.1, 0.3, 1.0], np.float32)


def test_an_output_is_what_was_rounded_under_its_own_name(tmp_path):
    model = rounding(tmp_path)
    np.testing.assert_array_equal(answers(rounding(tmp_path), X), [[0, 0, 0.25, 1]])
    graph.answer_unrounded(model)
    np.testing.assert_array_equal(answers(model, X), [np.maximum(X, 0)])
    assert [node.op_type for node in model.graph] == ["Relu"]
    assert [value.name for value in model.graph.outputs] == ["y"]
    assert not model.graph.initializers


@pytest.mark.parametrize(
    ("node", "output"),
    [
        (helper.make_node("Neg", ["y"], ["z"]), "z"),  # the rounded value is computed with
        (helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["z"]), "z"),
        (helper.make_node("Neg", ["r"], ["z"]), "z"),
    ],
    ids=["its reader", "the number's reader", "the value's reader"],
)
def test_what_somebody_else_reads_stays_as_it_is(tmp_path, node, output):
    model = rounding(tmp_path, node, outputs=("y", output))
    before = answers(rounding(tmp_path, node, outputs=("y", output)), X)
    graph.answer_unrounded(model)
    for old, new in zip(before, answers(model, X), strict=True):
        np.testing.assert_array_equal(old, new)
