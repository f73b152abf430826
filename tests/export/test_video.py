"""Bundles whose pixels are Y, U and V, as torch writes them."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from preproc.bundle import open_bundle
from preproc.bundle.recipes import to_recipe
from preproc.errors import PreprocError
from preproc.export import export_bundle, quantize_bundle, verify_bundle
from preproc.export.from_python import recipe_of
from preproc.layers import FromPixels, Normalize, Pipeline, Rescale, prepend
from preproc.sources import load_recipe, replace
from preproc.steps import FromPixels as Step
from tests.conftest import ROOT
from tests.damage import rehash
from tests.yuv import pixels

SAID = {"matrix": "bt709", "range": "limited"}


class Net(nn.Module):
    """Of pictures of any size."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.head = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.conv(x).relu().mean((2, 3)))


def model(**said):
    return prepend(Pipeline(FromPixels(**{**SAID, **said}), Rescale(), Normalize.preset("imagenet")), Net())


@pytest.fixture(scope="module")
def nv12(tmp_path_factory):
    """The digits network behind NV12, in TorchScript."""
    recipe = load_recipe(ROOT / "models" / "digits.toml")
    first = Step(layout="NHW", color="NV12", **SAID)
    seen = {"layout": "NHW", "color": "NV12", **SAID}
    made = dataclasses.replace(recipe, steps=(first, *recipe.steps[1:]))
    made = replace(made, pixels=seen, export={"formats": ("torchscript",)})
    return export_bundle(made, tmp_path_factory.mktemp("nv12") / "digits"), made


def test_the_contract_says_what_they_are_and_is_the_recipe_again(nv12):
    bundle, recipe = nv12
    assert bundle.report.ok
    image = bundle.contract["input"]
    assert image == {"name": "pixels", "layout": "NHW", "color": "NV12", "dtype": "uint8", "shape": ["N", 48, 32], **SAID}
    assert bundle.contract["steps"][0]["conversion"] == "linear"
    assert bundle.contract["steps"][0]["chroma"] == "replicate"
    again = to_recipe(open_bundle(bundle.folder).contract)
    assert (again.steps, again.pixels) == (recipe.steps, recipe.pixels)
    assert {case.axes for case in open_bundle(bundle.folder).golden()} == {2}
    assert {case.batch for case in open_bundle(bundle.folder).golden()} == {1}


@pytest.mark.filterwarnings(r"ignore:`torch\.jit\.")
def test_another_matrix_in_the_file_fails(nv12, tmp_path):
    """What runs is not what the contract says."""
    bundle, recipe = nv12
    assert verify_bundle(bundle.folder, runtimes=["torchscript-cpu"]).ok
    wrong = dataclasses.replace(recipe, steps=(dataclasses.replace(recipe.steps[0], matrix="bt601"), *recipe.steps[1:]))
    other = export_bundle(replace(wrong, pixels={"matrix": "bt601"}), tmp_path / "other")
    damaged = shutil.copytree(bundle.folder, tmp_path / "damaged")
    extra = {"contract.json": ""}
    torch.jit.load(damaged / "model.pt", _extra_files=extra)
    torch.jit.save(torch.jit.load(other.folder / "model.pt"), damaged / "model.pt", _extra_files=extra)
    rehash(damaged)
    report = verify_bundle(damaged, runtimes=["torchscript-cpu"])
    assert [result.verdict for result in report.results] == ["failed"]


@pytest.mark.parametrize(
    "said",
    [
        {"layout": "NHW", "color": "I420", "conversion": "rgb8"},
        {"layout": "NHWC", "color": "UYVY", "chroma": "bilinear", "siting": "left"},
        {"layout": "NCHW", "color": "YUV444", "to": "BGR"},
    ],
)
def test_models_made_in_python(tmp_path, said):
    example = pixels(said["color"], said["layout"], (16, 24))
    bundle = export_bundle(model(**said), tmp_path / "b", example=example, formats=["torchscript"])
    assert bundle.report.ok
    assert bundle.contract["input"]["shape"] == ["N", *example.shape[1:]]
    recipe, _ = recipe_of(model(**said), ("torchscript",), example=example)
    assert recipe.pixels.size == (16, 24)


def test_free_sides_are_even_ones(tmp_path):
    bundle = export_bundle(
        model(layout="NHW", color="NV12"), tmp_path / "b", size="dynamic", formats=["torchscript", "pt2"], verify_sizes=[(16, 24), (30, 18)]
    )
    assert bundle.contract["input"]["shape"] == ["N", "height*3/2", "width"]
    assert {result.verdict for result in bundle.report.results if result.runtime in ("torchscript-cpu", "pt2-cpu")} == {"passed"}
    program = torch.export.load(bundle.folder / "model.pt2").module()
    x = torch.from_numpy(pixels("NV12", "NHW", (44, 26), batch=3))
    np.testing.assert_allclose(program(x).detach(), model(layout="NHW", color="NV12")(x).detach(), rtol=1e-4, atol=1e-5)
    with pytest.raises(PreprocError, match=r"multiples of 2 and 2.* 17x24") as caught:
        export_bundle(model(layout="NHW", color="NV12"), tmp_path / "c", size="dynamic", formats=["torchscript"], verify_sizes=[(17, 24)])
    assert caught.value.name == "shape-mismatch"


@pytest.mark.parametrize(("shape", "told"), [((2, 47, 64), "expected"), ((2, 48, 64, 1), "3-D, got one of shape")])
def test_examples_of_another_shape_are_refused(tmp_path, shape, told):
    with pytest.raises(PreprocError, match=told):
        export_bundle(model(layout="NHW", color="NV12"), tmp_path / "b", example=np.zeros(shape, np.uint8), formats=["torchscript"])


def test_eight_bits_are_refused(nv12, tmp_path):
    with pytest.raises(PreprocError, match="expected pixels of R, G and B, or grey ones, which become the quantized numbers, got NV12"):
        quantize_bundle(nv12[1], tmp_path / "q", images=ROOT / "models" / "digits.images")
