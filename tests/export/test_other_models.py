"""What somebody made of a bundle's model.onnx since is judged in its place, by what the bundle promises."""

import json
import shutil

import onnx_ir as ir
import pytest

from preproc import graph
from preproc.errors import PreprocError
from preproc.export import verify_bundle
from preproc.verify.runtimes import onnxruntime
from tests.commands import run
from tests.conftest import ROOT


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


def test_on_the_command_line(exported, optimized, damaged, tmp_path):
    done = run("verify", exported.folder, "--model", optimized, "--runtime", "ort-cpu", "--json", cwd=tmp_path, check=0)
    assert json.loads(done.stdout)["ok"]
    assert "tolerance" in run("verify", exported.folder, "--model", damaged, cwd=tmp_path, check=1).stdout
    with pytest.raises(PreprocError, match=r"expected an \.onnx file to judge, got nothing there"):
        verify_bundle(exported.folder, model=tmp_path / "none.onnx")
    with pytest.raises(PreprocError, match=r"expected runtimes of \.onnx files, got torch-cpu"):
        verify_bundle(exported.folder, model=optimized, runtimes=["torch-cpu"])
