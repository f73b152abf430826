"""First layers of every kind, brought to 8 bits: which take the pixels, and where they are dequantized."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from preproc.bundle.inspection import describe
from preproc.export import quantize_bundle
from tests.calibrations import nodes, pictures, recipe


@pytest.fixture
def folder(tmp_path):
    return pictures(tmp_path / "p", 12, size=(24, 20))


def of_first(tmp_path, shapes, nodes, seed=7):
    """m.onnx: first layers that make "c", (N, K, height, width), and a small head."""
    rng = np.random.default_rng(seed)
    weights = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    weights["h"] = rng.normal(size=(shapes["b"][0], 4))
    tail = [("Relu", ["c"], "r"), ("GlobalAveragePool", ["r"], "g"), ("Flatten", ["g"], "f"), ("MatMul", ["f", "h"], "scores")]
    taken, made = (helper.make_tensor_value_info(*told) for told in (("image", 1, ["N", 3, 24, 20]), ("scores", 1, ["N", 4])))
    held = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()]
    network = helper.make_graph([*nodes, *(helper.make_node(kind, read, [one]) for kind, read, one in tail)], "g", [taken], [made], held)
    onnx.save(helper.make_model(network, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "m.onnx")
    return weights


@pytest.mark.parametrize(("pads", "folded"), [(0, True), (1, False)])
def test_a_first_convolution_in_groups_reads_pixels_that_are_dequantized_where_openvino_lives(tmp_path, folder, pads, folded):
    """In front of the Transpose: behind it, its compiler ends the process. Padded, each group would need an appended channel of its own."""
    of_first(tmp_path, {"w": (12, 1, 3, 3), "b": (12,)}, [helper.make_node("Conv", ["image", "w", "b"], ["c"], group=3, pads=[pads] * 4)])
    bundle = quantize_bundle(recipe(tmp_path), tmp_path / "out", images=folder)
    fold = bundle.contract["fold"]["onnx"]
    assert (fold["folded"], fold["form"]) == (folded, "subtract" if folded else None)
    assert bundle.report.ok
    assert describe(bundle.folder)["agreement"]["agrees"]
    front = [node.op_type for node in onnx.load(bundle.folder / "model.onnx").graph.node if "pixels" in node.input]
    assert front == ["DequantizeLinear" if folded else "Cast"]
    if not folded:
        assert any("a convolution in 3 groups cannot read 4 channels" in note for note in bundle.contract["notes"])


PATCHES = [
    ("Reshape", ["image", "apart"], "p", {}),
    ("Transpose", ["p"], "t", {"perm": [0, 2, 4, 1, 3, 5]}),
    ("Reshape", ["t", "flat"], "rows", {}),
    ("MatMul", ["rows", "w"], "m", {}),
    ("Add", ["b", "m"], "a", {}),
    ("Transpose", ["a"], "u", {"perm": [0, 2, 1]}),
    ("Unsqueeze", ["u", "last"], "c", {}),
]
WHOLE = [("Flatten", ["image"], "rows", {}), ("Gemm", ["rows", "w", "b"], "y", {"transB": 1}), ("Unsqueeze", ["y", "behind"], "c", {})]
LETTERS = [
    ("Einsum", ["image", "w"], "e", {"equation": "nchw,co->nohw"}),
    ("Unsqueeze", ["b", "plane"], "bias", {}),
    ("Add", ["e", "bias"], "c", {}),
]
SIDES = {"apart": [0, 3, 6, 4, 5, 4], "flat": [0, 30, 48], "last": [3], "behind": [2, 3], "plane": [1, 2]}


@pytest.mark.parametrize(
    ("shape", "product", "folded"),
    [((48, 8), PATCHES, True), ((16, 1440), WHOLE, True), ((3, 8), LETTERS, False)],
    ids=["patches", "gemm", "einsum"],
)
def test_a_first_product_takes_up_the_steps_where_it_is_quantized(tmp_path, folder, shape, product, folded):
    """Its weights have a scale for each number that it makes, and what is added behind it stays in floats."""
    read = {name for _, inputs, _, _ in product for name in inputs}
    held = [helper.make_node("Constant", [], [k], value=numpy_helper.from_array(np.array(v))) for k, v in SIDES.items() if k in read]
    made = [helper.make_node(kind, inputs, [one], **more) for kind, inputs, one, more in product]
    of_first(tmp_path, {"w": shape, "b": (16 if product is WHOLE else 8,)}, [*held, *made])
    bundle = quantize_bundle(recipe(tmp_path), tmp_path / "out", images=folder)
    assert bundle.report.results[0].verdict == "passed"
    assert bundle.contract["fold"]["onnx"]["folded"] == folded
    assert describe(bundle.folder)["agreement"]["agrees"]
    graph, arrays = nodes(bundle.folder / "model.onnx")
    if not folded:
        assert any("Einsum reads the pixels, which ONNX Runtime's quantizer leaves in floats" in n for n in bundle.contract["notes"])
        return
    by = {value: node for node in graph.node for value in node.output}
    product_of = next(node for node in graph.node if node.op_type in ("MatMul", "Gemm"))
    weight = by[product_of.input[1]]
    assert arrays[weight.input[1]].shape == (16 if product is WHOLE else 8,)
    if product is PATCHES:
        assert arrays[next(node for node in graph.node if node.op_type == "Add").input[0]].dtype == np.float32
