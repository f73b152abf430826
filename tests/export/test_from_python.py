"""What a recipe can say can be said in Python, with pipelines, layers, tensors and arrays as people have them."""

import copy

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch import nn

from preproc.cli.drawing import write_picture
from preproc.errors import BundleError, PreprocError
from preproc.export import attach, export_bundle, verify_bundle
from preproc.export.resolving import job_of
from preproc.folding.modules import fold
from preproc.layers import CenterCrop, FromPixels, MinMaxNormalize, Normalize, Pipeline, Rescale, Resize, prepend
from preproc.sources import ExportSpec, PixelsSpec, load_recipe
from preproc.steps import as_steps
from preproc.verify.runtimes import OrtCpu
from tests.conftest import ROOT
from tests.onnx_files import hand_made


class Net(nn.Module):
    """Of pictures of any size."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.head = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.conv(x).relu().mean((2, 3)))


PIPELINE = Pipeline(FromPixels(layout="NHWC", color="BGR", to="RGB"), Rescale(), Normalize.preset("imagenet"))
MODEL = prepend(PIPELINE, Net())
PHOTOGRAPHS = prepend(
    Pipeline(FromPixels(layout="NCHW"), Resize(size=40), CenterCrop(size=32), Rescale(), Normalize.preset("imagenet")), Net()
)
ARRAY = np.zeros((2, 64, 48, 3), np.uint8)


def recipe_of(model, **said):
    return job_of(model, ["onnx"], said, lambda _: None).recipe


def test_free_sizes_names_labels_and_opset_as_in_a_recipe(tmp_path, rng):
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\nc\nd\n")
    bundle = export_bundle(MODEL, tmp_path / "m", formats=["onnx"], size="dynamic", name="photo", labels=labels, opset=20, fold="off")
    assert bundle.report.ok
    contract = bundle.contract
    assert (contract["name"], contract["labels"]) == ("photo", ["a", "b", "c", "d"])
    assert contract["input"]["shape"] == ["N", "height", "width", 3]
    assert contract["fold"]["onnx"]["reason"] == "fold = off"
    assert [entry.version for entry in onnx.load(bundle.folder / "model.onnx").opset_import if not entry.domain] == [20]
    runtime = OrtCpu()
    runtime.open(bundle.folder / "model.onnx")
    for shape in ((1, 50, 70, 3), (2, 91, 33, 3)):
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        expected = MODEL(torch.from_numpy(pixels)).detach().numpy()
        np.testing.assert_allclose(runtime.run(pixels)["logits"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ({"example": ARRAY}, (64, 48)),
        ({"example": torch.from_numpy(ARRAY)}, (64, 48)),
        ({"example": ARRAY, "size": "dynamic"}, (None, None)),
        ({"example": ARRAY, "size": [64, 48]}, (64, 48)),
        ({"size": (64, 48)}, (64, 48)),
    ],
)
def test_the_size_is_the_examples_or_what_is_said(said, size):
    recipe = recipe_of(MODEL, **said)
    assert (recipe.pixels.size, recipe.pixels.channels, recipe.pixels.color) == (size, 3, "BGR")


def test_photographs_of_any_size():
    """Free pixels, one size for the network: resize and crop are in the file."""
    recipe = recipe_of(PHOTOGRAPHS, size="dynamic")
    assert (recipe.pixels.size, recipe.ready_size) == ((None, None), (32, 32))


def test_the_other_words_of_a_recipe():
    recipe = recipe_of(MODEL, size=(64, 48), labels=["a", "b"], opset=21, fold="require", precision="tf32", tolerance=1e-3, outputs=["y"])
    assert recipe.export == ExportSpec(formats=("onnx",), fold="require", opset=21, tolerance=1e-3, precision="tf32")
    assert (recipe.labels, recipe.backbone.outputs, recipe.name) == (("a", "b"), ("y",), "net")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({}, r"expected example=, .*, or size=, got none"),
        ({"size": 64}, r'size: expected \[height, width\], .* or "dynamic" for both, got 64'),
        ({"size": "dynamc"}, "or \"dynamic\" for both, got 'dynamc'"),
        (
            {"size": (64, 64), "example": ARRAY},
            r"the example's height and width, \(64, 48\), or \"dynamic\" for one of them or both, got \(64, 64\)",
        ),
        ({"example": ARRAY.astype(np.int64)}, "of uint8 pixels, got int64"),
        ({"example": ARRAY[0]}, r"4-D, got one of shape \(64, 48, 3\)"),
        ({"example": "photo.jpg"}, "4-D, got one of shape"),
        ({"size": (64, 48), "name": "a/b"}, "name: expected letters"),
        ({"size": (64, 48), "opset": 11}, "opset: expected 18 or newer, which the exporter writes, got 11"),
        ({"size": (64, 48), "fold": "on"}, "expected fold to be one of auto, off, require"),
        ({"size": (64, 48), "labels": "no.txt"}, r"labels: expected a text file with a label per line, got 'no\.txt'"),
        ({"size": (64, 48), "labels": [1]}, "labels: expected a file name or a list of strings"),
        ({"size": (64, 48), "outputs": "y"}, "lists of names, got .* and 'y'"),
    ],
    ids=str,
)
def test_wrong_words_are_one_line(said, message):
    with pytest.raises(PreprocError, match=message):
        recipe_of(MODEL, **said)


def test_channels_that_nothing_says_take_an_example():
    """And no more than that: what is asked for is what is missing."""
    model = prepend(Pipeline(FromPixels(layout="NHWC", color="ANY", to="ANY"), Rescale()), nn.Conv2d(6, 2, 3))
    with pytest.raises(PreprocError, match=r'for their number of channels, which color = "ANY" .* got size=\(16, 18\) alone'):
        recipe_of(model, size=(16, 18))
    with pytest.raises(PreprocError, match=r"for their number of channels, .* got none"):
        recipe_of(model)
    example = np.zeros((1, 16, 18, 6), np.uint8)
    assert recipe_of(model, example=example, size=(16, 18)).pixels.channels == 6
    means = Pipeline(FromPixels(layout="NHWC", color="ANY", to="ANY"), Rescale(), Normalize(mean=[0.5] * 6, std=[0.2] * 6, unit="0-1"))
    assert recipe_of(prepend(means, nn.Conv2d(6, 2, 3)), size=(16, 18)).pixels.channels == 6


def test_what_a_recipe_says_is_not_said_again(tmp_path):
    with pytest.raises(PreprocError, match="expected size, name with a Model only, got it with a recipe"):
        export_bundle(load_recipe(ROOT / "models" / "digits.toml"), tmp_path / "m", size="dynamic", name="x")


def test_a_network_of_one_size_is_not_freed(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(4 * 64 * 48, 2))
    with pytest.raises(
        PreprocError, match=r"got none among 96x128, .*: it refuses .* cannot be multiplied .*, or fix the size of the pixels\n"
    ):
        export_bundle(prepend(PIPELINE, net), tmp_path / "m", example=ARRAY, size="dynamic")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [ARRAY, ARRAY.tolist(), None], ids=["array", "list", "None"])
@pytest.mark.parametrize(
    "take",
    [PIPELINE, MODEL, Rescale(), MinMaxNormalize(per="image"), Resize(size=8), lambda x: fold(MODEL, example=x)],
    ids=["pipeline", "model", "rescale", "minmax", "resize", "fold"],
)
def test_what_is_no_tensor_is_one_line(take, wrong):
    with pytest.raises(PreprocError, match=f"expected a tensor of torch, got {type(wrong).__name__}; torch.from_numpy"):
        take(wrong)


SPELT = {
    "pipeline": PIPELINE,
    "half": copy.deepcopy(PIPELINE).half().eval(),
    "meta": copy.deepcopy(PIPELINE).to("meta"),
    "layers": list(PIPELINE.layers),
    "sequential": PIPELINE.layers,
    "nested": nn.Sequential(PIPELINE.layers[0], nn.Sequential(*PIPELINE.layers[1:])),
    "steps": PIPELINE.steps(),
}
"""One pipeline: a file's constants are those of the steps, in float64, whatever the layers were cast to."""


@pytest.mark.parametrize("steps", SPELT.values(), ids=SPELT)
def test_attach_takes_pipelines_layers_and_steps(tmp_path, steps):
    """A FromPixels in front says all that pixels= would."""
    source = hand_made(tmp_path)
    pixels = PixelsSpec(layout="NHWC", color="BGR", dtype="uint8", size=None, channels=3)
    attach(source, tmp_path / "one.onnx", steps=PIPELINE.steps()[1:], pixels=pixels, verify=False)
    attach(source, tmp_path / "two.onnx", steps=steps, verify=False)
    one, two = ((tmp_path / name).read_bytes().replace(b'"two"', b'"one"') for name in ("one.onnx", "two.onnx"))
    assert one == two


def test_attach_says_what_is_missing_or_differs(tmp_path):
    source, out = hand_made(tmp_path), tmp_path / "out.onnx"
    grey = PixelsSpec(layout="NHWC", color="GRAY", dtype="uint8", size=None, channels=1)
    any_color = Pipeline(FromPixels(layout="NHWC", color="ANY", to="ANY"), Rescale())
    for options, message in (
        ({"steps": [Rescale()]}, "expected a FromPixels first, which says what the caller has, or pixels="),
        ({"steps": PIPELINE, "pixels": grey}, "expected pixels= as the FromPixels in front of the steps says, .*BGR.*, got .*GRAY"),
        ({"steps": PIPELINE, "model_color": "BGR"}, "expected model_color= as the FromPixels .* says, RGB, got BGR"),
        ({"steps": [nn.ReLU()]}, "expected a Pipeline, or layers or steps of preproc, got ReLU"),
        ({"steps": [*PIPELINE.steps(), {"step": "rescale"}]}, "expected a Pipeline, or layers or steps of preproc, got dict"),
        ({"steps": "imagenet"}, "expected a Pipeline, or layers or steps of preproc, got str"),
        ({"steps": MODEL}, "expected a Pipeline, or layers or steps of preproc, got Model"),
        ({"steps": any_color}, 'with the number of channels, for color = "ANY" does not say it'),
    ):
        with pytest.raises(PreprocError, match=message):
            attach(source, out, **options)
    assert not out.exists()


def test_as_steps_keeps_the_steps():
    assert as_steps(PIPELINE) == as_steps(list(PIPELINE.layers)) == PIPELINE.steps()
    assert as_steps(PIPELINE.layers[0]) == as_steps(PIPELINE.steps()[0]) == PIPELINE.steps()[:1]


def test_a_bundle_of_a_network_from_python_is_shown_and_says_what_it_lacks(tmp_path):
    """Its contract says all that stands in front of the network; that the network itself is not at hand is said in words."""
    pytest.importorskip("matplotlib")
    bundle = export_bundle(MODEL, tmp_path / "b", example=ARRAY, formats=["onnx"])
    Image.fromarray(ARRAY[0]).save(tmp_path / "a.png")
    write_picture(tmp_path / "a.png", bundle.folder, tmp_path / "shown.png")
    assert (tmp_path / "shown.png").stat().st_size > 1000
    (tmp_path / "pictures").mkdir()
    (tmp_path / "a.png").rename(tmp_path / "pictures" / "a.png")
    told = "the network was handed over in Python, and is not at hand: export it again where it is"
    with pytest.raises(BundleError, match=f"--images and --recipe need; {told}"):
        verify_bundle(bundle.folder, images=tmp_path / "pictures")
    report = verify_bundle(bundle.folder)
    (result,) = (result for result in report.results if result.runtime == "torch-cpu")
    assert result.reason == f"the original backbone is not at hand ({told})"
