"""Bundles whose files resize and crop planes of Y, U and V: folded, verified, and which mistakes inside are named."""

import dataclasses
import json
import shutil

import numpy as np
import onnx
import pytest
import torch

from preproc.bundle.inspection import describe
from preproc.export import attach, verify_bundle
from preproc.folding import FOLDED
from preproc.layers import Pipeline
from preproc.sources import PixelsSpec
from preproc.steps import OTHER_CONVERSIONS, CenterCrop, FromPixels, Resize, mistaken
from tests.damage import rehash
from tests.onnx_files import STEPS, hand_made, in_one_thread
from tests.yuv import pixels

FIRST = FromPixels(layout="NHW", color="NV12", matrix="bt709", range="limited")
MOVES = (Resize(size=(28, 24), form="exact"), CenterCrop(size=(24, 20)))
SIZE = (48, 64)
TAKEN = PixelsSpec.of(FIRST, size=SIZE, channels=3)
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


def test_it_is_folded_and_reads_the_planes_as_they_are_moved(right):
    (found,) = json.loads((right.folder / "manifest.json").read_text())["contract"]["fold"].values()
    assert (found["folded"], found["chroma"]) == (True, FOLDED)
    assert [found["moved"]["channels"], found["moved"]["beside"]["channels"]] == [1, 2]
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
    attach(
        right.folder.parent / "m.onnx",
        tmp_path / "wrong.onnx",
        steps=[*WRONG[name], *STEPS],
        pixels=PixelsSpec.of(WRONG[name][0], size=SIZE, channels=3),
        verify=False,
    )
    assert explained(right, tmp_path, onnx.load(tmp_path / "wrong.onnx")) == (name,)


def test_u_and_v_exchanged_behind_the_resize_fail_and_are_named(right, tmp_path):
    model = onnx.load(right.folder / "model.onnx")
    (found,) = json.loads((right.folder / "manifest.json").read_text())["contract"]["fold"].values()
    chroma = found["moved"]["beside"]["to"]
    for node in model.graph.node:
        for at, source in enumerate(node.input):
            if source == chroma:
                node.input[at] = "exchanged"
    place = 1 + next(at for at, node in enumerate(model.graph.node) if chroma in node.output)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 0]), "v_u"))
    model.graph.node.insert(place, onnx.helper.make_node("Gather", [chroma, "v_u"], ["exchanged"], axis=1))
    assert explained(right, tmp_path, model) == ("U and V exchanged",)


def explained(right, folder, model):
    """What a bundle's failure is explained with that has this model in place of its own."""
    damaged = shutil.copytree(right.folder, folder / "damaged")
    onnx.helper.set_model_props(model, {entry.key: entry.value for entry in onnx.load(damaged / "model.onnx").metadata_props})
    onnx.save(model, damaged / "model.onnx")
    rehash(damaged)
    (result,) = verify_bundle(damaged, runtimes=["ort-cpu"], recipe=right.folder.parent / "m.onnx").results
    assert result.verdict == "failed"
    return result.explained


@pytest.mark.parametrize("conversion", ["linear", "rgb8"])
def test_where_sizes_are_free_pictures_of_whole_blocks_are_verified(tmp_path, conversion):
    first = dataclasses.replace(FIRST, conversion=conversion)
    made = attach(hand_made(tmp_path), tmp_path / "b", steps=[first, Resize(size=(24, 20), torch="float32"), *STEPS])
    assert {result.verdict for result in made.report.results if result.verdict != "absent"} == {"passed"}


def test_the_file_answers_as_the_module_does(right):
    x = pixels("NV12", "NHW", SIZE, batch=2)
    (got,) = in_one_thread((right.folder / "model.onnx").read_bytes()).run(None, {"pixels": x})
    ready = Pipeline.from_steps([FIRST, *MOVES, *STEPS])(torch.from_numpy(x)).numpy()
    (want,) = in_one_thread((right.folder.parent / "m.onnx").read_bytes()).run(None, {"image": ready})
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())
