"""Whether a file is the one that was written: what tells a program that has written it anew from damage, and what is no change."""

import json

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc import graph
from tests.onnx_files import hand_made


@pytest.fixture(params=[3, 10], ids=lambda version: f"IR {version}")
def file(tmp_path, request):
    """With digests inside. Old files list their weights among the inputs; newer ones have a function and a subgraph."""
    path = hand_made(tmp_path, ir_version=request.param)
    proto = onnx.load(path)
    if request.param > 3:
        inner = helper.make_node("Unsqueeze", ["a", "axes"], ["b"])
        axes = helper.make_node("Constant", [], ["axes"], value=numpy_helper.from_array(np.int64([0])))
        proto.functions.append(helper.make_function("own", "Up", ["a"], ["b"], [axes, inner], [helper.make_opsetid("", 18)]))
        proto.opset_import.append(helper.make_opsetid("own", 1))
        proto.graph.node.append(helper.make_node("Up", ["f"], ["more"], domain="own"))
        branches = [
            helper.make_graph(
                [helper.make_node(op, ["f"], [op])],
                op,
                [],
                [helper.make_tensor_value_info(op, TensorProto.FLOAT, None)],
                [numpy_helper.from_array(np.float32([1, 2]), f"of {op}")],
            )
            for op in ("Abs", "Neg")
        ]
        proto.graph.node.append(helper.make_node("If", ["yes"], ["either"], then_branch=branches[0], else_branch=branches[1]))
        proto.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    onnx.save(proto, path)
    model = graph.load(path)
    model.metadata_props[graph.WRITTEN] = graph.digests(model)
    graph.save(model, path)
    return path


def changed(path):
    return graph.changed_since(graph.load(path))


def by_onnx(path, change):
    proto = onnx.load(path)
    change(proto)
    onnx.save(proto, path)
    return path


def described(proto):
    proto.producer_name, proto.doc_string, proto.graph.doc_string = "another", "somebody's", "words"
    proto.metadata_props.add(key="more", value="of it")
    proto.graph.node[0].metadata_props.add(key="a", value="b")
    proto.graph.value_info.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, ["N", 8, 12, 10]))


def test_who_writes_it_again_changes_nothing(file):
    assert changed(file) == graph.NOTHING
    assert changed(by_onnx(file, described)) == graph.NOTHING
    ir.save(ir.load(file), file)
    assert changed(file) == graph.NOTHING
    proto = onnx.load(file)
    onnx.save(proto, file, save_as_external_data=True, location="w.bin", size_threshold=100)
    assert changed(file) == graph.NOTHING
    external = file.with_name("w.bin")
    external.write_bytes(bytes(len(external.read_bytes())))
    assert changed(file) == graph.WEIGHTS


def a_weight(proto):
    tensor = next(tensor for tensor in proto.graph.initializer if tensor.name == "h")
    values = numpy_helper.to_array(tensor).copy()
    values[3, 1] += 1e-3
    tensor.CopyFrom(numpy_helper.from_array(values, "h"))


def another_dtype(proto):
    tensor = next(tensor for tensor in proto.graph.initializer if tensor.name == "h")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), "h"))


def an_attribute(proto):
    conv = next(node for node in proto.graph.node if node.op_type == "Conv")
    next(held for held in conv.attribute if held.name == "pads").ints[0] = 0


def an_operator(proto):
    next(node for node in proto.graph.node if node.op_type == "Relu").op_type = "Tanh"


def a_node(proto):
    proto.graph.node.insert(0, helper.make_node("Abs", ["image"], ["nobody's"]))


def a_name(proto):
    for node in proto.graph.node:
        for values in (node.input, node.output):
            values[:] = [{"r": "renamed"}.get(name, name) for name in values]


def a_shape(proto):
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (a_weight, graph.WEIGHTS),
        (another_dtype, graph.WEIGHTS),
        (an_attribute, graph.VALUES),
        (an_operator, graph.VALUES),
        (a_node, graph.REWRITTEN),
        (a_name, graph.REWRITTEN),
        (a_shape, graph.REWRITTEN),
    ],
)
def test_what_has_changed(file, change, expected):
    proto = onnx.load(file)
    change(proto)
    file.write_bytes(proto.SerializeToString())
    model = graph.messages.model_of(proto, file.parent, ())  # some are no models of ONNX's any more
    assert graph.changed_since(model) == expected


def test_a_function_and_a_subgraph_are_looked_into(tmp_path):
    """A flipped constant in either."""
    inner = helper.make_node("Constant", [], ["axes"], value=numpy_helper.from_array(np.int64([0])))
    branch = helper.make_graph([inner], "b", [], [helper.make_tensor_value_info("axes", TensorProto.INT64, [1])])
    nodes = [
        helper.make_node("Identity", ["image"], ["first"]),
        helper.make_node("If", ["yes"], ["e"], then_branch=branch, else_branch=branch),
    ]
    proto = onnx.load(hand_made(tmp_path, nodes=nodes))
    proto.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    proto.functions.append(helper.make_function("own", "F", ["a"], ["axes"], [inner], [helper.make_opsetid("", 18)]))
    found = set()
    for place in (None, proto.graph.node[1].attribute[0].g.node[0], proto.functions[0].node[0]):
        if place is not None:
            place.attribute[0].t.CopyFrom(numpy_helper.from_array(np.int64([1])))
        copied = onnx.ModelProto.FromString(proto.SerializeToString())
        found.add(json.loads(graph.digests(graph.messages.model_of(copied, tmp_path, ())))["nodes"])
    assert len(found) == 3


@pytest.mark.parametrize("text", [None, "", "{", "[]", "3", '{"frame": 1}'])
def test_a_file_that_does_not_tell(file, text):
    model = graph.load(file)
    if text is None:
        del model.metadata_props[graph.WRITTEN]
    else:
        model.metadata_props[graph.WRITTEN] = text
    assert graph.changed_since(model) is None


def test_texts_have_digests_too(tmp_path):
    proto = onnx.load(hand_made(tmp_path))
    proto.graph.initializer.append(helper.make_tensor("texts", TensorProto.STRING, [2], [b"a", b"b"]))
    onnx.save(proto, tmp_path / "m.onnx")
    model = graph.load(tmp_path / "m.onnx")
    first = graph.digests(model)
    proto.graph.initializer[-1].string_data[1] = b"c"
    onnx.save(proto, tmp_path / "m.onnx")
    assert json.loads(graph.digests(graph.load(tmp_path / "m.onnx")))["weights"] != json.loads(first)["weights"]


def test_digests_are_the_same_in_every_version(tmp_path):
    """Else a newer preproc, or a newer library under it, would call old files damaged."""
    text = """<ir_version: 10, opset_import: ["" : 18]> net (float[N, 3, 8, 8] x) => (float[N, 3, 7, 7] y)
    <float[3] b = {1, 2.5, -3}> {
        w = Constant <value = float[3, 3, 1, 1] {1, 2, 3, 4, 5, 6, 7, 8, 9}> ()
        c = Conv <pads = [0, 0, 1, 1]> (x, w, b)
        y = AveragePool <kernel_shape = [3, 3], auto_pad = "NOTSET"> (c)
    }"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "m.onnx")
    found = json.loads(graph.digests(graph.load(tmp_path / "m.onnx")))
    expected = {"frame": "ccc6b9865c5f", "nodes": "361e30157935", "length": "226", "weights": "d7eaaf589e13"}
    assert {key: str(value)[:12] for key, value in found.items()} == expected
