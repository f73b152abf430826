"""Public accuracy bugs, rebuilt in a few lines from their threads, each caught with the message that a user would see."""

import copy
import re
import sys

import numpy as np
import onnx_ir as ir
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import googlenet
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn
from torchvision.models.googlenet import BasicConv2d

from preproc import graph
from preproc.errors import PreprocError, RecipeError, VerificationError
from preproc.export import export_bundle, formats, verify_bundle, writing
from preproc.graph import nodes
from preproc.layers import FromPixels, LocalResponseNorm, Normalize, Pipeline, Rescale, Standardize, prepend
from preproc.sources import load_recipe, parse_recipe, replace
from preproc.sources.backbones import load_backbone
from preproc.steps import FromPixels as FromPixelsStep
from preproc.steps import LocalResponseNorm as LocalResponseNormStep
from preproc.steps import Normalize as NormalizeStep
from preproc.verify.runtimes import onnxruntime
from preproc.verify.runtimes.ort import OrtCuda
from tests.conftest import ROOT
from tests.damage import edit_onnx, rehash, replace_weight
from tests.folding.mistakes import as_unpadded

DIGITS = load_recipe(ROOT / "models" / "digits.toml")
RANDOM = {"weights": "random", "seed": 0}


class Net(nn.Module):
    written_once = True

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.conv, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 4)

    def forward(self, x):
        return self.head((self.conv(x).relu() ** 2).mean((2, 3)))


def export_lrn(size, tmp_path):
    pipeline = Pipeline(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet"), LocalResponseNorm(size=size, alpha=0.5))
    example = torch.zeros(2, 16, 16, 3, dtype=torch.uint8)
    return export_bundle(prepend(pipeline, Net()), tmp_path / "m", example=example, formats=["onnx"])


def test_imagenet_constants_on_a_network_trained_with_others(monkeypatch, tmp_path):
    """timm #2463: ImageNet's constants on a ViT that was trained with 0.5/0.5. The weights know what they were trained with."""
    real = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **options: real(name, **options | {"pretrained": False}))
    data = {
        "name": "vit",
        "backbone": {"source": "timm", "name": "vit_tiny_patch16_224", "weights": "augreg_in21k_ft_in1k", "color": "RGB"},
        "pixels": {"layout": "NHWC", "color": "RGB", "size": [224, 224]},
        "steps": [{"step": "rescale"}, {"step": "normalize", "preset": "imagenet"}],
    }
    with pytest.raises(
        RecipeError, match=r"the weights timm vit_tiny.* were trained with, RGB through .*mean \[0\.5, 0\.5, 0\.5\].*override"
    ):
        export_bundle(parse_recipe(data, folder=tmp_path), tmp_path / "vit")


def test_wrong_mean_and_std_in_the_exported_file(monkeypatch, tmp_path):
    """Olive #1781: a pipeline exported with other constants than the model card's."""
    real = graph.attach
    wrong = NormalizeStep(mean=(0.69,) * 3, std=(0.05,) * 3, unit="0-1")
    monkeypatch.setattr(graph, "attach", lambda model, steps, *rest, **options: real(model, [*steps[:-1], wrong], *rest, **options))
    with pytest.raises(VerificationError, match=r"ort-cpu: error .*, tolerance .*; nothing was published"):
        export_bundle(DIGITS, tmp_path / "digits", formats=["onnx"])


def test_bgr_for_rgb_in_the_exported_file(monkeypatch, tmp_path):
    """YOLOX #1758: OpenCV reads BGR, the network was trained on RGB, and the exported program does not swap."""
    real = graph.attach
    recipe = replace(DIGITS, steps=(FromPixelsStep(layout="NHWC", color="BGR", to="RGB"), *DIGITS.steps[1:]), pixels={"color": "BGR"})
    monkeypatch.setattr(graph, "attach", lambda model, **options: real(model, **options | {"steps": DIGITS.steps}))
    with pytest.raises(VerificationError, match=r"ort-cpu: error .*, tolerance .*; nothing was published"):
        export_bundle(recipe, tmp_path / "digits", formats=["onnx"])


def test_bgr_for_rgb_in_the_client(bundle):
    """DeepFace #1457: a client that swaps the golden sample's channels learns it from the golden answer."""
    for sample in (bundle / "golden").iterdir():
        np.save(sample / "pixels.npy", np.load(sample / "pixels.npy")[..., ::-1])
    with pytest.raises(PreprocError, match=r"golden/.*/pixels\.npy has other contents"):
        verify_bundle(bundle, runtimes=["ort-cpu"])
    rehash(bundle)
    (result,) = verify_bundle(bundle, runtimes=["ort-cpu"]).results
    assert result.verdict == "failed"
    assert "tolerance" in str(result.reason)


def test_missing_rescale():
    """insightface #2508: (x - 0.5) / 0.5 on grey levels, because the division by 255 got lost on the way to ONNX."""
    with pytest.raises(PreprocError, match=r"values in 0-1, got values in 0\.\.255: put a rescale step with scale = 1/255 in front of it"):
        Pipeline(FromPixels(layout="NHWC"), Normalize.preset("inception"))


def test_normalization_twice_in_a_recipe():
    """FastVideo #1055: one more normalization behind a list of transforms that ended in one."""
    table = {"step": "normalize", "preset": "imagenet"}
    data = {
        "name": "twice",
        "backbone": {"source": "torchvision", "name": "resnet18", "color": "RGB"} | RANDOM,
        "pixels": {"layout": "NHWC", "color": "RGB", "size": [32, 32]},
        "steps": [{"step": "rescale"}, table, table],
    }
    with pytest.raises(RecipeError, match=r"step 4 .*the picture is normalized or rescaled already, remove one of the two"):
        parse_recipe(data, folder=ROOT)


class Baked(Net):
    """A zoo model with its constants inside."""

    def forward(self, x):
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        return super().forward((x - mean.to(x)[:, None, None]) / std.to(x)[:, None, None])


def detector():
    return fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None)


@pytest.mark.parametrize("make", [Baked, detector])
def test_normalization_twice_in_a_zoo_model(make, tmp_path):
    """torchvision #1103 and mlverse/torchvision #314: detection models normalize inside, and users do it once more in front."""
    model = prepend(Pipeline(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet")), make())
    example = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)
    message = r"the network normalizes its input itself, \(x - \[0\.485, 0\.456, 0\.406\]\) / \[0\.229.*which is imagenet.*-2\.118\.\.2\.64"
    with pytest.raises(RecipeError, match=message):
        export_bundle(model, tmp_path / "m", example=example, formats=["onnx"])
    if make is Baked:  # without the second one, or on purpose, it is exported
        once = prepend(Pipeline(FromPixels(layout="NHWC"), Rescale()), make())
        assert export_bundle(once, tmp_path / "once", example=example, formats=["onnx"]).report.ok
        meant = export_bundle(model, tmp_path / "m", example=example, formats=["onnx"], override="a test")
        assert meant.report.ok
        assert meant.contract["backbone"]["override"] == "a test"


def test_the_mean_in_the_bias_of_a_padded_convolution(monkeypatch, tmp_path):
    """What other tools do when they fold a mean (no thread: nobody sees it). A padded zero would be black instead of the mean."""
    as_unpadded(monkeypatch)
    with pytest.raises(VerificationError, match=r"ort-cpu: error .*, tolerance .*; nothing was published") as caught:
        export_bundle(DIGITS, tmp_path / "digits", formats=["onnx"])
    error = next(result.error for result in caught.value.report.results if result.runtime == "ort-cpu")
    control = next(control for control in caught.value.report.power.controls if control.name == "uncorrected border")
    assert error >= control.movement * 0.999  # the very mistake that the report's control makes, over more inputs


class OneConvolution(BasicConv2d):
    """In place of each of GoogLeNet's nine blocks, which are no part of the matter and most of its export's time."""

    def __init__(self, before, ch1x1, _ch3x3red, ch3x3, _ch5x5red, ch5x5, pool_proj, **_):
        super().__init__(before, ch1x1 + ch3x3 + ch5x5 + pool_proj, kernel_size=1)


def lively_googlenet(file):
    """Random weights that react to their input, as trained ones do: He's initialization, and batch norms that have seen pictures."""
    torch.manual_seed(4)
    module = googlenet(weights=None, transform_input=True, init_weights=False, aux_logits=False)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    module.train()
    with torch.no_grad():
        for _ in range(8):
            module(torch.randn(8, 3, 64, 64))
    save_file(module.state_dict(), file)


def test_googlenets_transform_input_dropped(monkeypatch, tmp_path):
    """torchvision #5376, #4136: the weights expect a re-mapping inside, which torchvision only switches on when it fetches them itself:
    googlenet(weights=None) and the same state_dict lose points in silence."""
    monkeypatch.setattr(sys.modules["torchvision.models.googlenet"], "Inception", OneConvolution)
    lively_googlenet(tmp_path / "w.safetensors")
    recipe = load_recipe(ROOT / "models" / "googlenet.toml")
    recipe = replace(recipe, folder=tmp_path, backbone={"weights": "w.safetensors"}, pixels={"size": (64, 64)}, export={"images": None})
    assert load_backbone(recipe).module.transform_input
    assert export_bundle(recipe, tmp_path / "right", formats=["onnx"]).report.ok

    def dropped(module, *rest, real=formats.export_backbone, **options):
        module = copy.deepcopy(module)
        module.transform_input = False
        return real(module, *rest, **options)

    monkeypatch.setattr(formats, "export_backbone", dropped)
    with pytest.raises(VerificationError, match=r"ort-cpu: error .*, tolerance .*; nothing was published"):
        export_bundle(recipe, tmp_path / "wrong", formats=["onnx"], quick=True)


def test_a_cuda_session_that_is_really_the_cpu(bundle, monkeypatch):
    """onnxruntime #23372: the CUDA provider was asked for, is listed, and every node runs on the CPU."""
    real = OrtCuda._session

    def fallen_back(self, ort, path, options):
        monkeypatch.setattr(OrtCuda, "_provider", lambda _: "CPUExecutionProvider")
        session = real(self, ort, path, options)
        monkeypatch.setattr(session, "get_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
        return session

    monkeypatch.setattr(OrtCuda, "_session", fallen_back)
    monkeypatch.setattr(onnxruntime(), "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    (result,) = verify_bundle(bundle, runtimes=["ort-cuda"]).results
    assert result.verdict == "failed"
    assert re.match(r"expected every floating node on CUDA, got .*Conv.* on CPUExecutionProvider", str(result.reason))


class PerBatch(nn.Module):
    """Standardizes with the statistics of the whole batch."""

    def forward(self, x):
        return (x - x.mean()) / x.std(correction=0).clamp(min=1 / x[0].numel() ** 0.5)


def test_a_per_batch_standardize_fails_on_the_batch_of_five(monkeypatch, tmp_path):
    """deepinv #908: right for every picture alone, wrong as soon as a server batches."""
    pipeline = Pipeline(FromPixels(layout="NHWC"), Standardize())
    real = writing.fold_module

    def per_batch(*given):
        result = real(*given)
        result.model.pipeline = nn.Sequential(result.model.pipeline.layers[0], PerBatch())
        return result

    monkeypatch.setattr(writing, "fold_module", per_batch)
    noise = torch.randint(0, 256, (2, 16, 16, 3), dtype=torch.uint8)
    with pytest.raises(VerificationError, match=r"torchscript-cpu: error .* on batch of 5"):
        export_bundle(prepend(pipeline, Net()), tmp_path / "m", example=noise, formats=["torchscript"])


def test_even_size_lrn_taken_for_onnxs_operator(monkeypatch, tmp_path):
    """pytorch #75722: for even sizes ONNX's LRN looks at the other neighbour."""

    def mirrored(b, step, x):
        """ONNX: channels c - floor((size-1)/2) .. c + ceil((size-1)/2)."""
        distance = np.arange(b.channels)[None, :] - np.arange(b.channels)[:, None]
        band = (distance >= -((step.size - 1) // 2)) & (distance <= step.size // 2)
        weight = b.floats(band * (step.alpha / step.size))[:, :, None, None]
        t = b.add("Conv", b.add("Mul", x, x), weight, b.floats(np.full(b.channels, step.k)))
        return b.add("Div", x, b.add("Pow", t, b.floats(step.beta)))

    assert export_lrn(2, tmp_path).report.ok
    monkeypatch.setitem(nodes._NODES, LocalResponseNormStep, mirrored)
    assert export_lrn(3, tmp_path).report.ok
    with pytest.raises(VerificationError, match="ort-cpu: error"):
        export_lrn(2, tmp_path)


def test_a_weight_that_was_quantized_away(bundle):
    """Whatever else happens to a file between export and server: its numbers are not the golden ones any more."""
    edit_onnx(bundle, lambda model: replace_weight(model, lambda weight: np.round(weight * 16) / 16))
    (result,) = verify_bundle(bundle, runtimes=["ort-cpu"]).results
    assert result.verdict == "failed"
    assert isinstance(ir.load(bundle / "model.onnx"), ir.Model)
