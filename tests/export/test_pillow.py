"""Contracts keep whose order of passes a file has, whatever Pillow verifies it."""

import json
import shutil

import PIL
import pytest

from preproc.bundle import steps_of, to_recipe
from preproc.bundle.inspection import describe
from preproc.errors import BundleError, PreprocError
from preproc.export import export_bundle, verify_bundle
from preproc.sources import load_recipe, published
from preproc.steps import (
    PILLOWS,
    Normalize,
    Resampling,
    Resize,
    Step,
)
from tests.commands import run
from tests.onnx_files import STEPS, hand_made, put
from tests.pillows import CLIP, HERE, OTHER


def with_resize(order=None):
    return [Resize(size=(24, 20), pillow=order), *STEPS]


@pytest.fixture
def installed(monkeypatch):
    """Pretends that another Pillow's order is the installed one, for what is left out."""

    def pretend(order):
        monkeypatch.setattr("preproc.steps.resize.installed_pillow", lambda: order)

    return pretend


@pytest.mark.parametrize("order", PILLOWS)
def test_contracts_keep_it(tmp_path, installed, order):
    made = put(hand_made(tmp_path), tmp_path / "out", steps=with_resize(order))
    installed(25 - order)
    assert made.contract["steps"][1]["pillow"] == order
    assert steps_of(made.contract)[1].pillow == to_recipe(made.contract).steps[1].pillow == order
    told = run("inspect", tmp_path / "out", check=0).stdout
    assert f"form fast, pillow {order}, size [24, 20]" in told
    assert verify_bundle(tmp_path / "out", runtimes=["ort-cpu"]).ok
    shutil.copy(tmp_path / "m.onnx", tmp_path / "same.onnx")
    assert verify_bundle(tmp_path / "out", recipe=tmp_path / "same.onnx").ok


@pytest.mark.parametrize("order", PILLOWS)
def test_contracts_from_before_have_13s_whatever_is_installed(tmp_path, monkeypatch, installed, order):
    with monkeypatch.context() as patch:  # as they were written
        patch.setattr(Resampling, "spec", lambda step: {key: value for key, value in Step.spec(step).items() if key != "pillow"})
        made = put(hand_made(tmp_path), tmp_path / "out", steps=with_resize(13))
    assert "pillow" not in made.contract["steps"][1]
    installed(order)
    assert Resize(size=8).pillow == order
    assert steps_of(made.contract)[1].pillow == to_recipe(made.contract).steps[1].pillow == 13
    assert describe(tmp_path / "out")["agreement"] == {"agrees": True, "wrong": [], "not_compared": []}
    assert verify_bundle(tmp_path / "out", recipe=tmp_path / "m.onnx").ok


@pytest.mark.parametrize("value", [11, "13", True])
def test_contracts_with_other_numbers_are_refused(tmp_path, value):
    made = put(hand_made(tmp_path), tmp_path / "out", steps=with_resize())
    made.contract["steps"][1]["pillow"] = value
    (tmp_path / "out" / "manifest.json").write_text(json.dumps(made.manifest))
    with pytest.raises(BundleError, match=r"expected a whole contract of preproc, .* expected 12 or 13"):
        verify_bundle(tmp_path / "out")


RECIPE = """
name = "out"
[backbone]
source = "onnx"
weights = "m.onnx"
color = "RGB"
[pixels]
layout = "NHWC"
color = "RGB"
size = "dynamic"
[[steps]]
step = "resize"
size = [24, 20]
{}
[[steps]]
step = "rescale"
[[steps]]
step = "normalize"
preset = "imagenet"
[export]
formats = ["onnx"]
"""


def written(folder, line=""):
    (folder / "out.toml").write_text(RECIPE.format(line))
    return folder / "out.toml"


def test_a_recipe_that_leaves_it_open_verifies_a_bundle_of_either(tmp_path, installed):
    """It was decided where the bundle was exported."""
    installed(OTHER)
    hand_made(tmp_path)
    file = written(tmp_path)
    made = export_bundle(load_recipe(file), tmp_path / "out")
    assert made.contract["steps"][1]["pillow"] == OTHER
    installed(HERE)
    assert load_recipe(file).steps[1].pillow == HERE
    assert verify_bundle(made.folder, recipe=file).ok
    written(tmp_path, f"pillow = {HERE}")
    with pytest.raises(BundleError, match="expected the steps of the bundle, got other ones"):
        verify_bundle(made.folder, recipe=file)


def attached(tmp_path, steps, known, *, size=None):
    file = hand_made(tmp_path, shape=("N", 3, 64, 64))
    return put(file, tmp_path / "out", steps=steps, size=size, steps_from=known.origin)


def test_verify_says_that_another_pillow_resizes_otherwise(tmp_path):
    known = published.from_huggingface(CLIP, pillow=OTHER)
    report = attached(tmp_path, known.steps, known).report
    (result,) = [result for result in report.results if result.verdict != "absent"]
    assert (result.runtime, result.verdict, report.ok, report.original.results) == ("ort-cpu", "passed", True, ())
    reason = report.original.reason
    said = f"Pillow {PIL.__version__} here resizes otherwise than Pillow {OTHER}, whose order of passes the file has: model-ready tensors"
    assert reason.startswith(f"{said} differ by up to ")
    assert " of the largest value (on photo-" in reason
    assert "\n" not in reason
    assert 1e-3 < float(reason.split("up to ")[1].split()[0]) < 0.1
    assert verify_bundle(tmp_path / "out", recipe=tmp_path / "m.onnx").original.reason == reason


def test_where_the_orders_are_the_same_it_compares(tmp_path):
    known = published.from_huggingface(CLIP, pillow=OTHER)
    original = attached(tmp_path, known.steps, known, size=(100, 150)).report.original
    assert (original.reason, original.pictures) == ("", 3)
    assert {result.verdict for result in original.results if result.verdict != "absent"} == {"passed"}


@pytest.mark.parametrize("order", PILLOWS)
def test_other_steps_are_refused_on_every_machine(tmp_path, order):
    known = published.from_huggingface(CLIP, pillow=order)
    resize, crop, *rest = known.steps
    for wrong in (
        [Resize(size=64, pillow=order), crop, *rest],
        [resize, crop, *rest[:-1], Normalize(mean=(0.5, 0.4, 0.31), std=(0.2, 0.3, 0.4), unit="0-1")],
    ):
        with pytest.raises(PreprocError, match=r"expected the steps to compute what Hugging Face preprocessor_config \(.*\) computes here"):
            attached(tmp_path, wrong, known)
    assert not (tmp_path / "out").exists()
