"""Public accuracy bugs, rebuilt in a few lines from their threads, each caught with the message that a user would see."""

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from preproc import graph
from preproc.backbones import load_backbone
from preproc.errors import PreprocError, RecipeError, VerificationError
from preproc.export import exporter
from preproc.export.exporter import export_bundle
from preproc.graph import nodes
from preproc.layers import FromPixels, LocalResponseNorm, Normalize, Rescale, Standardize
from preproc.pipeline import Pipeline, prepend
from preproc.proof import verify_bundle
from preproc.recipe import load_recipe, parse_recipe, replace
from preproc.steps import LocalResponseNorm as LocalResponseNormStep
from preproc.steps import Normalize as NormalizeStep
from tests.conftest import ROOT

DIGITS = load_recipe(ROOT / "models" / "digits.toml")
RANDOM = {"weights": "random", "seed": 0}


class Net(nn.Module):
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


def test_imagenet_constants_on_a_network_trained_with_others():
    """timm #2463: a ViT trained with 0.5/0.5 was published with ImageNet's constants. Here the weights say what they were trained with."""
    wrong = replace(DIGITS, steps=(*DIGITS.steps[:2], NormalizeStep.preset("imagenet")))
    with pytest.raises(RecipeError, match=r"expected what the weights digits\.safetensors were trained with, .*0\.690"):
        export_bundle(wrong, "nowhere")


def test_wrong_mean_and_std_in_the_exported_file(monkeypatch, tmp_path):
    """Olive #1781: a pipeline exported with other constants than the model card's."""
    real = graph.attach
    wrong = NormalizeStep(mean=(0.69,) * 3, std=(0.05,) * 3, unit="0-1")
    monkeypatch.setattr(
        exporter.graph, "attach", lambda model, steps, *rest, **options: real(model, [*steps[:-1], wrong], *rest, **options)
    )
    with pytest.raises(VerificationError, match=r"ort-cpu: error .*, tolerance .*; nothing was published"):
        export_bundle(DIGITS, tmp_path / "digits", formats=["onnx"])


def test_bgr_for_rgb(bundle):
    """OpenCV reads BGR. A client that swaps the golden sample's channels learns it from the golden answer."""
    for sample in (bundle / "golden").iterdir():
        np.save(sample / "pixels.npy", np.load(sample / "pixels.npy")[..., ::-1])
    with pytest.raises(PreprocError, match=r"golden/.*/pixels\.npy has other contents"):
        verify_bundle(bundle, runtimes=["ort-cpu"])
    from tests.test_verify import rehash

    rehash(bundle)
    (result,) = verify_bundle(bundle, runtimes=["ort-cpu"]).results
    assert result.verdict == "failed"
    assert "tolerance" in str(result.reason)


def test_missing_rescale():
    """The most common one: 0..1 constants on grey levels."""
    with pytest.raises(PreprocError, match=r"values in 0-1, got values in 0\.\.255: put a rescale step with scale = 1/255 in front of it"):
        Pipeline(FromPixels(layout="NHWC"), Normalize.preset("imagenet"))


def test_normalization_twice():
    """A zoo model whose recipe normalizes what has been normalized."""
    table = {"step": "normalize", "preset": "imagenet"}
    data = {
        "name": "twice",
        "backbone": {"source": "torchvision", "name": "resnet18", "color": "RGB"} | RANDOM,
        "pixels": {"layout": "NHWC", "color": "RGB", "size": [32, 32]},
        "steps": [{"step": "rescale"}, table, table],
    }
    with pytest.raises(RecipeError, match=r"step 4 .*the picture is normalized or rescaled already, remove one of the two"):
        parse_recipe(data, folder=ROOT)


def test_googlenets_transform_input_dropped(monkeypatch):
    """googlenet(weights=None) plus the published state_dict: torchvision leaves transform_input off, and points are lost in silence."""
    recipe = replace(load_recipe(ROOT / "models" / "googlenet.toml"), backbone=RANDOM, pixels={"size": (64, 64)})
    module = load_backbone(recipe).module
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        right = module(x)
        monkeypatch.setattr(module, "transform_input", False)
        dropped = module(x)
    assert module.conv1 is not None
    assert float((right - dropped).abs().max()) > 0  # it does something, and load_backbone has switched it on


class PerBatch(nn.Module):
    """Standardizes with the statistics of the whole batch."""

    def forward(self, x):
        return (x - x.mean()) / x.std(correction=0)


def test_a_per_batch_standardize_fails_on_the_batch_of_five(monkeypatch, tmp_path):
    """Right for every picture alone, wrong as soon as a server batches."""
    pipeline = Pipeline(FromPixels(layout="NHWC"), Standardize())
    real = exporter._fold_torch

    def per_batch(job):
        model, entry = real(job)
        model.pipeline = nn.Sequential(model.pipeline.layers[0], PerBatch())
        return model, entry

    monkeypatch.setattr(exporter, "_fold_torch", per_batch)
    noise = torch.randint(0, 256, (2, 16, 16, 3), dtype=torch.uint8)
    with pytest.raises(VerificationError, match=r"torchscript-cpu: error .* on (batch of 5|black|white)"):
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
    from tests.test_verify import edit_onnx, replace_weight

    edit_onnx(bundle, lambda model: replace_weight(model, lambda weight: np.round(weight * 16) / 16))
    (result,) = verify_bundle(bundle, runtimes=["ort-cpu"]).results
    assert result.verdict == "failed"
    assert isinstance(ir.load(bundle / "model.onnx"), ir.Model)
