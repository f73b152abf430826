"""The first layer of a file in 8 bits, alone, on all 256 levels of each channel, against float64: what a damaged one would answer."""

import dataclasses
import json

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from preproc import graph
from preproc.cli.tables import print_report
from preproc.errors import VerificationError
from preproc.export import exporter, quantize_bundle
from preproc.export.eight import in_eight_bits
from preproc.export.job import Eight
from preproc.export.levels import on_all_levels
from preproc.export.quantizing import Quantization, calibrated_with
from preproc.folding import Eight as Form
from preproc.verify import Report
from tests.calibrations import TABLE, pictures, recipe
from tests.onnx_files import hand_made


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A bundle, its recipe, and the float network."""
    folder = tmp_path_factory.mktemp("levels")
    hand_made(folder)
    images = pictures(folder / "p", 6, size=(24, 20), std=20)  # that reach few levels
    return quantize_bundle(recipe(folder), folder / "out", images=images), recipe(folder), folder / "m.onnx"


def test_a_right_file_is_within_the_rounding_of_its_weights_on_every_level(made):
    levels = made[0].report.levels
    assert (levels.levels, levels.layers, levels.reason, levels.wrong) == (256, 1, "", "")
    assert 0.2 < levels.share <= 1
    assert 1e-3 < levels.error < 2e-2
    assert Report.from_json(made[0].report.to_json()).levels == levels


def change(model, name, how):
    """Of the initializer of that name."""
    value = model.graph.initializers[name]
    array = value.const_value.numpy().copy()
    value.const_value = ir.tensor(np.asarray(how(array), array.dtype), name=name)


def swapped(weight):
    return weight[:, [1, 0, 2, 3]]


def one_channel(weight):
    weight[5] += np.where(weight[5] < 200, 3, -3).astype(weight.dtype)
    return weight


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("first_scale", lambda scale: scale * 1.03),
        ("first_zero_point", lambda zero: zero + 1),
        ("w_scale", lambda scale: scale * np.where(np.arange(scale.size) == 2, 1.05, 1)),
        ("w_zero_point", lambda zero: zero + 2),
        ("w_quantized", swapped),
        ("w_quantized", one_channel),
        ("b_quantized", lambda bias: bias + np.where(np.arange(bias.size) == 3, 500, 0)),
        ("preproc/3_Pad/2_Expand/0", lambda level: level + 3),
    ],
    ids=["scale", "zero-point", "one-weight-scale", "weight-zero-point", "channels", "one-channel", "bias", "appended"],
)
def test_a_damaged_one_is_not(made, tmp_path, name, how):
    model = graph.load(made[0].folder / "model.onnx")
    change(model, name, how)
    graph.save(model, tmp_path / "model.onnx")
    levels = on_all_levels(tmp_path / "model.onnx", made[2], made[1], Form())
    assert levels.wrong.startswith("its first layer, alone, is off by "), levels


def test_one_that_makes_no_numbers_is_not(made, tmp_path):
    model = graph.load(made[0].folder / "model.onnx")
    change(model, "w_scale", lambda scale: scale * np.where(np.arange(scale.size) == 2, np.nan, 1))
    graph.save(model, tmp_path / "model.onnx")
    levels = on_all_levels(tmp_path / "model.onnx", made[2], made[1], Form())
    assert "makes numbers that are not finite of all levels of channel 0" in levels.wrong
    json.dumps(dataclasses.asdict(levels), allow_nan=False)


def test_nothing_is_published_then(tmp_path, monkeypatch):
    hand_made(tmp_path)
    whole = exporter.on_all_levels

    def spoilt(file, *given):
        model = graph.load(file)
        change(model, "first_zero_point", lambda zero: zero + 1)
        graph.save(model, file)
        return whole(file, *given)

    monkeypatch.setattr(exporter, "on_all_levels", spoilt)
    with pytest.raises(VerificationError, match="expected the first layers to compute what the reference does, got that its first layer"):
        quantize_bundle(recipe(tmp_path), tmp_path / "out", images=pictures(tmp_path / "p", 4, size=(24, 20)))
    assert not (tmp_path / "out").exists()


NEAR = [TABLE["steps"][0], {"step": "normalize", "mean": [0.41, 0.4, 0.39], "std": [0.2, 0.2, 0.2], "unit": "0-1"}]
SMALLER = [{"step": "resize", "size": [24, 20], "interpolation": "bilinear", "form": "exact"}, *TABLE["steps"]]


def file_of(folder, given, images, **options):
    """model.onnx alone, as quantize_bundle() writes it, and how it was asked for."""
    asked = Quantization(images, **options)
    model = graph.load(folder / "m.onnx")
    done = graph.attach(model, given.steps, given.pixels, old=given.backbone.input, layout=given.backbone.layout, eight=asked.form)
    model, _, _ = in_eight_bits(model, given, Eight(asked, calibrated_with(images, given)), done)
    graph.save(model, folder / "model.onnx")
    return folder / "model.onnx", folder / "m.onnx", given, asked.form


@pytest.mark.parametrize(
    ("changes", "options", "size"),
    [
        ({}, {"target": "tensorrt"}, (24, 20)),
        ({"steps": NEAR}, {"border": "nearest"}, (24, 20)),
        ({"steps": SMALLER, "pixels": {"layout": "NCHW", "color": "RGB", "size": [48, 40]}}, {}, (48, 40)),
    ],
    ids=["tensorrt", "nearest", "resized"],
)
def test_other_forms(tmp_path, changes, options, size):
    hand_made(tmp_path)
    images = pictures(tmp_path / "p", 4, size=size)
    levels = on_all_levels(*file_of(tmp_path, recipe(tmp_path, **changes), images, **options))
    assert levels.reason == ""
    assert 0.2 < levels.share <= 1
    assert levels.levels > 200


def test_where_it_cannot_be_asked_the_reason_is_told(made, tmp_path, capsys):
    hand_made(tmp_path, nodes=[helper.make_node("Neg", ["image"], ["first"])])
    levels = on_all_levels(*file_of(tmp_path, recipe(tmp_path), pictures(tmp_path / "p", 4, size=(24, 20))))
    assert levels.reason.startswith("they do not read the pixels themselves")
    print_report(dataclasses.replace(made[0].report, levels=levels))
    assert "the first layer alone was not asked for all levels: they do not" in capsys.readouterr().out
    whole = [TABLE["steps"][0], {"step": "standardize"}]
    for steps, told in ((whole, "the pixels are not the quantized tensor: "), ([SMALLER[0] | {"form": "fast"}], "a fast resize rounds")):
        other = recipe(made[2].parent, steps=[*steps, *TABLE["steps"]] if steps is not whole else whole)
        assert on_all_levels(made[0].folder / "model.onnx", made[2], other, Form()).reason.startswith(told)
