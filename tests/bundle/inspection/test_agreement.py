"""Whether a file still does what its contract says."""

import json
import re

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from preproc import graph
from preproc.bundle.inspection import describe, lines
from preproc.errors import BundleError
from preproc.export import export_bundle
from preproc.sources import load_recipe, replace
from preproc.steps import Rescale, Resize, Standardize, split_affine_end
from preproc.verify.runtimes import onnxruntime
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


def test_a_torch_network_agrees_and_what_is_no_map_on_channels_is_not_compared(tmp_path):
    bundle = export_bundle(DIGITS, tmp_path / "digits", formats=["onnx"])
    assert describe(bundle.folder / "model.onnx")["agreement"]["agrees"]
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


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """A file that resizes, and whose first convolution took the rest up."""
    folder = tmp_path_factory.mktemp("moving")
    nodes = [helper.make_node("Conv", ["image", "w1"], ["c1"]), helper.make_node("Relu", ["c1"], ["first"])]
    proto = onnx.load(hand_made(folder, nodes=nodes))
    proto.graph.initializer.append(numpy_helper.from_array(np.random.default_rng(5).normal(size=(3, 3, 1, 1)).astype(np.float32), "w1"))
    onnx.save(proto, folder / "m.onnx")
    return put(folder / "m.onnx", folder / "out", steps=[Resize(size=(24, 20)), *STEPS]).folder / "model.onnx"


@pytest.mark.parametrize("level", ["BASIC", "EXTENDED", "ALL"])
def test_what_an_optimizer_made_is_told_as_such_and_nothing_is_said_against_it(moving, tmp_path, level):
    options = onnxruntime().SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime().GraphOptimizationLevel, f"ORT_ENABLE_{level}")
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "o.onnx"), 3
    onnxruntime().InferenceSession(moving, options, providers=["CPUExecutionProvider"])
    description = describe(tmp_path / "o.onnx")
    assert (description["since"], description["agreement"]["wrong"]) == (graph.REWRITTEN, [])
    assert description["agreement"]["not_compared"]
    told = run("inspect", tmp_path / "o.onnx", check=0).stdout
    assert "file     made since, by another program, of one that preproc wrote (its producer: somebody); not verified: `preproc ver" in told
    assert "file     as preproc wrote it" in run("inspect", moving, check=0).stdout


def fused(model):
    conv = next(node for node in model.graph if node.op_type == "Conv")
    conv.op_type, conv.domain = "FusedConv", "com.microsoft"
    model.opset_imports["com.microsoft"] = 1


def quantized(model):
    conv = next(node for node in model.graph if node.op_type == "Conv")
    rounded = ir.node("DynamicQuantizeLinear", [conv.inputs[0]], num_outputs=3, name="rounded")
    back = ir.node("DequantizeLinear", list(rounded.outputs), name="back")
    model.graph.insert_before(conv, [rounded, back])
    conv.replace_input_with(0, back.outputs[0])


@pytest.mark.parametrize(("change", "named"), [(fused, "com.microsoft::FusedConv"), (quantized, "DynamicQuantizeLinear")])
@pytest.mark.parametrize("told", [True, False])
def test_what_is_not_looked_into_is_not_compared(tmp_path, change, named, told):
    """Whether the file tells that it was written anew, or is of before files did."""
    file = put(hand_made(tmp_path), tmp_path / "out").folder / "model.onnx"
    model = ir.load(file)
    change(model)
    if not told:
        del model.metadata_props[graph.WRITTEN]
    ir.save(model, tmp_path / "changed.onnx")
    description = describe(tmp_path / "changed.onnx")
    expected = [f"what is done to the pixels: {named} reads them, into which this does not look"]
    assert description["agreement"] == {"agrees": True, "wrong": [], "not_compared": expected}
    assert ("whether it is as preproc wrote it is not told" in "\n".join(lines(description))) == (not told)


def test_damaged_weights_are_told_wherever_they_are(tmp_path):
    """Of the last layer, too, which no fold has touched; and in a file of their own."""
    file = put(hand_made(tmp_path), tmp_path / "out").folder / "model.onnx"
    last = graph.load(file).graph.initializers["h"].const_value.tobytes()
    content = file.read_bytes()
    place = content.index(last) + 77
    (tmp_path / "d.onnx").write_bytes(content[:place] + bytes([content[place] ^ 0x40]) + content[place + 1 :])
    told = run("inspect", tmp_path / "d.onnx", check=1).stdout
    assert "file     not as preproc wrote it: other weights in the same graph" in told
    assert "expected the weights that preproc wrote, got others in its graph: the file is damaged, or somebody has put them in" in told
    onnx.save(onnx.load(file), tmp_path / "e.onnx", save_as_external_data=True, location="e.bin", size_threshold=100)
    assert describe(tmp_path / "e.onnx")["since"] == graph.NOTHING
    whole = (tmp_path / "e.bin").read_bytes()
    (tmp_path / "e.bin").write_bytes(whole[:-1])
    assert "expected its weights in the files that it names" in run("inspect", tmp_path / "e.onnx", check=1).stderr
    (tmp_path / "e.bin").write_bytes(whole[:-1] + bytes([whole[-1] ^ 0x40]))
    assert describe(tmp_path / "e.onnx")["since"] == graph.WEIGHTS


def test_a_file_whose_contract_is_gone_is_not_said_to_be_somebody_elses(tmp_path):
    proto = onnx.load(put(hand_made(tmp_path), tmp_path / "out").folder / "model.onnx")
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "bare.onnx")
    assert "no contract of preproc inside: what follows is read from the file itself" in lines(describe(tmp_path / "bare.onnx"))


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
