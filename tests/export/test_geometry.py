"""Whole files that resize, crop and pad: photographs of any size, and what proves them."""

from dataclasses import replace as replace_step

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from preproc import graph
from preproc.bundle.inspection import describe
from preproc.errors import PreprocError, RecipeError
from preproc.export import export_bundle, verify_bundle
from preproc.oracle import pillow
from preproc.sources import parse_recipe, replace
from preproc.steps import CenterCrop, Resize
from preproc.steps.resize import TORCHES
from preproc.verify import sizes_of
from preproc.verify.runtimes.ort import _output_types
from tests.conftest import ROOT
from tests.onnx_files import STEPS, hand_made, in_one_thread, put


@pytest.mark.parametrize("dtype", TORCHES)
def test_files_with_torchs_resizes_are_verified(tmp_path, dtype):
    file = hand_made(tmp_path)
    steps = [Resize(size=(24, 20), torch=dtype), *STEPS]
    for size, form in ((None, "fast"), ((61, 50), "exact")):
        made = put(file, tmp_path / form, steps=[replace_step(steps[0], form=form), *STEPS], size=size)
        assert made.report.ok
        assert (made.report.power.slack > 0) == (dtype == "uint8" and form == "fast")
        assert made.contract["steps"][1]["torch"] == dtype
        assert "pillow" not in made.contract["steps"][1]


def recipe_of(form="fast", size="dynamic", interpolation="bilinear"):
    """digits, from photographs of any size."""
    table = {
        "name": "photos",
        "backbone": {"source": "embedded", "name": "digits", "weights": "digits.safetensors", "color": "RGB"},
        "pixels": {"layout": "NHWC", "color": "BGR", "size": size},
        "steps": [
            {"step": "resize", "size": 36, "interpolation": interpolation, "form": form},
            {"step": "center_crop", "size": 32},
            {"step": "rescale"},
            {"step": "normalize", "stats": "digits.stats.json"},
        ],
    }
    return parse_recipe(table, folder=ROOT / "models")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return export_bundle(recipe_of(), tmp_path_factory.mktemp("photos") / "photos")


def test_a_bundle_takes_photographs_of_any_size(photos, rng):
    report = photos.report
    verdicts = {result.runtime: result for result in report.results if result.verdict != "absent"}
    assert {result.verdict for result in verdicts.values()} == {"passed"}
    assert report.power.slack > 0
    assert verdicts["torchscript-cpu"].error < report.power.tolerance - report.power.slack  # torch resizes exactly
    moved = {control.name: control.movement for control in report.power.controls}
    assert min(moved["resize without antialiasing"], moved["picture moved by one pixel"]) > 10 * report.power.tolerance
    assert any("-" in name and "x" in name for name in report.inputs)  # several sizes
    made = in_one_thread(photos.folder / "model.onnx")
    for size in [(100, 70), (31, 200), (32, 32)]:
        x = rng.integers(0, 256, (3, *size, 3), dtype=np.uint8)
        assert made.run(None, {"pixels": x})[0].shape == (3, 10)
    assert photos.contract["input"]["shape"] == ["N", "height", "width", 3]
    assert describe(photos.folder)["agreement"]["agrees"]


def test_an_exact_bundle_has_the_tolerance_of_one_without_a_resize(tmp_path):
    report = export_bundle(recipe_of("exact", [75, 100]), tmp_path / "exact").report
    assert report.ok
    assert report.power.slack == 0
    assert max(result.error for result in report.results if result.error is not None) < 5e-6


def test_a_file_that_resizes_otherwise_fails(tmp_path, monkeypatch):
    """Without antialiasing, as most other libraries do it."""

    save = graph.save

    def spoiled(model, path, *_):
        for node in model.graph:
            if node.op_type == "Resize":
                for name in ("antialias", "exclude_outside"):
                    node.attributes[name] = ir.AttrInt64(name, 0)
        save(model, path)

    monkeypatch.setattr("preproc.graph.save", spoiled)
    with pytest.raises(PreprocError, match="ort-cpu: error"):
        export_bundle(replace(recipe_of(), export={"formats": ("onnx",)}), tmp_path / "spoiled")
    assert not (tmp_path / "spoiled").exists()


def rewritten(bundle, change, path):
    model = onnx.load(bundle.folder / "model.onnx")
    change(model.graph)
    onnx.save(model, path)
    return describe(path)["agreement"]


def test_inspect_sees_other_resizes_and_what_comes_behind_them(photos, tmp_path):
    def no_antialias(made):
        for node in made.node:
            for attribute in node.attribute:
                if attribute.name in ("antialias", "exclude_outside"):
                    attribute.i = 0

    def other_weights(made):
        name = next(node for node in made.node if node.op_type == "Conv").input[1]
        weight = next(tensor for tensor in made.initializer if tensor.name == name)
        weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * 2, name))

    def renamed(made):
        for node in made.node:
            for names in (node.input, node.output):
                names[:] = [f"v{name}" if name.startswith("preproc/") else name for name in names]
        for tensor in made.initializer:
            tensor.name = f"v{tensor.name}" if tensor.name.startswith("preproc/") else tensor.name

    def rewired(made):
        for node in made.node:
            if node.op_type == "Concat" and len(node.input) == 2:
                node.input[:] = list(node.input)[::-1]

    assert "resizes and crops" in rewritten(photos, rewired, tmp_path / "d.onnx")["wrong"][0]
    assert rewritten(photos, lambda _: None, tmp_path / "same.onnx") == {"agrees": True, "wrong": [], "not_compared": []}
    assert "resizes and crops" in rewritten(photos, no_antialias, tmp_path / "a.onnx")["wrong"][0]
    assert "the convolutions that took the normalization up" in rewritten(photos, other_weights, tmp_path / "b.onnx")["wrong"][0]
    other_names = rewritten(photos, renamed, tmp_path / "c.onnx")
    assert other_names["agrees"]
    assert "renamed their values" in other_names["not_compared"][0]


def test_sizes_that_are_verified_reach_every_branch():
    recipe = recipe_of()
    assert any(pillow.vertical_first(size, Resize(size=36).output_size(size), 13) for size in sizes_of(recipe))
    limited = replace(recipe, steps=(recipe.steps[0], Resize(size=36, max_size=50), *recipe.steps[2:]))
    assert any(Resize(size=36).output_size(size) != Resize(size=36, max_size=50).output_size(size) for size in sizes_of(limited))


def test_an_exact_onnx_file_needs_a_static_size(tmp_path):
    with pytest.raises(PreprocError, match='one static size for form = "exact"'):
        export_bundle(recipe_of("exact"), tmp_path / "out")


def test_the_model_has_to_take_what_the_steps_make(tmp_path):
    file = hand_made(tmp_path, shape=("N", 3, 24, 20))
    steps = [Resize(size=(30, 30), interpolation="bicubic"), CenterCrop(size=(24, 20)), *STEPS]
    made = put(file, tmp_path / "out", steps=steps)
    assert made.contract["input"]["shape"][1:3] == ["height", "width"]
    assert made.report.ok
    assert verify_bundle(made.folder, runtimes=["ort-cpu"]).ok
    with pytest.raises(PreprocError, match="the steps: expected height 24, which the model's input image has, got 23"):
        put(file, tmp_path / "no", steps=[CenterCrop(size=(23, 20)), *STEPS])
    with pytest.raises(PreprocError, match="expected height 24, which the model's input image has, got dynamic"):
        put(file, tmp_path / "no", steps=[Resize(size=24), *STEPS])


def test_old_models_take_the_exact_form_as_they_are(tmp_path):
    file = hand_made(tmp_path, shape=("N", 3, 24, 20), opset=13)
    bundle = put(file, tmp_path / "out", steps=[Resize(size=(24, 20), form="exact"), *STEPS], size=(50, 41))
    assert bundle.report.ok
    assert onnx.load(bundle.folder / "model.onnx").opset_import[0].version == 13


def test_a_recipe_says_where_geometry_is_wrong():
    table = {
        "name": "x",
        "backbone": {"source": "embedded", "name": "digits", "weights": "w", "color": "RGB"},
        "pixels": {"layout": "NHWC", "color": "RGB", "size": "dynamic"},
        "steps": [{"step": "rescale"}, {"step": "resize", "size": 32}],
    }
    with pytest.raises(RecipeError, match="pictures are resized, cropped and padded first"):
        parse_recipe(table, folder=ROOT)


def test_pictures_in_integers_count_as_pictures_on_a_device(tmp_path):
    """Whatever of them ran on the CPU must not pass for shape arithmetic."""
    put(hand_made(tmp_path), tmp_path / "linear.onnx", steps=[Resize(size=(24, 20), antialias=False), *STEPS])
    kinds = _output_types(tmp_path / "linear.onnx")
    assert {kind for name, kind in kinds.items() if name.endswith(("_Mul", "_Add", "_Gather"))} == {
        "integer",
        "floating",
    }  # sizes, and pixels
    put(hand_made(tmp_path), tmp_path / "fast.onnx", steps=[Resize(size=(24, 20)), *STEPS])
    assert {kind for name, kind in _output_types(tmp_path / "fast.onnx").items() if name.endswith("_Resize")} == {"floating"}
    put(hand_made(tmp_path), tmp_path / "free.onnx", steps=[Resize(size=40, interpolation="nearest"), CenterCrop(size=(24, 20)), *STEPS])
    kinds = _output_types(tmp_path / "free.onnx")
    assert {kind for name, kind in kinds.items() if name.endswith(("_CumSum", "_Div"))} == {"integer"}  # positions, in float64
    assert {kind for name, kind in kinds.items() if name.endswith(("_Cast", "_Pad", "_Slice"))} == {"integer", "floating"}


@pytest.mark.parametrize(("form", "verdict"), [("fast", "failed"), ("exact", "passed")])
def test_openvino_does_not_antialias_resize_nodes_and_verify_says_so(tmp_path, form, verdict):
    """openvino 2026.4 reads antialias = 1 and does without; the exact form has no such node."""
    file = hand_made(tmp_path)
    steps = [Resize(size=(24, 20), form=form), *STEPS]
    made = put(file, tmp_path / "out", steps=steps, size=(61, 67))
    (result,) = verify_bundle(made.folder, runtimes=["openvino-cpu"]).results
    assert result.verdict == verdict, result
