"""The columns of tests/survey/precision.md: what they are zero for, and what damage they show."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from PIL import Image
from torch import nn

from preproc.export import export_bundle, quantize_bundle
from preproc.layers import prepend
from tests import survey_precision
from tests.survey.precision import errors, networks, peers
from tests.survey.precision.errors import Errors
from tests.survey.precision.peers import Written


@pytest.fixture(scope="module")
def shown():
    """A padded convolution behind ImageNet's normalization."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    )
    pictures = np.random.default_rng(0).integers(0, 256, (12, 20, 24, 3), dtype=np.uint8)
    pictures = np.clip(pictures * np.linspace(0.2, 1, 12).reshape(-1, 1, 1, 1), 0, 255).astype(np.uint8)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    net = net.eval().requires_grad_(False)
    networks.react(net, torch.from_numpy(networks.normalized(pictures[1::2], mean, std).astype(np.float32)))
    return networks.Network("small", net, mean, std, pictures[::2], pictures[1::2])


@pytest.fixture(scope="module")
def made(shown, tmp_path_factory):
    """Folder, and files by what they are."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "pictures").mkdir()
    for number, picture in enumerate(shown.calibration):
        Image.fromarray(picture).save(folder / "pictures" / f"{number}.png")
    bare = peers.bare(shown, folder)
    return folder, {
        "in float32": Written(peers.in_front(shown, bare, folder)),
        "float16": peers.ours_in_half(shown, folder)[0],
        "int8": peers.ours_in_eight(shown, bare, folder / "pictures", folder, per_channel=True),
    }


@pytest.fixture(scope="module")
def truth(shown):
    return errors.truth_of(shown)


def told(shown, written, truth):
    found = errors.errors_of(shown, errors.in_onnxruntime(written, shown.shown), truth)
    return {name: float(np.sqrt(np.square(getattr(found, name)).mean())) for name in ("inside", "border", "logits", "from_first")}


def damaged(written, folder, change):
    """The file with what `change` makes of the weight and the bias of its first convolution."""
    model = onnx.load(written.file)
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    for tensor in model.graph.initializer:
        if tensor.name in conv.input:
            values = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(change(values).astype(values.dtype), tensor.name))
    onnx.save(model, folder / "damaged.onnx")
    return Written(folder / "damaged.onnx")


def test_float64_is_the_truth_and_float32_is_near_it(shown, made, truth):
    found = told(shown, made[1]["in float32"], truth)
    assert all(value < 3e-6 for value in found.values())
    assert errors.border_of(shown).sum() == 10 + 12 - 1  # stride 2: the first row and the first column


def test_a_border_that_is_not_the_mean_shows_there_alone(shown, made, truth):
    folder, files = made
    right, wrong = told(shown, files["float16"], truth), told(shown, peers.without_channel(files["float16"], folder), truth)
    assert right["border"] < 6e-4
    assert wrong["border"] > 2 * right["border"]
    assert wrong["inside"] < 2 * right["inside"]


FIRST = ("inside", "border", "from_first")


@pytest.mark.parametrize(("kind", "levels", "columns"), [("float16", 1, (*FIRST, "logits")), ("int8", 8, FIRST)], ids=["float16", "int8"])
def test_a_shifted_mean_shows(shown, made, truth, kind, levels, columns):
    """In int8 not at the logits: what is rounded behind a mean over few channels is more."""
    right = told(shown, made[1][kind], truth)
    wrong = told(shown, Written(made[1][kind].file, lambda pixels: np.clip(pixels.astype(int) + levels, 0, 255).astype(np.uint8)), truth)
    assert all(wrong[name] > 3 * right[name] for name in columns)


def test_damaged_weights_show(shown, made, truth):
    folder, files = made
    right = told(shown, files["float16"], truth)
    wrong = told(shown, damaged(files["float16"], folder, lambda values: values * 1.02), truth)
    assert all(wrong[name] > 5 * right[name] for name in right)


def test_the_files_are_those_that_the_commands_write(shown, made, tmp_path):
    model = prepend(peers.pipeline(shown), shown.module)
    said = {"example": shown.example, "name": "m"}
    half = export_bundle(model, tmp_path / "half", formats=["onnx"], precision="float16", quick=True, **said).folder
    eight = quantize_bundle(model, tmp_path / "eight", images=made[0] / "pictures", per_channel=True, **said).folder
    for kind, folder in (("float16", half), ("int8", eight)):
        ours, theirs = (errors.opened(file)(shown.shown)[0] for file in (made[1][kind].file, folder / "model.onnx"))
        assert np.array_equal(ours, theirs)


def fake(scale, border=1.0):
    values = scale * np.linspace(1, 2, 20)
    return Errors(values, border * values, values, values, 1.0)


def test_a_peer_that_is_nearer_is_told_with_the_reason():
    rows = [
        survey_precision.Row("float16", "n", by, "torch", found)
        for by, found in {"preproc": fake(1.0), "far": fake(2.0), "near": fake(0.5), "near at the border": fake(1.0, border=0.9)}.items()
    ]
    lines = list(survey_precision.compared(rows))
    assert [near for near, _ in lines] == [True] * 3 + [False] * 3 + [True, False, True]
    assert "near in torch: the first convolution, inside, ours over theirs 2.00: [2.00, 2.00] over the pictures" in lines[3][1]
    assert "no less than theirs" in lines[5][1]
    assert "do not tell it from 1" not in lines[7][1]
