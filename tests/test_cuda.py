"""On a CUDA device: layers, fold, and the digits bundle in torch, TorchScript and ONNX Runtime, nothing silently on the CPU."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from onnx import TensorProto

from preproc.errors import RuntimeAbsentError
from preproc.export import export_bundle, quantize_bundle, verify_bundle
from preproc.export.formats import export_torchscript
from preproc.folding.modules import fold
from preproc.layers import FromPixels, Normalize, Pipeline, Rescale, from_step, prepend
from preproc.oracle import reference
from preproc.sources import load_recipe, replace
from preproc.verify.runtimes import load_torchscript, package_metadata
from preproc.verify.runtimes.aoti import check_capability
from preproc.verify.runtimes.pytorch import _tf32
from tests.conftest import ROOT
from tests.export.exported import published, ran
from tests.geometry import LAYERS as GEOMETRY
from tests.layers.kinds import LAYERS, picture
from tests.onnx_files import hand_made, put

pytestmark = pytest.mark.cuda
CUDA = ["torch-cuda", "torchscript-cuda", "pt2-cuda", "ort-cuda"]


@pytest.mark.parametrize("name", LAYERS)
def test_layers_on_the_device(name):
    layer = LAYERS[name](3, device="cuda")
    x = picture(3, (9, 7)).astype(np.float32)
    got = layer(torch.from_numpy(x).cuda())
    assert got.device.type == "cuda"
    want = reference.apply([layer.step], x.astype(np.float64))
    np.testing.assert_allclose(got.cpu().numpy(), want, rtol=0, atol=2e-6 * np.abs(want).max())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", LAYERS)
def test_autocast_changes_nothing(name, dtype):
    layer, x = LAYERS[name](3, device="cuda"), torch.from_numpy(picture(3, (9, 7))).float().cuda() * 255
    with torch.autocast("cuda", dtype=dtype):
        got = layer(x)
    assert got.dtype == torch.float32
    assert torch.equal(got, layer(x))


@pytest.mark.parametrize("step", GEOMETRY, ids=str)
def test_resizes_on_the_device_are_pillows_to_the_bit(step):
    x = np.random.default_rng(3).integers(0, 256, (2, 3, 75, 61), dtype=np.uint8)
    got = from_step(step, device="cuda")(torch.from_numpy(x).float().cuda())
    assert got.device.type == "cuda"
    assert np.array_equal(got.cpu().numpy(), reference.apply([step], x))


def test_a_folded_model_stays_on_its_device():
    pipeline = Pipeline(
        FromPixels(layout="NHWC", color="BGR", device="cuda"), Rescale(device="cuda"), Normalize.preset("imagenet", device="cuda")
    )
    model = prepend(pipeline, torch.nn.Conv2d(3, 8, 3, padding=1, device="cuda"))
    pixels = torch.randint(0, 256, (2, 16, 16, 3), dtype=torch.uint8, device="cuda")
    result = fold(model, example=pixels)
    assert result.folded
    assert {value.device.type for value in (*result.model.parameters(), *result.model.buffers())} == {"cuda"}
    with torch.no_grad():
        torch.testing.assert_close(result.model(pixels), model(pixels), rtol=0, atol=2e-2)  # TF32 may be on here


def test_the_digits_bundle_on_every_cuda_runtime(tmp_path):
    """Larger ones: tests.bench.gpu, which `make gpu` runs at the same time."""
    bundle = export_bundle(load_recipe(ROOT / "models" / "digits.toml"), tmp_path / "digits", formats=["onnx", "torchscript", "pt2"])
    results = {result.runtime: result for result in bundle.report.results}
    for runtime in CUDA:
        assert results[runtime].verdict == "passed", results[runtime].reason
        assert "CUDA" in results[runtime].ran or torch.cuda.get_device_name() in results[runtime].ran
    assert bundle.report.ok


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_a_network_in_half_precision_on_every_cuda_runtime(tmp_path, precision):
    """The digits: tests.bench.proofs."""
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 4)
    )
    formats = ["onnx", "torchscript", "pt2"] if precision == "float16" else ["torchscript", "pt2"]  # no bfloat16 in ONNX Runtime's CPU
    results = ran(published(net, tmp_path / "m", formats=formats, precision=precision).report)
    for runtime in CUDA if "onnx" in formats else CUDA[:3]:
        result = results[runtime]
        assert (result.verdict, result.precision) == ("passed", precision), result.reason
        assert result.error > 1e-5
        assert result.tolerance == pytest.approx(2 * result.bare)


def test_a_file_in_half_precision_in_onnx_runtimes_cuda_provider(tmp_path):
    result = ran(put(hand_made(tmp_path, dtype=TensorProto.FLOAT16), tmp_path / "out").report)["ort-cuda"]
    assert (result.verdict, result.precision) == ("passed", "float16"), result.reason


def test_a_file_may_be_multiplied_in_tf32_and_is_verified_so(tmp_path):
    if torch.cuda.get_device_capability()[0] < 8:
        pytest.skip("this device has no TF32")
    report = put(hand_made(tmp_path), tmp_path / "out", precision="tf32").report
    result = ran(report)["ort-cuda"]
    assert (report.tf32, result.precision) == (True, "tf32")
    assert result.verdict != "failed", result.reason
    assert result.tolerance == pytest.approx(2 * result.bare)


def test_eight_bits_in_onnx_runtimes_cuda_provider(tmp_path):
    recipe = load_recipe(ROOT / "models" / "digits.toml")
    report = quantize_bundle(recipe, tmp_path / "out", images=ROOT / "models" / "digits.images").report
    result = ran(report)["ort-cuda"]
    assert (result.verdict, result.precision) == ("passed", "int8"), result.reason
    assert "CUDA" in result.ran


def test_tf32_is_noticed(exported):
    """The same files with TF32 allowed: on a device that has it, the error grows well beyond that of float32. (What a TorchScript file
    computes in is its own affair: a traced convolution keeps what it was traced with.)"""
    if torch.cuda.get_device_capability()[0] < 8:
        pytest.skip("this device has no TF32")
    names = ["torch-cuda", "ort-cuda"]
    off, on = (
        verify_bundle(exported.folder, runtimes=names, recipe=ROOT / "models" / "digits.toml", tf32=tf32).results for tf32 in (False, True)
    )
    for without, with_tf32 in zip(off, on, strict=True):
        assert without.verdict == "passed", without.reason
        assert with_tf32.error is not None
        assert with_tf32.error > 3 * without.error
        assert (without.precision, with_tf32.precision) == ("float32", "tf32")
        assert with_tf32.tolerance == pytest.approx(2 * with_tf32.bare)
        assert with_tf32.verdict != "failed", with_tf32.reason


@pytest.mark.parametrize("tf32", [False, True])
def test_a_torchscript_files_convolutions_do_as_exported_whatever_the_process_allows(tmp_path, tf32):
    if torch.cuda.get_device_capability()[0] < 8:
        pytest.skip("this device has no TF32")
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 64, 3), torch.nn.Conv2d(64, 64, 3)).eval().requires_grad_(False)
    model = prepend(Pipeline(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet")), network)
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    export_torchscript(model, pixels, tmp_path / "m.pt", tf32=tf32, extra={})
    file, want = load_torchscript(tmp_path / "m.pt", device="cuda"), network.double()(model.pipeline(pixels).double())
    for process in (False, True):
        with torch.inference_mode(), _tf32(process):
            error = float((file(pixels.cuda()).cpu() - want).abs().max() / want.abs().max())
        assert (error > 1e-5) == tf32, (process, error)


def test_a_context_that_dies_takes_no_other_runtime_with_it(exported):
    """In a process of its own, for it is really killed there: an index out of bounds on the device."""
    code = f"""
import sys, torch
from preproc.export import answering, verifying
from preproc.verify.runtimes.pytorch import TorchScriptCuda

class Killer(TorchScriptCuda):
    def run(self, pixels, others=None):
        if pixels.dtype.kind == "f":  # the bare network
            return super().run(pixels, others)
        torch.zeros(3, device="cuda")[torch.full((1,), 1 << 40, device="cuda")].cpu()

for module in (answering, verifying):
    module.RUNTIMES = module.RUNTIMES | {{"torchscript-cuda": Killer}}
names = ["torchscript-cuda", "torch-cuda", "ort-cuda"]
for result in verifying.verify_bundle({str(exported.folder)!r}, runtimes=names, recipe={str(ROOT / "models" / "digits.toml")!r}).results:
    print(result.verdict, result.reason or result.ran, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if line.startswith(("passed", "failed", "absent"))]
    assert len(said) == 3, done.stderr
    killer, python, ort = said
    assert killer.startswith("failed")
    assert "the CUDA context died: device-side assert triggered" in killer
    assert python == "absent the CUDA context of this process died in torchscript-cuda"
    assert ort.startswith("passed")
    assert ort.endswith("in a process of its own, for the CUDA context of this process died in torchscript-cuda")


def test_machine_code_for_this_device(tmp_path):
    """And for its compute capability alone."""
    recipe = replace(load_recipe(ROOT / "models" / "digits.toml"), export={"formats": ("aoti",), "device": "cuda"})
    bundle = export_bundle(recipe, tmp_path / "digits")
    results = ran(bundle.report)
    assert results["aoti-cuda"].verdict == "passed", results["aoti-cuda"].reason
    assert "aoti-cpu" not in results
    made = bundle.contract["compiled"]["aoti"]
    assert made["gpu"] == torch.cuda.get_device_name()
    metadata, (major, minor) = package_metadata(bundle.folder / "model.aoti.pt2"), torch.cuda.get_device_capability()
    check_capability(metadata, bundle.folder, (major, minor))
    with pytest.raises(RuntimeAbsentError, match="compute capability"):
        check_capability(metadata, bundle.folder, (major + 1, minor))
