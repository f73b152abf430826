"""Whether a file still does what its contract says."""

import json
import re

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper

from preproc import graph
from preproc.bundle.inspection import describe, lines
from preproc.errors import BundleError
from preproc.export import export_bundle
from preproc.sources import load_recipe, replace
from preproc.steps import Rescale, Standardize, split_affine_end
from tests.commands import run
from tests.conftest import ROOT
from tests.onnx_files import STEPS, hand_made, put

DIGITS = load_recipe(ROOT / "models" / "digits.toml")


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


def test_a_torch_network_agrees_and_what_is_no_map_on_channels_is_not_compared(exported, tmp_path):
    assert describe(exported.folder / "model.onnx")["agreement"]["agrees"]
    recipe = replace(DIGITS, steps=(DIGITS.steps[0], Rescale(), Standardize()), backbone={"override": "to see"})
    bundle = export_bundle(recipe, tmp_path / "each", formats=["onnx"])
    agreement = describe(bundle.folder / "model.onnx")["agreement"]
    assert agreement["agrees"]
    assert "is no map on channels: " in agreement["not_compared"][0]


def scales():
    """Two scales of the picture, of which one counts zeros at its border and the other is stretched, in front of hand_made()'s stem."""
    return [
        helper.make_node("AveragePool", ["image"], ["half"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1),
        helper.make_node("Constant", [], ["twice"], value_floats=[1.0, 1.0, 2.0, 2.0]),
        helper.make_node("Resize", ["half", "", "twice"], ["first"], mode="linear"),
    ]


def test_a_file_that_mixes_pixels_first_agrees_and_another_mean_in_it_is_seen(tmp_path):
    bundle = put(hand_made(tmp_path, nodes=scales()), tmp_path / "out", fold="require")
    assert bundle.report.ok
    file = bundle.folder / "model.onnx"
    assert describe(file)["agreement"] == {"agrees": True, "wrong": [], "not_compared": []}
    model = graph.load(file)
    other_mean(model)
    graph.save(model, tmp_path / "other.onnx")
    assert "expected in front of the first convolution" in describe(tmp_path / "other.onnx")["agreement"]["wrong"][0]


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


def test_pixels_that_stand_side_by_side_are_told_apart(tmp_path):
    """A space-to-depth of which a convolution reads one pixel of each block: another one is another graph."""
    nodes = [
        helper.make_node("SpaceToDepth", ["image"], ["deep"], blocksize=2),
        *[helper.make_node("Constant", [], [name], value_ints=[value]) for name, value in (("from", 3), ("to", 6), ("axis", 1))],
        helper.make_node("Slice", ["deep", "from", "to", "axis"], ["first"], name="slice"),
    ]
    bundle = put(hand_made(tmp_path, nodes=nodes), tmp_path / "out", size=(24, 20), fold="require")
    assert describe(bundle.folder / "model.onnx")["agreement"] == {"agrees": True, "wrong": [], "not_compared": []}
    model = onnx.load(bundle.folder / "model.onnx")
    for node in model.graph.node:
        if node.op_type == "Constant" and node.output[0] in ("from", "to"):
            node.attribute[0].ints[0] += 3
    onnx.save(model, tmp_path / "changed.onnx")
    wrong, _ = describe(tmp_path / "changed.onnx")["agreement"]["wrong"]  # and the file is not as it was written
    assert re.search(r"the axes N \(HWC\) H W, \w{12}, got N \(HWC\) H W, \w{12}: is the picture turned", wrong)


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
