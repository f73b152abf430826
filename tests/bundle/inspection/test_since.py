"""What has become of a file since it was written: as it was, made anew by another program, or damaged."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from preproc import graph
from preproc.bundle.inspection import describe, lines
from preproc.steps import Resize
from preproc.verify.runtimes import onnxruntime
from tests.commands import run
from tests.onnx_files import STEPS, hand_made, put


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
    (tmp_path / "e.bin").unlink()
    told = " ".join(run("inspect", tmp_path / "e.onnx", check=1).stderr.split())
    assert "expected its weights in the files that it names, got no e.bin: copy it beside the file" in told
    (tmp_path / "e.bin").write_bytes(whole[:-1] + bytes([whole[-1] ^ 0x40]))
    assert describe(tmp_path / "e.onnx")["since"] == graph.WEIGHTS


def test_a_file_whose_contract_is_gone_is_not_said_to_be_somebody_elses(tmp_path):
    proto = onnx.load(put(hand_made(tmp_path), tmp_path / "out").folder / "model.onnx")
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "bare.onnx")
    assert "no contract of preproc inside: what follows is read from the file itself" in lines(describe(tmp_path / "bare.onnx"))
