"""What the fold has replaced leaves the file, as far as nobody else reads it."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc import graph
from preproc.errors import NotFoldableError
from preproc.oracle import reference
from tests.graph.models import DOUBLE, FLOAT, PAD1, W, conv, evaluate, imagenet, model, node, pixels, spec

QUANTIZED = {"q": np.int8(np.clip(np.round(W * 40), -127, 127)), "scale": np.array([0.02, 0.03, 0.025, 0.04]), "zero": np.zeros(4, np.int8)}
COMPUTED = {
    "quantized": ([node("DequantizeLinear", "q scale zero", "k", axis=0)], QUANTIZED),
    "transposed": ([node("Transpose", "t", "k", perm=[3, 2, 0, 1])], {"t": W.transpose(2, 3, 1, 0)}),
    "reshaped and scaled": (
        [node("Reshape", "flat shape", "r"), node("Mul", "r gain", "k")],
        {"flat": W.reshape(-1), "shape": np.array(W.shape), "gain": np.array([1, 2, 0.5, 3.0]).reshape(4, 1, 1, 1)},
    ),
    "in half precision": ([node("Cast", "h", "half", to=TensorProto.FLOAT16), node("CastLike", "half h", "k")], {"h": W}),
    "standardized": (
        [
            node("ReduceMean", "w axes", "m"),
            node("Sub", "w m", "c"),
            node("Mul", "c c", "s"),
            node("ReduceMean", "s axes", "v"),
            node("Sqrt", "v", "d"),
            node("Div", "c d", "k"),
        ],
        {"w": W, "axes": np.array([1, 2, 3])},
    ),
}


def written(made, tmp_path, **options):
    """Through files, as attach does: what nobody touched keeps the message that was read."""
    onnx.save(ir.to_proto(made), tmp_path / "m.onnx")
    read = graph.load(tmp_path / "m.onnx")
    graph.attach(read, imagenet("BGR"), spec("BGR"), fold="require", **options)
    graph.save(read, tmp_path / "o.onnx")
    graph.load(tmp_path / "o.onnx")  # checks it
    return onnx.load(tmp_path / "o.onnx")


@pytest.mark.parametrize("name", COMPUTED)
def test_weights_that_are_computed_fold_and_what_made_them_goes(name, tmp_path):
    nodes, constants = COMPUTED[name]
    kind, digits = (FLOAT, 1e-5) if name == "quantized" else (DOUBLE, 1e-9)
    made = model([*nodes, conv("k", **PAD1)], constants, kind=kind, opset=21)
    x = pixels("BGR")
    want = evaluate(made, "x", reference.apply(imagenet("BGR"), x).astype(np.float32 if kind == FLOAT else np.float64))
    new = written(made, tmp_path)
    assert not {tensor.name for tensor in new.graph.initializer} & set(constants)
    assert {made.op_type for made in new.graph.node} == {"Cast", "Transpose", "Add", "Conv"}
    assert np.abs(evaluate(ir.from_proto(new), "pixels", x) - want).max() <= digits * np.abs(want).max()


def test_what_somebody_else_reads_stays(tmp_path):
    nodes = [
        node("Mul", "w gain", "k"),
        conv("k", output="p", **PAD1),
        node("ReduceMax", "gain", "other"),
        node("Mul", "p other", "y"),
    ]
    constants = {"w": W, "gain": np.array([1, 2, 0.5, 3.0]).reshape(4, 1, 1, 1)}
    made, x = model(nodes, constants | {"unread": np.zeros(3)}), pixels("BGR")
    want = evaluate(made, "x", reference.apply(imagenet("BGR"), x))
    new = written(made, tmp_path)
    names = {tensor.name for tensor in new.graph.initializer}
    assert "w" not in names
    assert {"gain", "unread"} <= names  # what nobody had read before is not ours to judge
    assert np.abs(evaluate(ir.from_proto(new), "pixels", x) - want).max() <= 1e-9 * np.abs(want).max()


def test_weights_in_branches_leave_them(tmp_path):
    outputs = [helper.make_tensor_value_info("b", DOUBLE, [None] * 4)]
    inner = [helper.make_node("Conv", ["x", "v"], ["b"], name="c", **PAD1)]
    own = helper.make_graph(inner, "own", [], outputs, [numpy_helper.from_array(W * 2, "v"), numpy_helper.from_array(W, "unread")])
    kept = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["b"], name="d", **PAD1)], "kept", [], outputs)
    made, x = model([node("If", "yes", "y", then_branch=own, else_branch=kept)], {"w": W, "yes": np.array(True)}), pixels("BGR")
    want = evaluate(made, "x", reference.apply(imagenet("BGR"), x))
    new = written(made, tmp_path)
    branches = {attribute.name: attribute.g for attribute in new.graph.node[-1].attribute}
    assert [tensor.name for tensor in branches["then_branch"].initializer] == ["unread"]
    assert np.abs(evaluate(ir.from_proto(new), "pixels", x) - want).max() <= 1e-9 * np.abs(want).max()


@pytest.mark.parametrize(("opset", "axis"), [(13, 0), (18, 1), (21, 0), (10, None)])
def test_quantized_weights_of_every_opset(opset, axis):
    rng = np.random.default_rng(0)
    scale, zero = (
        (0.02, np.uint8(128)) if axis is None else (rng.uniform(0.01, 0.03, W.shape[axis]), rng.integers(100, 150, W.shape[axis], np.uint8))
    )
    along = (-1,) + (1,) * (3 - (axis or 0))
    spread = [np.asarray(each, np.float64).reshape(along if axis is not None else ()) for each in (scale, zero)]
    stored = np.uint8(np.clip(np.rint(W / spread[0]) + spread[1], 0, 255))
    options = {} if axis is None else {"axis": axis}
    nodes = [
        node("QuantizeLinear", "w scale zero", "q", **options),
        node("DequantizeLinear", "q scale zero", "k", **options),
        conv("k", **PAD1),
    ]
    constants = {"w": W, "scale": np.float32(scale), "zero": np.asarray(zero)}
    made = model(nodes, constants, kind=FLOAT, opset=opset)
    (found,) = made.graph[1].outputs
    np.testing.assert_allclose(graph.constant(found), (stored - spread[1]) * spread[0], rtol=1e-6, atol=1e-7)
    graph.attach(made, imagenet(), spec(), fold="require")
    assert not any("Quantize" in each.op_type for each in made.graph)


def test_random_weights_are_no_constants():
    made = model([node("RandomNormalLike", "w", "r"), node("Add", "w r", "k"), conv("k")], {"w": W})
    with pytest.raises(NotFoldableError, match="k is computed, not a constant"):
        graph.attach(made, imagenet(), spec(), fold="require")
