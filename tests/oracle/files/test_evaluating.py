"""A whole file in float64: weights, subgraphs, functions; and why there is none."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc.oracle.files import DoubleFile, NotInDoubleError
from preproc.verify.runtimes import evaluate
from tests.oracle.files.operators import doubled, model

X = np.random.default_rng(3).normal(size=(2, 3)).astype(np.float32)
THIRD = np.float32(1 / 3)


def value(name, kind=TensorProto.FLOAT, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def saved(nodes, folder, *, weights=None, functions=(), external=False, opset=17, outputs=("y",)):
    tensors = [
        array if isinstance(array, onnx.TensorProto) else numpy_helper.from_array(array, name) for name, array in (weights or {}).items()
    ]
    graph = helper.make_graph(nodes, "g", [value("x", shape=["n", 3])], [onnx.ValueInfoProto(name=name) for name in outputs], tensors)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("ours", 1)]
    made = helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=8)
    onnx.save(made, folder / "m.onnx", save_as_external_data=external, location="m.data", size_threshold=0)
    return folder / "m.onnx"


def agrees(file, *, names=("y",)):
    feeds = {"x": X}
    (theirs,) = evaluate(onnx.load(file).SerializeToString(), [feeds])
    ours = DoubleFile(file)({"x": X.astype(np.float64)}, names)
    for name, there in zip(names, theirs, strict=True):
        np.testing.assert_allclose(ours[name], there, rtol=1e-5, atol=1e-6)
    return ours["y"]


@pytest.mark.parametrize("external", [False, True])
def test_weights_are_those_of_the_file_wherever_they_lie(external, tmp_path):
    """As float32 holds them, and no rounding behind."""
    weight = np.full((3, 2), THIRD)
    ours = agrees(saved([helper.make_node("MatMul", ["x", "w"], ["y"])], tmp_path, weights={"w": weight}, external=external))
    np.testing.assert_array_equal(ours, X.astype(np.float64) @ weight.astype(np.float64))


def branch(name, op):
    return helper.make_graph([helper.make_node(op, ["x", "w"], [name])], name, [], [onnx.ValueInfoProto(name=name)])


def test_branches_read_what_is_around_them(tmp_path):
    """Even where nobody else reads it."""
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
        helper.make_node("Identity", ["v"], ["w"]),
        helper.make_node("Less", ["s", "zero"], ["c"]),
        helper.make_node("If", ["c"], ["y"], then_branch=branch("a", "Add"), else_branch=branch("b", "Mul")),
    ]
    agrees(saved(nodes, tmp_path, weights={"v": np.full(3, THIRD), "zero": np.float32(0)}))
    agrees(saved(nodes, tmp_path, weights={"v": np.full(3, THIRD), "zero": np.float32(99)}))


def test_loops_carry_and_stack(tmp_path):
    body = helper.make_graph(
        [
            helper.make_node("Mul", ["state", "w"], ["next"]),
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Neg", ["next"], ["row"]),
        ],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("state", shape=["n", 3])],
        [value("on", TensorProto.BOOL, []), value("next", shape=["n", 3]), value("row", shape=["n", 3])],
    )
    node = helper.make_node("Loop", ["trips", "", "x"], ["y", "rows"], body=body)
    agrees(saved([node], tmp_path, weights={"w": np.full(3, THIRD), "trips": np.array(3)}, outputs=("y", "rows")), names=("y", "rows"))


def test_functions_of_the_model(tmp_path):
    imports = [helper.make_opsetid("", 17)]
    twice = helper.make_function("ours", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], imports)
    agrees(saved([helper.make_node("Twice", ["x"], ["y"], domain="ours")], tmp_path, functions=[twice]))


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([helper.make_node("Det", ["x"], ["y"])], "no float64 form of Det"),
        (
            [helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT8E5M2), helper.make_node("Cast", ["h"], ["y"], to=1)],
            "makes float8e5m2 of its",
        ),
        ([helper.make_node("Cast", ["eight"], ["y"], to=1)], "holds numbers of float8e5m2"),
    ],
)
def test_what_has_no_float64_form_says_why(nodes, reason, tmp_path):
    weights = {"eight": helper.make_tensor("eight", TensorProto.FLOAT8E5M2, [3], [1.0] * 3)}
    file = saved(nodes, tmp_path, weights={name: values for name, values in weights.items() if name in nodes[0].input})
    with pytest.raises(NotInDoubleError, match=reason):
        DoubleFile(file)({"x": X.astype(np.float64)}, ("y",))


def test_weights_that_are_only_kept_in_half_precision(tmp_path):
    nodes = [helper.make_node("Cast", ["half"], ["w"], to=TensorProto.FLOAT), helper.make_node("Mul", ["x", "w"], ["y"])]
    agrees(saved(nodes, tmp_path, weights={"half": np.full(3, 1 / 3, np.float16)}))


@pytest.mark.parametrize(("kind", "third"), [("FLOAT16", 0.333251953125), ("BFLOAT16", 0.333984375)])
@pytest.mark.parametrize("external", [False, True])
def test_half_precision_is_float64_with_the_numbers_of_the_file(kind, third, external, tmp_path):
    """Nothing that it computes is rounded, what it casts to half precision neither."""
    to = getattr(TensorProto, kind)
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=to),
        helper.make_node("MatMul", ["h", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["s"]),
        helper.make_node("Cast", ["s"], ["y"], to=TensorProto.FLOAT),
    ]
    weights = {"w": helper.make_tensor("w", to, [3, 2], [third] * 6), "b": helper.make_tensor("b", to, [2], [third, 2048.0])}
    got = DoubleFile(saved(nodes, tmp_path, weights=weights, external=external))({"x": X.astype(np.float64)}, ("y",))["y"]
    np.testing.assert_allclose(got, X.astype(np.float64) @ np.full((3, 2), third) + [third, 2048], rtol=1e-14)


def test_a_form_that_loses_digits_is_seen(tmp_path, monkeypatch):
    from preproc.oracle.files import evaluating

    monkeypatch.setattr(evaluating, "FORMS", {**evaluating.FORMS, "Add": lambda _, x, y: (x + y).astype(np.float32)})
    with pytest.raises(NotInDoubleError, match="Add 'y0' answers float32"):
        doubled(*model("Add", [X, X]), tmp_path)


@pytest.mark.parametrize(
    ("kind", "shapes", "options", "work"),
    [
        ("Conv", [(2, 4, 8, 8), (6, 4, 3, 3)], {"pads": [1] * 4}, 2 * 64 * 6 * 4 * 9),
        ("Conv", [(1, 4, 8, 8), (6, 2, 3, 3)], {"pads": [1] * 4, "group": 2, "strides": [2, 2]}, 16 * 6 * 2 * 9),
        ("ConvTranspose", [(1, 4, 8, 8), (4, 6, 2, 2)], {}, 64 * 4 * 6 * 4),
        ("MatMul", [(3, 5, 7), (7, 2)], {}, 3 * 5 * 7 * 2),
        ("Gemm", [(5, 7), (2, 7)], {"transB": 1}, 5 * 7 * 2),
        ("LSTM", [(5, 2, 4), (1, 12, 4), (1, 12, 3)], {"hidden_size": 3, "outputs": 2}, 10 * 12 * 7),
    ],
)
def test_work_is_counted_before_it_is_done(kind, shapes, options, work, tmp_path):
    made = model(kind, [np.ones(shape, np.float32) for shape in shapes], **options)
    doubled(*made, tmp_path, most=work)
    with pytest.raises(NotInDoubleError, match=r"more than .* multiply-adds"):
        doubled(*made, tmp_path, most=work - 1)


QUANTIZED = [
    helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
    helper.make_node("DequantizeLinear", ["q", "xs", "xz"], ["d"]),
    helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["v"], axis=1),
    helper.make_node("MatMul", ["d", "v"], ["m"]),
    helper.make_node("QuantizeLinear", ["m", "ms", "mz"], ["n"]),
    helper.make_node("DequantizeLinear", ["n", "ms", "mz"], ["y"]),
]
SCALES = {"xs": np.float32(0.1), "xz": np.uint8(7), "ms": np.float32(0.5), "mz": np.uint8(200)}
EIGHT = {"w": np.int8([[1, -3], [50, 127], [-127, 2]]), "ws": np.float32([0.01, 0.02]), "wz": np.int8([0, 0])}


def test_a_quantized_files_own_weights_without_what_is_rounded_in_between(tmp_path):
    """Saturated all the same: x goes below what uint8 holds here."""
    file = saved(QUANTIZED, tmp_path, weights=SCALES | EIGHT, opset=18)
    x = X.astype(np.float64)
    step = float(SCALES["xs"])
    assert x.min() < -7 * step
    right = np.clip(x, -7 * step, 248 * step) @ (EIGHT["w"] * EIGHT["ws"].astype(np.float64))
    found = DoubleFile(file, rounds=False)({"x": x}, ("y",))["y"]
    np.testing.assert_allclose(found, right, rtol=1e-12, atol=1e-12)
    assert np.abs(DoubleFile(file)({"x": x}, ("y",))["y"] - right).max() > 0.01


def test_what_rounds_and_cannot_otherwise_is_refused(tmp_path):
    nodes = [*QUANTIZED[:1], helper.make_node("QLinearMatMul", ["q", "xs", "xz", "w", "ws", "wz", "ms", "mz"], ["n"]), QUANTIZED[-1]]
    file = saved(nodes, tmp_path, weights=SCALES | EIGHT, opset=18)
    with pytest.raises(NotInDoubleError, match="there is no form of QLinearMatMul that does not round"):
        DoubleFile(file, rounds=False)


def test_a_value_inside_may_be_given_in_place_of_what_makes_it(tmp_path):
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Add", ["r", "x"], ["y"])]
    found = DoubleFile(saved(nodes, tmp_path))({"x": X, "r": np.full((2, 3), 2.0)}, ("y",))
    np.testing.assert_array_equal(found["y"], X.astype(np.float64) + 2)
