"""What ran where: a runtime that fell back, or ran elsewhere, never passes."""

import sys
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch

from preproc.bundle import open_bundle
from preproc.errors import BundleError, RuntimeAbsentError, VerificationError
from preproc.export import verify_bundle
from preproc.verify import judge
from preproc.verify.runtimes import RUNTIMES, OrtCpu, load_torchscript, onnxruntime
from preproc.verify.runtimes.openvino import OpenVinoCpu
from preproc.verify.runtimes.ort import _IDENTITY, OrtCuda
from preproc.verify.runtimes.pytorch import TorchCpu, TorchCuda, TorchScriptCpu, _tf32


def test_names():
    assert list(RUNTIMES) == [
        "torch-cpu",
        "torch-cuda",
        "torchscript-cpu",
        "torchscript-cuda",
        "pt2-cpu",
        "pt2-cuda",
        "aoti-cpu",
        "aoti-cuda",
        "ort-cpu",
        "ort-cuda",
        "openvino-cpu",
        "executorch-cpu",
    ]


@pytest.mark.parametrize("kind", [OrtCpu, TorchScriptCpu], ids=lambda kind: kind.name)
def test_runs_and_says_where(exported, kind):
    runtime = kind() if kind is OrtCpu else kind(outputs=["logits"])
    runtime.open(exported.folder / runtime.file)
    outputs = runtime.run(np.zeros((2, 32, 32, 3), np.uint8))
    assert outputs["logits"].shape == (2, 10)
    assert "CPU" in runtime.proof()


def test_openvino_reads_the_file_in_float32(exported):
    report = verify_bundle(exported.folder, runtimes=["openvino-cpu"])
    (result,) = report.results
    assert (result.verdict, result.pictures) == ("passed", len(report.inputs))
    assert 0 < result.error < report.power.tolerance
    assert result.ran.endswith("CPU, f32")
    assert "openvino-cpu" not in [result.runtime for result in verify_bundle(exported.folder).results]


def test_openvino_notices_a_wrong_file_and_another_precision(exported, tmp_path):
    model = onnx.load(exported.folder / "model.onnx")
    (weight,) = [tensor for tensor in model.graph.initializer if "conv1.weight" in tensor.name or tensor.dims[1:] == [3, 3, 3]][:1]
    values = onnx.numpy_helper.to_array(weight).copy()
    values[0, 0, 0, 0] += 0.5
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(model, tmp_path / "model.onnx")
    bundle = open_bundle(exported.folder)
    wrong = judge(OpenVinoCpu(), tmp_path / "model.onnx", bundle.golden(), bundle.report.power)
    assert (wrong.verdict, "error" in wrong.reason) == ("failed", True)
    (tmp_path / "garbage.onnx").write_bytes(b"no model")
    garbage = judge(OpenVinoCpu(), tmp_path / "garbage.onnx", bundle.golden(), bundle.report.power)
    assert garbage.verdict == "failed"
    assert "expected a file that OpenVINO can run" in garbage.reason
    runtime = OpenVinoCpu()
    runtime.open(exported.folder / "model.onnx")
    runtime.model = SimpleNamespace(
        get_property={"EXECUTION_DEVICES": ["CPU"], "INFERENCE_PRECISION_HINT": SimpleNamespace(get_type_name=lambda: "bf16")}.__getitem__
    )
    with pytest.raises(VerificationError, match="CPU in bf16"):
        runtime.proof()


def test_openvino_that_is_not_installed_is_absent(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(RuntimeAbsentError, match=r"pip install openvino"):
        OpenVinoCpu().open(exported.folder / "model.onnx")


def part(provider, *nodes):
    return SimpleNamespace(ep_name=provider, get_nodes=lambda: [SimpleNamespace(name=name, op_type="Op") for name in nodes])


CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


@pytest.fixture
def cuda(exported, monkeypatch):
    """An OrtCuda whose session says what a test lets it say: the digits file with made-up placements."""

    def make(*parts):
        runtime = OrtCuda()
        runtime.path = exported.folder / "model.onnx"
        runtime.session = SimpleNamespace(get_provider_graph_assignment_info=lambda: list(parts), get_providers=lambda: [CUDA, CPU])
        types = {"conv": "floating", "relu": "floating", "shape": "integer"}
        monkeypatch.setattr("preproc.verify.runtimes.ort._output_types", lambda _: types)
        return runtime

    return make


def test_every_floating_node_on_cuda_is_a_proof(cuda):
    assert "2 nodes on CUDA, 1 integer nodes on the CPU, TF32 off" in cuda(part(CUDA, "conv", "relu"), part(CPU, "shape")).proof()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([part(CUDA, "conv"), part(CPU, "relu")], "'relu' on CPUExecutionProvider"),
        ([part(CPU, "conv", "relu", "shape")], "expected every floating node on CUDA"),
        ([part(CUDA, "conv"), part(CPU, "unknown fused node")], "unknown fused node"),
        ([], "no assignment at all"),
    ],
)
def test_a_cuda_session_that_is_really_the_cpu_fails(cuda, parts, message):
    """onnxruntime #23372: providers=["CUDAExecutionProvider"] and a log line, and the CPU computes."""
    with pytest.raises(VerificationError, match=message):
        cuda(*parts).proof()


@pytest.mark.parametrize("kind", [OrtCpu, OpenVinoCpu])
def test_a_file_that_was_let_go_may_be_opened_again(kind, exported):
    if kind is OpenVinoCpu:
        pytest.importorskip("openvino")
    runtime, pixels = kind(), exported.golden()[0].pixels
    answers = []
    for _ in range(2):
        runtime.open(exported.folder / "model.onnx")
        answers.append(runtime.run(pixels)["logits"])
        runtime.close()
        assert not {"session", "model"} & vars(runtime).keys()
    runtime.close()
    np.testing.assert_array_equal(*answers)


def test_without_a_cuda_device_no_file_is_opened_for_it(exported, monkeypatch):
    """One node is: a fallback to the CPU would hold the weights, and the libraries for a device 200 MB."""
    opened, real = [], onnxruntime().InferenceSession

    def session(model, *rest, **options):
        opened.append(len(model))
        return real(model, *rest, **options)

    def never():
        raise AssertionError("the libraries were loaded")

    monkeypatch.setattr(OrtCuda, "_provider", lambda _: CPU)
    monkeypatch.setattr("preproc.verify.runtimes.ort._has_driver", lambda: False)
    monkeypatch.setattr(onnxruntime(), "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime(), "preload_dlls", never, raising=False)
    monkeypatch.setattr(onnxruntime(), "InferenceSession", session)
    with pytest.raises(RuntimeAbsentError, match="fell back to the CPU"):
        OrtCuda().open(exported.folder / "model.onnx")
    assert opened == [len(_IDENTITY)]


def test_a_session_without_the_cuda_provider_is_absent(exported, monkeypatch):
    monkeypatch.setattr(OrtCuda, "_provider", lambda _: CPU)
    runtime = OrtCuda()
    result = judge(runtime, exported.folder / "model.onnx", exported.golden(), exported.report.power)
    assert result.verdict == "absent"
    assert "fell back to the CPU" in str(result.reason) or "without the CUDA provider" in str(result.reason)


def test_a_torch_module_that_ran_elsewhere_fails(exported):
    runtime = TorchCuda(torch.nn.Identity(), ["logits"])
    runtime.ran_on = {"cpu"}
    with pytest.raises(VerificationError, match="every parameter and output on cuda, got some on cpu"):
        runtime.proof()
    assert exported.report.results[1].runtime == "torch-cuda"


def test_modules_in_python_are_absent_without_a_backbone(tmp_path):
    with pytest.raises(RuntimeAbsentError, match="weights are gone"):
        TorchCpu(None, ["y"], why_not="weights are gone").open(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a zip"])
def test_broken_files_are_named(tmp_path, content):
    for name in ("m.onnx", "m.pt"):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BundleError, match=r"m\.onnx: expected a file that ONNX Runtime can run"):
        OrtCpu().open(tmp_path / "m.onnx")
    with pytest.raises(BundleError, match=r"m\.pt: expected a TorchScript file"):
        load_torchscript(tmp_path / "m.pt")


def test_tf32_is_off_inside_and_as_before_outside():
    conv, before = torch.backends.cudnn.conv, torch.backends.cudnn.conv.fp32_precision
    with _tf32(False):
        assert conv.fp32_precision == "ieee"
    with _tf32(True):
        assert conv.fp32_precision == "tf32"
    assert conv.fp32_precision == before
