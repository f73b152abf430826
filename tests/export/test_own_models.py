"""Models of one's own, behind pipelines of every kind, become bundles that pass, or are refused with the reason."""

import numpy as np
import pytest
import torch
from torch import nn

from preproc.errors import PreprocError
from preproc.export import export_bundle
from preproc.layers import (
    ChannelAffine,
    FromPixels,
    LocalResponseNorm,
    MinMaxNormalize,
    MinMaxScale,
    Normalize,
    Pipeline,
    Rescale,
    Standardize,
    prepend,
)
from preproc.sources import load_recipe, replace
from tests.conftest import ROOT

DIGITS = load_recipe(ROOT / "models" / "digits.toml")
CHANNELS = {"RGB": 3, "BGR": 3, "RGBA": 4, "GRAY": 1, "ANY": 6}


class Net(nn.Module):
    """Small, sensitive to everything, and of any size."""

    written_once = True

    def __init__(self, channels=3, **options):
        super().__init__()
        torch.manual_seed(1)
        self.conv = nn.Conv2d(channels, 8, 3, **{"padding": 1, "stride": 2} | options)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        return self.head((self.conv(x).relu() ** 2).mean((2, 3)))


def imagenet(**pixels):
    return FromPixels(**{"layout": "NHWC"} | pixels), Rescale(), Normalize.preset("imagenet")


def example(color="RGB", layout="NHWC", dtype=torch.uint8, size=(24, 20)):
    shape = (2, *size, CHANNELS[color]) if layout == "NHWC" else (2, CHANNELS[color], *size)
    return torch.zeros(shape, dtype=dtype)


MODELS = {
    "BGR": (imagenet(color="BGR"), Net(), example()),
    "NCHW": (imagenet(layout="NCHW"), Net(), example(layout="NCHW")),
    "RGBA": (imagenet(color="RGBA"), Net(), example("RGBA")),
    "GRAY": (imagenet(color="GRAY"), Net(), example("GRAY")),
    "unpadded": (imagenet(), Net(padding=0), example()),
    "reflect": (imagenet(), Net(padding_mode="reflect"), example()),
    "six channels": (
        (FromPixels(layout="NHWC", color="ANY", to="ANY"), Rescale(), Normalize(mean=np.linspace(0.3, 0.5, 6), std=[0.2] * 6, unit="0-1")),
        Net(6),
        example("ANY"),
    ),
    "uint16": (
        (FromPixels(layout="NHWC", pixel_dtype="uint16"), Rescale(scale=1 / 65535), Normalize.preset("imagenet")),
        Net(),
        example(dtype=torch.uint16),
    ),
    "caffe": ((FromPixels(layout="NHWC", to="BGR"), Normalize.preset("caffe")), Net(), example()),
    "standardize": ((FromPixels(layout="NHWC"), Standardize()), Net(), example()),
    "min-max per channel": ((FromPixels(layout="NHWC"), MinMaxNormalize(per="channel")), Net(), example()),
    "min-max scale": ((FromPixels(layout="NHWC", color="BGR"), MinMaxScale(low=0, high=255, out=(-1, 1))), Net(), example()),
    "lrn": ((*imagenet(), LocalResponseNorm(size=3, alpha=0.5)), Net(), example()),
    "lrn spatial": ((*imagenet(), LocalResponseNorm(size=3, alpha=0.5, region="spatial")), Net(), example()),
    "mixing": ((*imagenet(), ChannelAffine(matrix=((0.3, 0.6, 0.1), (0.5, -0.4, 0.2), (0.1, 0.1, 0.9)))), Net(), example()),
    "grouped": (imagenet(color="BGR"), nn.Sequential(nn.Conv2d(3, 3, 3, groups=3, padding=1), nn.Flatten(), nn.Linear(1440, 4)), example()),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_ones_own(name, tmp_path):
    layers, backbone, pixels = MODELS[name]
    torch.manual_seed(3)
    bundle = export_bundle(prepend(Pipeline(*layers), backbone), tmp_path / "m", example=pixels)
    ran = {result.runtime: result for result in bundle.report.results if result.verdict != "absent"}
    assert set(ran) == {"torch-cpu", "torchscript-cpu", "ort-cpu"}
    assert {result.verdict for result in ran.values()} == {"passed"}, [result.reason for result in ran.values()]
    folds = bundle.contract["fold"]
    assert (
        folds["onnx"]["folded"]
        == folds["torchscript"]["folded"]
        == (name not in ("lrn", "lrn spatial", "standardize", "min-max per channel"))
    )
    assert folds["onnx"]["form"] == folds["torchscript"]["form"]
    assert {tuple(fold.get("selected", ())) for fold in folds.values()} == {(2, 1, 0) if name == "grouped" else ()}
    swapped = {control.name: control for control in bundle.report.power.controls}["channels swapped"]
    assert (swapped.movement is None) == (name == "GRAY")
    shift = next(control for control in bundle.report.power.controls if control.name.startswith("mean shifted"))
    assert (shift.movement is None) == (name in ("standardize", "min-max per channel")), shift


class Sum(nn.Module):
    def forward(self, x):
        return (torch.ones(x.shape[0], 2, dtype=torch.long) * 7 / 2) * x.mean((2, 3))[:, :2]


def test_torchscript_keeps_the_version_its_operators_were_written_with(tmp_path):
    """Integer division: an archive without its version would be read with the meaning that / had in 2019."""
    bundle = export_bundle(prepend(Pipeline(*imagenet()), Sum()), tmp_path / "m", example=example(), formats=["torchscript"])
    assert {result.runtime: result.verdict for result in bundle.report.results}["torchscript-cpu"] == "passed"


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (Net(), {}, "expected a Recipe, or a Model made by prepend"),
        (prepend(Pipeline(Rescale()), Net()), {}, "starts with FromPixels"),
        (prepend(Pipeline(*imagenet()), Net()), {}, "expected example="),
        (prepend(Pipeline(*imagenet()), Net()), {"example": example(layout="NCHW")}, r"of shape \(N, H, W, 3\), got \(2, 3, 24, 20\)"),
        (prepend(Pipeline(*imagenet()), Net()), {"example": example().float()}, r"of uint8 pixels, got float32"),
        (prepend(Pipeline(*imagenet()), Net().half()), {"example": example()}, r"float32 weights, got torch\.float16"),
        (replace(DIGITS, labels=("a", "b")), {}, "expected as many labels as classes, 10, got 2"),
        (replace(DIGITS, export={"opset": 99}), {"formats": ["onnx"]}, "opset"),
        (DIGITS, {"formats": ["onx"]}, "expected formats to be some of onnx, torchscript"),
        (replace(DIGITS, export={"images": ROOT / "no"}), {}, "expected a folder of pictures"),
        (replace(DIGITS, backbone={"outputs": ("a", "b")}), {}, "expected 2 outputs"),
    ],
)
def test_bad_arguments_get_one_line_and_leave_nothing(tmp_path, model, options, message):
    with pytest.raises(PreprocError, match=message):
        export_bundle(model, tmp_path / "m", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_ones_own_is_not_touched(tmp_path):
    backbone = Net().train()
    bundle = export_bundle(prepend(Pipeline(*imagenet()), backbone), tmp_path / "m", example=example(), formats=["onnx"])
    assert bundle.report.ok
    assert backbone.training
    assert all(parameter.requires_grad for parameter in backbone.parameters())


def test_weights_with_a_nan_are_refused(tmp_path):
    net = Net()
    net.conv.weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(PreprocError, match="expected a backbone that answers finite numbers"):
        export_bundle(prepend(Pipeline(*imagenet()), net), tmp_path / "m", example=example())
