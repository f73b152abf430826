"""Bundles whose files resize and crop planes of Y, U and V: folded, verified, and which mistakes inside are named."""

import dataclasses
import json
import shutil

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from preproc.bundle.inspection import describe
from preproc.export import attach, verify_bundle
from preproc.folding.modules import fold
from preproc.layers import Pipeline, prepend
from preproc.sources import PixelsSpec
from preproc.steps import OTHER_CONVERSIONS, CenterCrop, FromPixels, Resize, mistaken
from tests.damage import rehash
from tests.onnx_files import STEPS, hand_made, in_one_thread
from tests.yuv import pixels

FIRST = FromPixels(layout="NHW", color="NV12", matrix="bt709", range="limited")
MOVES = (Resize(size=(28, 24), form="exact"), CenterCrop(size=(24, 20)))
SIZE = (48, 64)
TAKEN = PixelsSpec.of(FIRST, size=SIZE, channels=3)
WHY = "the planes are resized or cropped in front, and each pixel is given its chroma behind that"
WRONG = {
    "range full for limited": (dataclasses.replace(FIRST, range="full"), *MOVES),
    "U and V exchanged": (dataclasses.replace(FIRST, color="NV21"), *MOVES),
    OTHER_CONVERSIONS[0]: (dataclasses.replace(FIRST, conversion="rgb8"), *MOVES),
    "resized bicubic": (FIRST, dataclasses.replace(MOVES[0], interpolation="bicubic"), MOVES[1]),
}


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """A bundle, beside m.onnx, which it was made from."""
    folder = tmp_path_factory.mktemp("right")
    return attach(hand_made(folder), folder / "b", steps=[FIRST, *MOVES, *STEPS], pixels=TAKEN)


def test_it_is_folded_and_says_what_is_left_of_chroma(right):
    (found,) = json.loads((right.folder / "manifest.json").read_text())["contract"]["fold"].values()
    assert (found["folded"], found["chroma"]) == (True, WHY)
    told = describe(right.folder / "model.onnx")
    assert told["agreement"] is None or not told["agreement"].get("differs")
    assert "bytes of Y, U and V" in told["picture"]["reason"]


def test_the_report_knows_what_each_mistake_moves_and_how_far_resizing_rgb_is(right):
    found = {control.name: control for control in right.report.power.controls}
    for name in mistaken(FIRST):
        if name not in OTHER_CONVERSIONS:
            assert found[name].movement > 10 * right.report.power.tolerance
    other = found[OTHER_CONVERSIONS[0]]
    assert 1e-3 < other.movement < 0.2
    assert not other.is_possible
    assert other.told.startswith("no mistake, but the other conversion: of 3 photographs ")
    assert "; what is resized or cropped is RGB then, " in other.told
    assert "levels away on average" in other.told


@pytest.mark.parametrize("name", WRONG)
def test_an_artefact_with_a_mistake_inside_fails_and_it_is_named(right, tmp_path, name):
    damaged = shutil.copytree(right.folder, tmp_path / "damaged")
    attach(
        right.folder.parent / "m.onnx",
        tmp_path / "wrong.onnx",
        steps=[*WRONG[name], *STEPS],
        pixels=PixelsSpec.of(WRONG[name][0], size=SIZE, channels=3),
        verify=False,
    )
    model = onnx.load(tmp_path / "wrong.onnx")
    onnx.helper.set_model_props(model, {entry.key: entry.value for entry in onnx.load(damaged / "model.onnx").metadata_props})
    onnx.save(model, damaged / "model.onnx")
    rehash(damaged)
    (result,) = verify_bundle(damaged, runtimes=["ort-cpu"], recipe=right.folder.parent / "m.onnx").results
    assert result.verdict == "failed"
    assert result.explained == (name,)


@pytest.mark.parametrize("conversion", ["linear", "rgb8"])
def test_where_sizes_are_free_pictures_of_whole_blocks_are_verified(tmp_path, conversion):
    first = dataclasses.replace(FIRST, conversion=conversion)
    made = attach(hand_made(tmp_path), tmp_path / "b", steps=[first, Resize(size=(24, 20), torch="float32"), *STEPS])
    assert {result.verdict for result in made.report.results if result.verdict != "absent"} == {"passed"}


@pytest.mark.parametrize(("color", "layout", "chroma"), [("NV12", "NHW", WHY), ("YUYV", "NHWC", WHY), ("YUV444", "NCHW", "")])
def test_in_python_the_conversion_is_in_the_weights(color, layout, chroma):
    torch.manual_seed(0)
    first = dataclasses.replace(FIRST, color=color, layout=layout, chroma=None)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU()).double()
    model = prepend(Pipeline.from_steps([first, *MOVES, *STEPS], dtype=torch.float64), net)
    x = torch.from_numpy(pixels(color, layout, SIZE, batch=2))
    result = fold(model, example=x)
    assert (result.folded, result.chroma) == (True, chroma)
    with torch.no_grad():
        np.testing.assert_allclose(result.model(x), model(x), rtol=0, atol=1e-12)


def test_the_file_answers_as_the_module_does(right):
    x = pixels("NV12", "NHW", SIZE, batch=2)
    (got,) = in_one_thread((right.folder / "model.onnx").read_bytes()).run(None, {"pixels": x})
    ready = Pipeline.from_steps([FIRST, *MOVES, *STEPS])(torch.from_numpy(x)).numpy()
    (want,) = in_one_thread((right.folder.parent / "m.onnx").read_bytes()).run(None, {"image": ready})
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())
