"""attach on files of older opsets: another form of resizes, a raised opset, or a refusal before the work."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from preproc.errors import PreprocError
from preproc.export import export_bundle
from preproc.sources import parse_recipe
from preproc.steps import Normalize, Rescale, Resize
from tests.onnx_files import STEPS, hand_made, old_network, put

RESIZED = [Resize(size=(24, 20)), *STEPS]
UNRAISED = {
    9: [helper.make_node("Dropout", ["image"], ["d", "m"], name="drop"), helper.make_node("Add", ["d", "m"], ["first"])],
    12: [
        helper.make_node("Constant", [], ["roi"], value=numpy_helper.from_array(np.float32([0] * 4 + [1] * 4))),
        helper.make_node("Constant", [], ["scales"], value=numpy_helper.from_array(np.float32([1] * 4))),
        helper.make_node("Resize", ["image", "roi", "scales"], ["first"], name="up", coordinate_transformation_mode="tf_half_pixel_for_nn"),
    ],
}
"""In front of the first layer, by opset: what means another thing, or nothing, in newer ones."""


def opset_of(bundle):
    return onnx.load(bundle.folder / "model.onnx").opset_import[0].version


def test_the_opset_is_raised_no_further_than_the_steps_need(tmp_path):
    file = old_network(tmp_path)
    free = put(file, tmp_path / "free", steps=RESIZED, form="auto")
    assert free.report.ok
    assert free.contract["notes"] == [
        "the model's opset was raised from 9 to 18, which resize needs; written otherwise, to the same effect: "
        "Clip, Dropout, Pad, ReduceMean, Slice, Upsample"
    ]
    assert opset_of(free) == 18
    old, new = ({tensor.name: tensor for tensor in onnx.load(path).graph.initializer} for path in (file, free.folder / "model.onnx"))
    assert all(new[name] == tensor for name, tensor in old.items() if name != "w")
    sized = put(file, tmp_path / "sized", steps=RESIZED, form="auto", size=(31, 40))
    assert sized.report.ok
    assert opset_of(sized) == 10
    assert [note.split("; ")[0] for note in sized.contract["notes"]] == [
        "resizes are in the exact form, for a model of opset 9 has no nodes for the fast one",
        "the model's opset was raised from 9 to 10, which resize needs",
    ]
    plain = put(file, tmp_path / "plain", steps=[Rescale(), Normalize.preset("imagenet")], form="auto")
    assert (opset_of(plain), plain.contract["notes"]) == (9, [])


def test_auto_takes_the_exact_form_where_that_needs_no_other_opset(tmp_path):
    for opset in (13, 18):
        (tmp_path / str(opset)).mkdir()
    old, new = (hand_made(tmp_path / str(opset), shape=("N", 3, 24, 20), opset=opset) for opset in (13, 18))
    taken = put(old, tmp_path / "old", steps=RESIZED, size=(50, 41), form="auto")
    assert taken.report.ok
    assert (taken.contract["steps"][1]["form"], opset_of(taken)) == ("exact", 13)
    assert "resizes are in the exact form, for a model of opset 13 has no nodes for the fast one" in taken.contract["notes"]
    assert put(new, tmp_path / "new", steps=RESIZED, size=(50, 41), form="auto").contract["steps"][1]["form"] == "fast"
    assert put(new, tmp_path / "said", steps=RESIZED, size=(50, 41), form="exact").contract["steps"][1]["form"] == "exact"
    asked = put(old, tmp_path / "asked", steps=RESIZED, size=(50, 41), form="fast")
    assert (asked.contract["steps"][1]["form"], opset_of(asked)) == ("fast", 18)


def test_a_recipes_file_is_raised_too(tmp_path):
    old_network(tmp_path)
    recipe = parse_recipe(
        {
            "name": "m",
            "backbone": {"source": "onnx", "weights": "m.onnx", "color": "RGB"},
            "pixels": {"layout": "NHWC", "color": "RGB", "size": "dynamic"},
            "steps": [{"step": "resize", "size": [24, 20]}, {"step": "rescale"}],
            "export": {"formats": ["onnx"]},
        },
        folder=tmp_path,
    )
    bundle = export_bundle(recipe, tmp_path / "out")  # which raises where a runtime fails; a fast resize needs more room than one score has
    assert bundle.report.results[0].verdict in ("passed", "inconclusive")
    assert opset_of(bundle) == 18


@pytest.mark.parametrize("opset", UNRAISED)
@pytest.mark.parametrize("form", [None, "fast", "auto", "exact"])
def test_what_cannot_be_raised_is_refused_before_the_reference(tmp_path, monkeypatch, opset, form):
    def never(*_, **__):
        raise AssertionError

    monkeypatch.setattr("preproc.export.exporter.prove", never)
    file = hand_made(tmp_path, shape=("N", 3, 24, 20), opset=opset, nodes=UNRAISED[opset])
    if opset >= 11 and form in ("auto", "exact"):
        with pytest.raises(AssertionError):  # it has nodes for the exact form
            put(file, tmp_path / "no", steps=RESIZED, size=(50, 41), form=form)
        return
    reason = r"Dropout 'drop': somebody reads its mask" if opset < 11 else r"Resize 'up': its coordinates, tf_half_pixel_for_nn"
    with pytest.raises(
        PreprocError, match=rf"expected a model of opset 1[08] or newer for resize, got opset {opset}, .*: {reason}"
    ) as caught:
        put(file, tmp_path / "no", steps=RESIZED, size=(50, 41), form=form)
    assert caught.value.name == "opset-too-old"
    assert "export it again with a newer opset" in str(caught.value)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("opset", UNRAISED)
def test_the_pixels_size_is_named_as_a_way_out_where_it_is_one(tmp_path, opset):
    file = hand_made(tmp_path, shape=("N", 3, 24, 20), opset=opset, nodes=UNRAISED[opset])
    with pytest.raises(PreprocError) as caught:
        put(file, tmp_path / "no", steps=RESIZED, form="auto")
    assert ("or say the pixels' size (--size H,W)" in str(caught.value)) == (opset >= 11)
