"""Recipes whose pixels are Y, U and V."""

import re
import tomllib

import pytest

from preproc.errors import RecipeError
from preproc.sources import PixelsSpec, load_front, parse_front
from preproc.steps import FromPixels, Normalize, Rescale
from tests.conftest import ROOT

STEPS = {"steps": [{"step": "rescale"}, {"step": "normalize", "preset": "imagenet"}], "backbone": {"color": "RGB"}}
GOOD = {"color": "NV12", "matrix": "bt709", "range": "limited", "size": [32, 48]}


def front(folder, **pixels):
    said = {key: value for key, value in (GOOD | pixels).items() if value is not None}
    return parse_front({**STEPS, "pixels": said}, folder=folder)


def test_the_page_says_a_recipe_that_is_one(tmp_path):
    page = (ROOT / "models" / "README.md").read_text(encoding="utf-8").partition("## Cameras and video")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "m.toml").write_text(block + '[backbone]\ncolor = "RGB"\n[[steps]]\nstep = "rescale"\n')
    first = load_front(tmp_path / "m.toml").steps[0]
    assert first == FromPixels(layout="NHW", color="NV12", matrix="bt709", range="limited")
    said = tomllib.loads(block.replace("# conv", "conv").replace("# chroma", "chroma").replace("# siting", "siting"))["pixels"]
    assert {"conversion", "chroma", "siting"} < set(said)
    for key, text in re.findall(r"^#? ?(\w+) = .*?# (?:default: \")?([\w |]+)", block, re.MULTILINE):
        assert all(re.search(rf"`?\"?{word}\"?`?", page) for word in text.split(" | ")), key


def test_what_is_said_becomes_the_first_step_and_the_pixels(tmp_path):
    found = front(tmp_path)
    first = FromPixels(layout="NHW", color="NV12", to="RGB", matrix="bt709", range="limited")
    assert found.steps == (first, Rescale(), Normalize.preset("imagenet"))
    assert found.pixels == PixelsSpec.of(first, size=(32, 48), channels=3)
    assert (found.pixels.matrix, found.pixels.range, found.pixels.layout) == ("bt709", "limited", "NHW")
    assert found.pixels.shape(5) == (5, 48, 48)
    assert front(tmp_path, size="dynamic").pixels.shape(2, (64, 32)) == (2, 96, 32)
    bilinear = front(tmp_path, color="YUYV", chroma="bilinear", siting="left", conversion="linear")
    assert bilinear.steps[0] == FromPixels(
        layout="NHWC", color="YUYV", matrix="bt709", range="limited", conversion="linear", chroma="bilinear", siting="left"
    )
    assert bilinear.pixels.shape(2) == (2, 32, 48, 2)
    assert front(tmp_path, color="YUV444", layout="NCHW", conversion="rgb8").pixels.shape(2) == (2, 3, 32, 48)


@pytest.mark.parametrize(
    ("pixels", "message", "name"),
    [
        ({"matrix": None}, r"\[pixels\] from_pixels: expected matrix = one of .* got nothing.*ffprobe", "yuv-unspecified"),
        ({"range": None}, r"\[pixels\] from_pixels: expected range = one of limited, full", "yuv-unspecified"),
        ({"size": [32, 47]}, r"\[pixels\] size: expected a height and a width that are multiples of 2 and 2.* 32x47", "shape-mismatch"),
        ({"layout": "NHWC"}, r"\[pixels\] layout: expected one of NHW, got 'NHWC'", "unknown-choice"),
        ({"color": "YUV444"}, r"\[pixels\] layout: expected a value, got nothing", "missing-key"),
        ({"color": "nv12"}, "did you mean 'NV12'", "unknown-choice"),
        ({"matrx": "bt709", "matrix": None}, "yuv-unspecified|got nothing", "yuv-unspecified"),
        ({"channels": 1}, r"\[pixels\] channels: expected 3", "channel-mismatch"),
        ({"color": "RGB", "layout": "NHWC"}, "matrix: expected beside a colour of Y, U and V", "option-without-effect"),
        ({"dtype": "uint16"}, "expected uint8 for NV12 pixels", "pixel-dtype"),
        ({"matrix": 709}, r"\[pixels\] matrix: expected a string, got 709", "recipe-value"),
    ],
)
def test_what_is_refused(tmp_path, pixels, message, name):
    with pytest.raises(RecipeError, match=message) as caught:
        front(tmp_path, **pixels)
    assert caught.value.name == name


def test_planes_are_resized_to_whole_blocks_and_have_no_border(tmp_path):
    def parsed(step, **pixels):
        return parse_front({**STEPS, "steps": [step, *STEPS["steps"]], "pixels": {**GOOD, **pixels}}, folder=tmp_path)

    assert parsed({"step": "resize", "size": [16, 18]}).steps[1].size == (16, 18)
    for step, told in (
        ({"step": "resize", "size": [16, 17]}, r'resize: expected a height .* write size = \[16, 18\], or conversion = "rgb8"'),
        ({"step": "letterbox", "size": 16}, r'step 2 \(letterbox\): expected a resize or a crop .* conversion = "rgb8"'),
    ):
        with pytest.raises(RecipeError, match=rf"\[\[steps\]\]: {told}"):
            parsed(step)
        assert parsed(step, conversion="rgb8").steps[1].name == step["step"]
