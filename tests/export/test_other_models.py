"""What somebody made of a bundle's model.onnx since is judged in its place, by what the bundle promises."""

import json
import shutil

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from preproc import graph
from preproc.errors import PreprocError
from preproc.export import verify_bundle
from preproc.verify.runtimes import onnxruntime
from tests.commands import run
from tests.conftest import ROOT
from tests.onnx_files import hand_made, put


@pytest.fixture(scope="module")
def optimized(exported, tmp_path_factory):
    """As ONNX Runtime writes it once it has optimized it: other nodes, fused."""
    file = tmp_path_factory.mktemp("made") / "optimized.onnx"
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(file)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    ort.InferenceSession(exported.folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    assert file.read_bytes() != (exported.folder / "model.onnx").read_bytes()
    return file


@pytest.fixture
def damaged(exported, tmp_path):
    """One weight of the first convolution is another."""
    model = graph.load(exported.folder / "model.onnx")
    name = next(node for node in model.graph if node.op_type == "Conv").inputs[1].name
    value = model.graph.initializers[name]
    weight = value.const_value.numpy().copy()
    weight[3, 1, 1, 1] *= 1.5
    value.const_value = ir.tensor(weight, name=name)
    graph.save(model, tmp_path / "damaged.onnx")
    return tmp_path / "damaged.onnx"


@pytest.mark.parametrize("fresh", [False, True], ids=["golden samples", "a fresh reference"])
def test_one_that_still_computes_it_passes_and_another_fails(exported, optimized, damaged, fresh):
    recipe = {"recipe": ROOT / "models" / "digits.toml"} if fresh else {}
    right = verify_bundle(exported.folder, model=optimized, runtimes=["ort-cpu"], **recipe)
    assert right.ok
    assert right.name == "optimized.onnx, in place of digits/model.onnx"
    wrong = verify_bundle(exported.folder, model=damaged, runtimes=["ort-cpu"], **recipe)
    assert [result.verdict for result in wrong.results] == ["failed"]


def test_another_network_is_a_verdict_and_no_traceback(exported, tmp_path):
    shutil.copy(exported.folder / "manifest.json", tmp_path / "x.onnx")
    (result,) = verify_bundle(exported.folder, model=tmp_path / "x.onnx", runtimes=["ort-cpu"]).results
    assert result.verdict == "failed"


def edited(exported, path, change):
    proto = onnx.load(exported.folder / "model.onnx")
    change(proto)
    onnx.save(proto, path)
    return path


def batch_of(count):
    def change(proto):
        for value in (*proto.graph.input, *proto.graph.output):
            side = value.type.tensor_type.shape.dim[0]
            side.ClearField("dim_param")
            side.dim_value = count

    return change


def renamed_input(proto):
    proto.graph.input[0].name = "image"
    for node in proto.graph.node:
        node.input[:] = ["image" if name == "pixels" else name for name in node.input]


def renamed_output(proto):
    made = next(node for node in proto.graph.node if "logits" in node.output)
    made.output[0] = proto.graph.output[0].name = "scores"


def floats(proto):
    proto.graph.input[0].type.tensor_type.elem_type = 1


@pytest.mark.parametrize(
    ("change", "name", "message"),
    [
        (renamed_input, "no-picture-input", "expected the input pixels, as the bundle's own file has it, got image"),
        (floats, "pixel-dtype", "expected pixels of uint8, as the bundle promises, got float"),
        (batch_of(7), "shape-mismatch", r"as the bundle promises, \(N, 32, 32, 3\), got one that takes \(7, 32, 32, 3\)"),
    ],
)
def test_one_that_does_not_take_the_promised_pixels_is_refused(exported, tmp_path, change, name, message):
    with pytest.raises(PreprocError, match=message) as caught:
        verify_bundle(exported.folder, model=edited(exported, tmp_path / "x.onnx", change), runtimes=["ort-cpu"])
    assert caught.value.name == name


@pytest.fixture
def attached(tmp_path):
    """A bundle, and the .onnx file that it was made of."""
    return put(hand_made(tmp_path), tmp_path / "bundle"), tmp_path / "m.onnx"


FRESH = pytest.mark.parametrize("fresh", [False, True], ids=["golden samples", "a fresh reference"])


@FRESH
def test_one_that_takes_a_single_picture_is_judged_on_these(attached, tmp_path, fresh):
    bundle, original = attached
    made, notes = edited(bundle, tmp_path / "x.onnx", batch_of(1)), []
    recipe = {"recipe": original} if fresh else {}
    report = verify_bundle(bundle.folder, model=made, runtimes=["ort-cpu"], progress=notes.append, **recipe)
    assert report.ok
    assert f"{len(report.inputs)} {'inputs' if fresh else 'golden samples'}" in report.against
    assert not any("batch" in name for name in report.inputs)
    assert "note: x.onnx takes pixels (1, 24, 20, 3) only, of the (N, 24, 20, 3) that are promised" in notes


def test_other_outputs_are_a_verdict(exported, tmp_path):
    made = edited(exported, tmp_path / "x.onnx", renamed_output)
    (result,) = verify_bundle(exported.folder, model=made, runtimes=["ort-cpu"]).results
    assert (result.verdict, "expected the outputs logits, got scores" in result.reason) == ("failed", True)


def test_a_file_of_ort_itself_is_judged(exported, tmp_path):
    options = onnxruntime().SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "x.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime().InferenceSession(exported.folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    assert verify_bundle(exported.folder, model=tmp_path / "x.ort", runtimes=["ort-cpu"]).ok


@FRESH
def test_a_rougher_file_passes_with_a_tolerance_of_its_own(attached, tmp_path, fresh):
    """As one in half precision is."""

    def rounded(proto):
        for tensor in proto.graph.initializer:
            values = numpy_helper.to_array(tensor)
            if values.dtype == np.float32:
                tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16).astype(np.float32), tensor.name))

    bundle, original = attached
    options = {"runtimes": ["ort-cpu"], "model": edited(bundle, tmp_path / "x.onnx", rounded)} | ({"recipe": original} if fresh else {})
    assert not verify_bundle(bundle.folder, **options).ok
    report = verify_bundle(bundle.folder, tolerance=2e-3, **options)
    (result,) = report.results
    assert report.power.shift_measured == (report.power.smallest_shift is not None) == fresh
    assert (result.verdict in ("passed", "inconclusive"), result.tolerance) == (True, 2e-3)  # a shift by one level may be as small
    (result,) = verify_bundle(bundle.folder, tolerance=1e-5, **options).results
    assert result.verdict == "failed"
    with pytest.raises(PreprocError, match="expected tolerance beside model, which it is for, got it without"):
        verify_bundle(bundle.folder, tolerance=2e-3)


def test_on_the_command_line(exported, optimized, damaged, tmp_path):
    done = run("verify", exported.folder, "--model", optimized, "--runtime", "ort-cpu", "--json", cwd=tmp_path, check=0)
    assert json.loads(done.stdout)["ok"]
    assert "tolerance" in run("verify", exported.folder, "--model", damaged, cwd=tmp_path, check=1).stdout
    with pytest.raises(PreprocError, match=r"expected an \.onnx file to judge, got nothing there"):
        verify_bundle(exported.folder, model=tmp_path / "none.onnx")
    with pytest.raises(PreprocError, match=r"expected runtimes of \.onnx files, got torch-cpu"):
        verify_bundle(exported.folder, model=optimized, runtimes=["torch-cpu"])
