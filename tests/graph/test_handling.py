"""What a file makes of its picture before the first product with weights, cut off and run alone."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc import graph
from preproc.verify.runtimes import OnnxReference, evaluate


def file_of(tmp_path, nodes, domains=(), functions=()):
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, 4, 4])]
    answers = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    rng = np.random.default_rng(0)
    values = {"w": rng.normal(size=(2, 3, 3, 3)), "m": np.array(0.5), "k": rng.normal(size=(1, 2, 2, 2))}
    read = {name for entry in nodes for name in entry.input}
    made = helper.make_graph(
        nodes,
        "g",
        inputs,
        answers,
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items() if name in read],
    )
    opsets = [helper.make_opsetid("", 18), *(helper.make_opsetid(domain, 1) for domain in domains)]
    onnx.save(helper.make_model(made, opset_imports=opsets, functions=functions, ir_version=10), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs.split(), [output], **attributes)


FRONT = [node("Sub", "pixels m", "a"), node("Relu", "a", "b")]
SHAPE = [node("Shape", "b", "t"), node("ConstantOfShape", "t", "e")]
REST = [node("Conv", "b w", "c"), node("Conv", "c k", "y")]


@pytest.mark.parametrize(
    ("nodes", "ends"),
    [
        ([*FRONT, *REST], ["b"]),
        ([node("Conv", "pixels w", "c"), REST[1]], ["pixels"]),
        (
            [*FRONT, node("Conv", "b w", "c"), node("GlobalMaxPool", "a", "p"), node("ReduceSum", "c", "s"), node("Add", "p s", "y")],
            ["b", "p"],
        ),
        ([*FRONT, node("Identity", "b", "y")], ["y"]),
        (
            [
                *FRONT,
                *SHAPE,
                node("Conv", "b w", "c"),
                node("GlobalMaxPool", "c", "g"),
                node("ReduceMax", "e", "f"),
                node("Add", "f g", "y"),
            ],
            ["b", "f"],
        ),
    ],
    ids=["steps", "at once", "beside", "no product", "shape"],
)
def test_the_front_ends_at_the_first_product(tmp_path, nodes, ends):
    file = file_of(tmp_path, nodes)
    x = np.random.default_rng(1).normal(size=(2, 3, 4, 4)).astype(np.float32)
    front, names = graph.handling(graph.load(file), "pixels")
    assert names == ends
    assert not {entry.op_type for entry in onnx.load_from_string(front).graph.node} & {"Conv"}
    assert not {tensor.name for tensor in onnx.load_from_string(front).graph.initializer} & {"w", "k"}
    (values,) = evaluate(front, [{"pixels": x}])
    if "b" in names:
        np.testing.assert_array_equal(values[names.index("b")], np.maximum(x - np.float32(0.5), 0))
    if names == ["y"]:
        np.testing.assert_array_equal(values[0], OnnxReference(file, ["y"], image="pixels")(x)["y"])


def test_what_a_function_does_is_not_known(tmp_path):
    """It may hold the whole network."""
    body = [node("Relu", "x", "z")]
    function = helper.make_function("mine", "Own", ["x"], ["z"], body, [helper.make_opsetid("", 18)])
    call = helper.make_node("Own", ["a"], ["b"], domain="mine")
    file = file_of(tmp_path, [FRONT[0], call, *REST], domains=["mine"], functions=[function])
    assert graph.handling(graph.load(file), "pixels")[1] == ["a"]
