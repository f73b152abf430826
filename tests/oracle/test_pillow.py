"""Whose order of passes: the step says it, all that resizes follows it, and the Pillow here judges both orders."""

import json
import shutil
import warnings
from importlib import metadata

import numpy as np
import PIL
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.models import ResNet18_Weights

from preproc import layers
from preproc.bundle import steps_of, to_recipe
from preproc.bundle.inspection import describe
from preproc.cli.attach_options import Options, steps_and_pixels
from preproc.errors import BundleError, PreprocError, RecipeError
from preproc.export import export_bundle, verify_bundle
from preproc.layers import Pipeline
from preproc.oracle import pillow, reference
from preproc.sources import load_recipe, parse_recipe, published
from preproc.sources.backbones import Backbone, agreement
from preproc.steps import (
    PILLOWS,
    CenterCrop,
    FromPixels,
    Letterbox,
    Normalize,
    Resampling,
    Rescale,
    Resize,
    Step,
    installed_pillow,
    parse,
    with_pillow,
)
from preproc.verify.runtimes import onnxruntime
from tests.commands import run
from tests.conftest import ROOT
from tests.onnx_files import STEPS, alone, hand_made, put

HERE = 12 if int(metadata.version("pillow").split(".")[0]) < 13 else 13
OTHER = {12: 13, 13: 12}[HERE]
SIDES = st.integers(1, 60)
TALL, SMALL = (331, 200), (56, 64)
"""From the one to the other Pillow 13 begins with the rows."""
CLIP = {
    "image_processor_type": "CLIPImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 64},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 64, "width": 64},
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
}


def noise(size):
    return np.random.default_rng(3).integers(0, 256, (1, 3, *size), dtype=np.uint8)


def by_passes(x, new, interpolation, *, rows_first):
    """Pillow itself, asked for one axis at a time: so every Pillow can make both orders."""
    method = getattr(Image.Resampling, interpolation.upper())
    sides = [(new[1], x.shape[2]), new[::-1]] if not rows_first else [(x.shape[3], new[0]), new[::-1]]
    planes = []
    for plane in x[0]:
        image = Image.fromarray(plane)
        for side in sides:
            image = image.resize(side, method)
        planes.append(np.asarray(image))
    return np.array(planes)[None]


def removes_more(old, new):
    return old[0] - new[0] > max(0, 2 * (old[1] - new[1]))


@given(old=st.tuples(SIDES, SIDES), new=st.tuples(SIDES, SIDES), interpolation=st.sampled_from(["bilinear", "bicubic"]))
def test_both_orders_are_pillows(old, new, interpolation):
    x = noise(old)
    for order in PILLOWS:
        expected = by_passes(x, new, interpolation, rows_first=order == 13 and removes_more(old, new))
        assert np.array_equal(reference.apply([Resize(size=new, interpolation=interpolation, pillow=order)], x), expected)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_the_other_order_shows_where_they_differ(interpolation):
    """The Pillow that is installed is one of the two."""
    x, method = noise(TALL), getattr(Image.Resampling, interpolation.upper())
    truth = np.array([np.asarray(Image.fromarray(plane).resize(SMALL[::-1], method)) for plane in x[0]])[None]
    made = {order: reference.apply([Resize(size=SMALL, interpolation=interpolation, pillow=order)], x) for order in PILLOWS}
    assert np.array_equal(made[HERE], truth)
    assert (made[OTHER] != truth).mean() > 0.1
    assert pillow.vertical_first(TALL, SMALL, 13)
    assert not pillow.vertical_first(TALL, SMALL, 12)


def test_left_out_it_is_the_installed_ones():
    assert installed_pillow() == HERE
    assert Resize(size=8).pillow == Letterbox(size=8, antialias=True).pillow == HERE
    assert Resize(size=8, interpolation="nearest").pillow is Resize(size=8, antialias=False).pillow is Letterbox(size=8).pillow is None
    for step in (Resize(size=8), Resize(size=8, pillow=OTHER)):
        assert step.spec()["pillow"] == step.pillow
        assert f"pillow={step.pillow}" in repr(layers.from_step(step))
        assert f"pillow={step.pillow}" in repr(step)
        assert parse(json.loads(json.dumps(step.spec()))) == step
    assert layers.Resize(size=8, pillow=OTHER).step.pillow == OTHER
    assert layers.Letterbox(size=8, antialias=True, pillow=OTHER).step.pillow == OTHER


@pytest.mark.parametrize(("version", "order"), [("9.5.0.post2", 12), ("11.0.0", 12), ("12.3.0", 12), ("13.0.0", 13), ("14.1.0.dev0", 13)])
def test_versions(monkeypatch, version, order):
    monkeypatch.setattr(PIL, "__version__", version)
    assert Resize(size=8).pillow == order


def test_steps_take_another_order_where_they_have_one():
    steps = [
        FromPixels(layout="NHWC"),
        Resize(size=8),
        Resize(size=8, antialias=False),
        Letterbox(size=8, antialias=True),
        CenterCrop(size=8),
    ]
    assert [getattr(step, "pillow", None) for step in with_pillow(steps, OTHER)] == [None, OTHER, None, OTHER, None]
    assert with_pillow(steps, None) == with_pillow(steps, HERE) == tuple(steps)
    with pytest.raises(PreprocError, match="expected 12 or 13, got 11"):
        with_pillow([Rescale()], 11)


@pytest.mark.parametrize("order", PILLOWS)
def test_a_recorded_layer_has_both_orders_only_if_it_needs_them(order):
    layer, x = layers.from_step(Resize(size=SMALL, pillow=order)), torch.from_numpy(noise(TALL)).float()
    free = torch.export.Dim
    shapes = ({0: free("N"), 2: free("h", max=32768), 3: free("w", max=32768)},)
    two = torch.cat([x, x])
    program = torch.export.export(layer, (two,), dynamic_shapes=shapes, strict=False)
    assert sum("index_select" in str(node.target) for node in program.graph.nodes) == {12: 2, 13: 4}[order]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(layer, x)
        scripted = torch.jit.script(layer)
    expected = reference.apply([layer.step], noise(TALL))
    for made in (layer, program.module(), traced, scripted):
        assert np.array_equal(made(two)[:1].numpy(), expected)


@pytest.mark.parametrize("order", PILLOWS)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("form", ["fast", "exact"])
def test_files_follow_the_step(order, interpolation, form):
    x = np.ascontiguousarray(np.moveaxis(noise(TALL), 1, -1))
    steps = {name: [FromPixels(layout="NHWC"), Resize(size=SMALL, interpolation=interpolation, form=form, pillow=name)] for name in PILLOWS}
    expected, other = (reference.apply(steps[name], x) for name in (order, 25 - order))
    for size in (TALL, None) if form == "fast" else (TALL,):
        made = onnxruntime().InferenceSession(alone(steps[order], size=size), providers=["CPUExecutionProvider"])
        (got,) = made.run(None, {"pixels": x})
        assert (got != expected).mean() < (0.01 if form == "fast" else 1e-9)
        assert (got != other).mean() > 0.1


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


def recipe(**changes):
    table = {
        "name": "x",
        "steps_from": "weights",
        "backbone": {"source": "torchvision", "name": "resnet18", "weights": "IMAGENET1K_V1", "color": "RGB"},
        "pixels": {"layout": "NHWC", "color": "RGB", "size": "dynamic"},
    }
    return parse_recipe({key: value for key, value in (table | changes).items() if value is not None}, folder=ROOT)


def test_recipes_choose_it_beside_the_weights():
    assert recipe().steps[1].pillow == HERE
    for order in PILLOWS:
        assert recipe(pillow=order).steps[1].pillow == order
    with pytest.raises(RecipeError, match=r"^pillow: expected 12 or 13, got 11; 12 stands for every older Pillow"):
        recipe(pillow=11)
    with pytest.raises(RecipeError, match=r"^pillow: expected 12 or 13, got '12'"):
        recipe(pillow="12")
    with pytest.raises(RecipeError, match=r"pillow: expected beside steps_from, got 12 without; in .* each resize may say its own"):
        recipe(pillow=12, steps_from=None, steps=[{"step": "resize", "size": 224}])


def test_weights_do_not_know_their_pillow():
    """Their constants agree with a recipe of either."""
    known = published.from_torchvision(ResNet18_Weights.IMAGENET1K_V1)
    for order in PILLOWS:
        assert agreement(recipe(pillow=order), Backbone(torch.nn.Identity(), "w", True, known)) == "yes"


@pytest.mark.parametrize("order", PILLOWS)
def test_published_pipelines_of_either(order):
    sources = {"torchvision": ResNet18_Weights.IMAGENET1K_V1, "timm": "resnet50.a1_in1k", "huggingface": CLIP}
    for name, source in sources.items():
        make = getattr(Pipeline, f"from_{name}")
        assert make(source).steps()[1].pillow == HERE
        assert make(source, pillow=order).steps()[1].pillow == order
        with pytest.raises(PreprocError, match="pillow: expected 12 or 13, got 14"):
            make(source, pillow=14)
    assert published.named_weights("ResNet18_Weights.IMAGENET1K_V1", pillow=order).steps[0].pillow == order
    assert published.from_huggingface(CLIP | {"resample": 0}, pillow=order).steps[0].pillow is None


def test_a_transform_here_has_the_order_of_the_pillow_here():
    assert Pipeline.from_torchvision(ResNet18_Weights.IMAGENET1K_V1, pillow=HERE).to_torchvision()
    with pytest.raises(PreprocError, match=f"order of passes of Pillow {HERE}, which is installed, got {OTHER}'s"):
        Pipeline.from_torchvision(ResNet18_Weights.IMAGENET1K_V1, pillow=OTHER).to_torchvision()


def test_attach_takes_it(tmp_path):
    file = hand_made(tmp_path, shape=("N", 3, 64, 64))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(CLIP))
    source = ["--huggingface", tmp_path / "preprocessor_config.json"]
    done = run("attach", file, "-o", tmp_path / "out", *source, "--pillow", OTHER, check=0)
    assert f"resizes otherwise than Pillow {OTHER}" in " ".join(done.stdout.split())
    assert f"pillow {OTHER}" in run("inspect", tmp_path / "out", check=0).stdout
    wrong = run("attach", file, "-o", tmp_path / "no", *source, "--pillow", "11", check=1)
    assert (
        wrong.stderr
        == "preproc: error: --pillow: expected 12 or 13, got 11; 12 stands for every older Pillow, 13 for every newer one [step-value]\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "imagenet"}, "--pillow: expected beside one of --huggingface, --timm, --torchvision, .* got it with --preset"),
        ({"mean": "1", "std": "1", "units": "0-1"}, "--pillow: expected beside .* got it with --mean"),
        ({"recipe": ROOT / "models" / "digits.toml"}, "expected --recipe without --pillow"),
    ],
    ids=lambda value: None if isinstance(value, str) else next(iter(value)),
)
def test_attach_takes_it_beside_what_is_published_only(options, message):
    with pytest.raises(PreprocError, match=message):
        steps_and_pixels(Options(**{"pillow": 12} | options))


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
