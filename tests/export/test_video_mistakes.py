"""Y, U and V read wrongly: an artefact that does so fails, its verdict names the mistake, and the report knew what it moves."""

import dataclasses
import shutil

import onnx
import pytest
import torch
from torch import nn

from preproc.cli.tables import print_report
from preproc.export import attach, export_bundle, verify_bundle
from preproc.layers import FromPixels, Normalize, Pipeline, Rescale, prepend
from preproc.steps import OTHER_CONVERSIONS, mistaken
from preproc.steps import FromPixels as Step
from tests.damage import rehash
from tests.onnx_files import STEPS, hand_made

FIRST = Step(layout="NHW", color="NV12", matrix="bt709", range="limited")
MISTAKES = {name: step for name, step in mistaken(FIRST).items() if name not in OTHER_CONVERSIONS}


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """A bundle, beside m.onnx, which it was made from."""
    folder = tmp_path_factory.mktemp("right")
    return attach(hand_made(folder), folder / "b", steps=[FIRST, *STEPS])


def controls(report):
    return {control.name: control for control in report.power.controls}


def test_every_mistake_is_in_the_report_with_what_it_moves(right):
    assert len(MISTAKES) == 5
    found = controls(right.report)
    least = 10 * max(result.tolerance for result in right.report.results if result.tolerance)
    assert all(found[name].movement > least for name in MISTAKES)
    assert {name for name in MISTAKES if found[name].movement < found["mean shifted by one grey level"].movement} <= {
        "matrix bt2020 for bt709"
    }


@pytest.mark.parametrize("name", MISTAKES)
def test_an_artefact_with_the_mistake_inside_fails_and_it_is_named(right, tmp_path, name):
    """What runs is not what the contract says."""
    damaged = shutil.copytree(right.folder, tmp_path / "damaged")
    attach(right.folder.parent / "m.onnx", tmp_path / "wrong.onnx", steps=[MISTAKES[name], *STEPS], verify=False)
    model = onnx.load(tmp_path / "wrong.onnx")
    onnx.helper.set_model_props(model, {entry.key: entry.value for entry in onnx.load(damaged / "model.onnx").metadata_props})
    onnx.save(model, damaged / "model.onnx")
    rehash(damaged)
    (result,) = verify_bundle(damaged, runtimes=["ort-cpu"], recipe=right.folder.parent / "m.onnx").results
    assert result.verdict == "failed"
    assert result.explained == (name,)
    assert f"a wrong input: Y, U and V read with {name}" in result.reason


def test_the_other_conversion_is_measured_on_photographs_and_is_no_mistake(right, capsys):
    control = controls(right.report)["clipped and rounded to 8 bits"]
    assert 1e-3 < control.movement < 0.05
    assert control.told == "no mistake, but the other conversion: of 3 photographs 2.4 % of the values clip, by up to 24 levels"
    assert not control.is_possible
    assert "neither clipped nor rounded" not in controls(right.report)
    print_report(right.report)
    assert "no mistake, but the other conversion: of 3 photographs 2.4 % of the values clip" in " ".join(capsys.readouterr().out.split())
    (one,) = [dataclasses.replace(right.report.power, controls=(control,)).weakness()]
    assert one == "none of the known mistakes could show: there is nothing to compare the tolerance with"


class Luma(nn.Module):
    """Answers the mean of BT.709's luma, which no chroma goes into."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1)
        weights = torch.tensor([0.2126, 0.7152, 0.0722]) * torch.tensor([0.229, 0.224, 0.225])
        self.conv.weight = nn.Parameter(weights.reshape(1, 3, 1, 1))

    def forward(self, x):
        return self.conv(x).mean((2, 3))


def bundle(folder, net, **said):
    first = FromPixels(layout="NHW", color="NV12", matrix="bt709", range="limited", **said)
    model = prepend(Pipeline(first, Rescale(), Normalize.preset("imagenet")), net)
    return export_bundle(model, folder, size=(96, 128), formats=["torchscript"])


def test_what_cannot_be_seen_on_these_pictures_is_told(tmp_path):
    report = bundle(tmp_path / "b", Luma()).report
    result = next(result for result in report.results if result.runtime == "torchscript-cpu")
    assert result.verdict == "inconclusive"
    for blind in ("U and V exchanged", "chroma half a pixel aside"):
        assert controls(report)[blind].movement < 1e-7
        assert blind in result.reason
    assert result.reason.startswith("these mistakes would move the outputs by less than 10 tolerances of ")
    assert "range full for limited" not in result.reason


def test_values_that_clip_are_counted_in_either_conversion(tmp_path):
    """And of 8 bits it is the linear one that is the other."""
    told, moved = set(), []
    for name, conversion in zip(OTHER_CONVERSIONS, ("linear", "rgb8"), strict=True):
        torch.manual_seed(0)
        power = bundle(tmp_path / conversion, nn.Conv2d(3, 4, 5, stride=5), conversion=conversion).report.power
        (control,) = [control for control in power.controls if control.name == name]
        told.add(control.told)
        moved.append(control.movement * max(power.scale.values()))
    (one,) = told
    assert one.startswith("no mistake, but the other conversion: of 3 photographs ")
    assert " % of the values clip, by up to " in one
    assert moved[0] == pytest.approx(moved[1], rel=1e-6)
