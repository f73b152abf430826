"""On a CUDA device: layers, fold, and whole bundles in torch, TorchScript and ONNX Runtime, nothing silently on the CPU."""

import numpy as np
import pytest
import torch
from preproc.export.torchscript import export_torchscript

from preproc import reference
from preproc.export.exporter import export_bundle
from preproc.folding import fold
from preproc.layers import FromPixels, Normalize, Rescale, from_step
from preproc.pipeline import Pipeline, prepend
from preproc.proof import verify_bundle
from preproc.recipe import load_recipe, replace
from preproc.runtimes import load_torchscript
from preproc.runtimes.pytorch import _tf32
from tests.conftest import ROOT
from tests.test_geometry import LAYERS as GEOMETRY
from tests.test_layers import LAYERS, picture

pytestmark = pytest.mark.cuda
CUDA = ["torch-cuda", "torchscript-cuda", "ort-cuda"]


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


@pytest.mark.parametrize("name", ["digits", "resnet50", "vit_b_16"])
def test_bundles_on_every_cuda_runtime(name, tmp_path):
    recipe = load_recipe(ROOT / "models" / f"{name}.toml")
    if name != "digits":
        recipe = replace(recipe, backbone={"weights": "random", "seed": 0})
    bundle = export_bundle(recipe, tmp_path / name)
    results = {result.runtime: result for result in bundle.report.results}
    for runtime in CUDA:
        assert results[runtime].verdict not in ("failed", "absent"), results[runtime].reason
        assert results[runtime].error <= bundle.report.power.tolerance
        assert "CUDA" in results[runtime].ran or "cuda" in results[runtime].ran or torch.cuda.get_device_name() in results[runtime].ran
    if name == "digits":
        assert bundle.report.ok


def test_tf32_is_noticed(exported):
    """The same files with TF32 allowed: on a device that has it, the error grows well beyond that of float32."""
    if torch.cuda.get_device_capability()[0] < 8:
        pytest.skip("this device has no TF32")
    runtimes = ["ort-cuda", "torch-cuda"]  # the convolutions of a TorchScript file keep the precision that it was exported with
    off = verify_bundle(exported.folder, runtimes=runtimes)
    on = verify_bundle(exported.folder, runtimes=runtimes, tf32=True)
    for without, with_tf32 in zip(off.results, on.results, strict=True):
        assert without.verdict == "passed", without.reason
        assert with_tf32.error is not None
        assert with_tf32.error > 3 * without.error


@pytest.mark.parametrize("tf32", [False, True])
def test_a_torchscript_files_convolutions_do_as_exported_whatever_the_process_allows(tmp_path, tf32):
    if torch.cuda.get_device_capability()[0] < 8:
        pytest.skip("this device has no TF32")
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 32, 3), torch.nn.Conv2d(32, 32, 3)).eval().requires_grad_(False)
    model = prepend(Pipeline(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet")), network)
    pixels = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    export_torchscript(model, pixels, tmp_path / "m.pt", tf32=tf32, extra={})
    file, want = load_torchscript(tmp_path / "m.pt", device="cuda"), network.double()(model.pipeline(pixels).double())
    for process in (False, True):
        with torch.inference_mode(), _tf32(process):
            error = float((file(pixels.cuda()).cpu() - want).abs().max() / want.abs().max())
        assert (error > 1e-5) == tf32, (process, error)
