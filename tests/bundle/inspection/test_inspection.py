"""What inspect tells of a file: what it does to its pixels, and whether that is still what its contract says."""

import json
import re

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc import graph
from preproc.bundle.inspection import describe, lines
from preproc.errors import BundleError, PreprocError
from preproc.export import export_bundle
from preproc.sources import load_recipe, replace
from preproc.steps import Rescale, Standardize, split_affine_end
from tests.commands import run
from tests.conftest import ROOT
from tests.onnx_files import STEPS, hand_made, put

DIGITS = load_recipe(ROOT / "models" / "digits.toml")


def constant(name, values):
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(values, np.float32).reshape(1, -1, 1, 1)))


def normalizing(mean, std, *, first="image", last="first"):
    return [
        constant("m", mean),
        constant("s", std),
        helper.make_node("Sub", [first, "m"], ["d"]),
        helper.make_node("Div", ["d", "s"], [last]),
    ]


def picture(tmp_path, nodes, **options):
    description = describe(hand_made(tmp_path, nodes=nodes, **options))
    assert json.loads(json.dumps(description)) == description
    return description["picture"], "\n".join(lines(description))


CAST = helper.make_node("Cast", ["image"], ["c"], to=TensorProto.FLOAT)
NCHW = helper.make_node("Transpose", ["c"], ["t"], perm=[0, 3, 1, 2])
SWAP = [
    helper.make_node("Constant", [], ["i"], value=numpy_helper.from_array(np.int64([2, 1, 0]))),
    helper.make_node("Gather", ["t", "i"], ["g"], axis=1),
]


def test_raw_pixels_with_a_preset_of_another_unit_in_another_order(tmp_path):
    rng = np.random.default_rng(2)
    nodes = [CAST, NCHW, *SWAP, *normalizing([123.675, 116.28, 103.53], [58.395, 57.12, 57.375], first="g")]
    weights = [numpy_helper.from_array(rng.normal(size=(8, 3, 3, 3)).astype(np.float32), "w")]
    made = helper.make_graph(
        [*nodes, helper.make_node("Conv", ["first", "w"], ["y"])],
        "net",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 24, 20, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        weights,
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), tmp_path / "raw.onnx")
    told = describe(tmp_path / "raw.onnx")["picture"]
    assert (told["layout"], told["takes"], told["normalizes"]) == ("NHWC", "raw pixels, 0-255", True)
    assert told["operations"] == ["Cast c", "Transpose t", "Gather g", "Sub d", "Div first", "Conv y"]
    (first,) = told["maps"]
    assert (first["preset"], first["color"], first["unit"], first["channels"]) == ("imagenet", "BGR", "0-255", [2, 1, 0])
    assert first["mean"] == pytest.approx([123.675, 116.28, 103.53])
    assert first["std"] == pytest.approx([58.395, 57.12, 57.375])
    with pytest.raises(PreprocError, match=r"takes raw pixels already: image: UINT8 .*; `preproc inspect` tells more"):
        put(tmp_path / "raw.onnx", tmp_path / "out")


def test_constants_that_are_nearly_a_presets_are_not_called_by_its_name(tmp_path):
    told, text = picture(tmp_path, normalizing([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    assert (told["maps"][0]["preset"], told["maps"][0]["color"]) == ("imagenet", "RGB")
    assert "which is imagenet, of RGB values in 0-1" in text
    told, text = picture(tmp_path, normalizing([0.406, 0.456, 0.485], [0.225, 0.224, 0.229]))
    assert (told["maps"][0]["preset"], told["maps"][0]["color"]) == ("imagenet", "BGR")
    told, text = picture(tmp_path, normalizing([0.485, 0.456, 0.416], [0.229, 0.224, 0.225]))
    assert told["maps"][0]["preset"] is None
    assert "values in 0-1" in text


def test_a_re_mapping_and_a_batch_norm_are_notes(tmp_path):
    told, text = picture(tmp_path, normalizing([0.03, 0.09, 0.19], [2.18, 2.23, 2.22]))
    assert not told["normalizes"]
    assert "note     the network re-maps its input, (x - [0.03, 0.09, 0.19]) / [2.18, 2.23, 2.22]" in text
    statistics = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.float32([value] * 3)))
        for name, value in {"scale": 1.5, "bias": 0.1, "mean": 0.45, "var": 0.05}.items()
    ]
    told, text = picture(
        tmp_path, [*statistics, helper.make_node("BatchNormalization", ["image", "scale", "bias", "mean", "var"], ["first"])]
    )
    assert not told["normalizes"]
    assert "note     the network starts with a BatchNorm" in text
    bundle = put(tmp_path / "m.onnx", tmp_path / "out")
    assert bundle.contract["notes"] == ["the network starts with a BatchNorm"]
    assert bundle.report.ok


def test_several_inputs_need_a_name(tmp_path):
    file = hand_made(tmp_path, extra=[helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["N", 1, 24, 20])])
    assert "choose with --input NAME" in describe(file)["picture"]["reason"]
    assert describe(file, input_name="image")["picture"]["operations"] == ["Identity first", "Conv conv"]
    with pytest.raises(PreprocError, match="expected the name of an input, got 'picture'; the model has image"):
        describe(file, input_name="picture")


@pytest.mark.parametrize("fold", ["auto", "off"])
def test_a_fresh_file_agrees_with_its_contract(tmp_path, fold):
    bundle = put(hand_made(tmp_path), tmp_path / "out", fold=fold)
    description = describe(bundle.folder / "model.onnx")
    assert description["agreement"] == {"agrees": True, "wrong": [], "not_compared": []}
    assert "graph    agrees with the contract" in lines(description)
    effective = bundle.contract["fold"]["onnx"]["effective"]
    _, affine = split_affine_end(STEPS, channels=3)
    if fold == "off":  # the swap of colours and the scale in one
        assert np.allclose(effective["matrix"], affine.matrix[:, ::-1])
        assert np.allclose(effective["offset"], affine.offset)
    else:
        assert np.array_equal(effective["matrix"], np.eye(3))
        assert np.allclose(effective["offset"], [-103.53, -116.28, -123.675])


def test_a_torch_network_agrees_and_what_is_no_map_on_channels_is_not_compared(tmp_path):
    bundle = export_bundle(DIGITS, tmp_path / "digits", formats=["onnx"])
    assert describe(bundle.folder / "model.onnx")["agreement"]["agrees"]
    recipe = replace(DIGITS, steps=(DIGITS.steps[0], Rescale(), Standardize()), backbone={"override": "to see"})
    bundle = export_bundle(recipe, tmp_path / "each", formats=["onnx"])
    agreement = describe(bundle.folder / "model.onnx")["agreement"]
    assert agreement["agrees"]
    assert "is no map on channels: " in agreement["not_compared"][0]


def value(model, name):
    return next(value for node in model.graph for value in node.outputs if value.name == name)


def other_mean(model):
    (shift,) = (node for node in model.graph if node.op_type in ("Add", "Sub") and node.name.startswith("preproc"))
    held = shift.inputs[1]
    held.const_value = ir.tensor(held.const_value.numpy() + np.float32(1.0), name=held.name)


def second_normalization(model):
    conv = next(node for node in model.graph if node.op_type == "Conv")
    scale = ir.Value(name="scale", const_value=ir.tensor(np.float32(1 / 255), name="scale"))
    model.graph.register_initializer(scale)
    again = ir.node("Mul", [conv.inputs[0], scale], name="again")
    model.graph.insert_before(conv, again)
    conv.replace_input_with(0, again.outputs[0])


def swapped(model):
    conv = next(node for node in model.graph if node.op_type == "Conv")
    order = ir.Value(name="order", const_value=ir.tensor(np.int64([2, 1, 0]), name="order"))
    model.graph.register_initializer(order)
    gather = ir.node("Gather", [conv.inputs[0], order], {"axis": 1}, name="again")
    model.graph.insert_before(conv, gather)
    conv.replace_input_with(0, gather.outputs[0])


def retrained(model):
    """Somebody puts the weights of another checkpoint into the file: the normalization that was folded into the old ones is gone."""
    held = model.graph.initializers["w"]
    held.const_value = ir.tensor(held.const_value.numpy() * np.float32(50), name="w")


def without_bias(model):
    held = model.graph.initializers["b"]
    held.const_value = ir.tensor(held.const_value.numpy() * np.float32(0), name="b")


def unpadded(model):
    conv = next(node for node in model.graph if node.op_type == "Conv")
    conv.attributes["pads"] = ir.AttrInt64s("pads", [0, 0, 0, 0])


def turned(model):
    transpose = next(node for node in model.graph if node.op_type == "Transpose")
    transpose.attributes["perm"] = ir.AttrInt64s("perm", [0, 3, 2, 1])


def other_steps(model):
    contract = json.loads(model.metadata_props["preproc.contract"])
    contract["steps"][2]["mean"] = [0.1, 0.1, 0.1]
    model.metadata_props["preproc.contract"] = json.dumps(contract)


def relu_first(model):
    conv = next(node for node in model.graph if node.op_type == "Conv")
    relu = ir.node("Relu", [conv.inputs[0]], name="again")
    model.graph.insert_before(conv, relu)
    conv.replace_input_with(0, relu.outputs[0])


def renamed_output(model):
    model.graph.outputs[0].name = "y"


def renamed_input(model):
    model.graph.inputs[0].name = "x"


def float_input(model):
    model.graph.inputs[0].dtype = ir.DataType.FLOAT


def other_size(model):
    model.graph.inputs[0].shape = ir.Shape(["N", 24, 24, 3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_mean, r"expected in front of the first convolution \(x - \[103\.5, 116\.3, 123\.7\]\) / 1 .*, got \(x - \[10[24]\.5"),
        (second_normalization, r"expected in front of the first convolution .*, got .* / 255"),
        (swapped, r"got \(x - \[123\.7, 116\.3, 103\.5\]\) / 1 of channels \[2, 1, 0\]"),
        (relu_first, "got something else: Relu reads the input"),
        (retrained, "got others in place of w: is it still in them"),
        (without_bias, "got others in place of w: is it still in them"),
        (unpadded, "got others in place of w: is it still in them"),
        (turned, "expected in front of the first convolution the axes NCHW, got NCWH: is the picture turned"),
        (other_steps, "expected the steps and pixels that the file was made with, got others in the contract"),
        (renamed_output, "expected the outputs scores/out:0, got y"),
        (renamed_input, "expected the input pixels, got: expected the name of an input, got 'pixels'; the model has x"),
        (float_input, r"expected the input pixels: uint8 .*, got float"),
        (other_size, r"expected the input pixels: uint8 \['N', 24, 20, 3\], got uint8 \['N', 24, 24, 3\]"),
    ],
)
def test_a_changed_graph_does_not_agree(tmp_path, change, message):
    file = put(hand_made(tmp_path), tmp_path / "out").folder / "model.onnx"
    model = ir.load(file)
    change(model)
    ir.save(model, tmp_path / "changed.onnx")
    agreement = describe(tmp_path / "changed.onnx")["agreement"]
    assert not agreement["agrees"]
    assert any(re.search(message, text) for text in agreement["wrong"]), agreement["wrong"]
    done = run("inspect", tmp_path / "changed.onnx", check=1)
    assert "DIFFERS  the graph is not what the contract says" in done.stdout


@pytest.mark.parametrize(
    "text", ["{}", "nonsense", "[]", '{"format": "preproc-contract", "version": 1}', '{"format": "preproc-contract", "version": 2}']
)
def test_a_contract_that_is_none_is_one_line(tmp_path, text):
    file = hand_made(tmp_path, metadata={"preproc.contract": text})
    with pytest.raises(BundleError, match=r"m\.onnx: expected a (whole )?contract of preproc|of version 1"):
        describe(file)


@pytest.mark.parametrize("key", ["input", "other_inputs", "steps", "outputs", "labels", "fold", "notes", "backbone"])
def test_a_contract_without_a_part_or_with_another_is_one_line(tmp_path, key):
    file = put(hand_made(tmp_path), tmp_path / "out").folder / "model.onnx"
    for wrong in (
        None,
        3,
        "x",
        [1],
        {"x": 1},
        [{"name": 3}],
        {"onnx": {"folded": False, "form": None, "convolutions": [], "requested": "auto"}},
    ):
        model = graph.load(file)
        contract = json.loads(model.metadata_props["preproc.contract"]) | {key: wrong}
        model.metadata_props["preproc.contract"] = json.dumps(contract)
        graph.save(model, tmp_path / "wrong.onnx")
        with pytest.raises(BundleError, match=r"expected a .*contract of preproc"):
            describe(tmp_path / "wrong.onnx")


def number(name, value):
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.float32(value)))


@pytest.mark.parametrize(
    ("nodes", "unit"),
    [
        ([number("k", 127.5), helper.make_node("Div", ["image", "k"], ["first"])], "0-255"),
        ([number("k", 255), helper.make_node("Sub", ["k", "image"], ["q"]), helper.make_node("Div", ["q", "k"], ["first"])], "0-255"),
        ([number("k", 255), helper.make_node("Mul", ["image", "k"], ["first"])], "0-1"),
    ],
)
def test_scalings_of_raw_pixels_are_seen(tmp_path, nodes, unit):
    told, _ = picture(tmp_path, nodes)
    assert told["maps"][0]["unit"] == unit
    with pytest.raises(PreprocError, match="normalizes its input itself"):
        put(tmp_path / "m.onnx", tmp_path / "out")


def test_a_cast_behind_a_rounding_is_seen(tmp_path):
    nodes = [
        number("k", 255),
        helper.make_node("Mul", ["image", "k"], ["a"]),
        helper.make_node("Round", ["a"], ["r2"]),
        helper.make_node("Cast", ["r2"], ["u"], to=TensorProto.UINT8),
        helper.make_node("Cast", ["u"], ["first"], to=1),
    ]
    told, _ = picture(tmp_path, nodes)
    assert told["normalizes"]
    assert told["casts_to"] == "raw pixels, 0-255"


def test_channels_sliced_as_up_to_opset_9(tmp_path):
    nodes = []
    for i, (mean, std) in enumerate(zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)):
        nodes += [
            number(f"m{i}", mean),
            number(f"d{i}", std),
            helper.make_node("Slice", ["image"], [f"c{i}"], starts=[i], ends=[i + 1], axes=[1]),
        ]
        nodes += [helper.make_node("Sub", [f"c{i}", f"m{i}"], [f"s{i}"]), helper.make_node("Div", [f"s{i}", f"d{i}"], [f"n{i}"])]
    nodes.append(helper.make_node("Concat", ["n0", "n1", "n2"], ["first"], axis=1))
    told, _ = picture(tmp_path, nodes, opset=9, ir_version=4)
    assert (told["maps"][0]["preset"], told["foldable"]) == ("imagenet", True)


def test_odd_graphs_are_one_line(tmp_path):
    model = onnx.load(hand_made(tmp_path))
    model.opset_import.append(helper.make_opsetid("my", 1))
    model.graph.node.append(helper.make_node("Log", ["image"], [], domain="my"))
    onnx.save(model, tmp_path / "log.onnx")
    assert "Log  reads the input" in describe(tmp_path / "log.onnx")["picture"]["why_not"]
    none = helper.make_graph(
        [],
        "none",
        [helper.make_tensor_value_info("image", 1, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("o", 1, [2])],
        [numpy_helper.from_array(np.ones(2, np.float32), "o")],
    )
    onnx.save(helper.make_model(none, ir_version=10, opset_imports=[helper.make_opsetid("", 18)]), tmp_path / "none.onnx")
    with pytest.raises(PreprocError, match="computes something, got one without nodes"):
        put(tmp_path / "none.onnx", tmp_path / "out.onnx", size=(8, 8), verify=False)
    with pytest.raises(BundleError, match="got text that is not JSON"):
        describe(hand_made(tmp_path, metadata={"preproc.contract": "[" * 100_000}))
