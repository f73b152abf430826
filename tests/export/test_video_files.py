"""Bundles whose pixels are Y, U and V, in every format, with the planes in the first convolution; and .onnx files with them in front."""

import shutil
from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn

from preproc.bundle.inspection import describe, lines
from preproc.export import attach, export_bundle, verify_bundle
from preproc.folding import FOLDED
from preproc.layers import CenterCrop, FromPixels, Normalize, Pipeline, Rescale, Resize, prepend
from preproc.sources import PixelsSpec
from preproc.steps import FromPixels as Step
from tests.damage import edit_onnx, replace_weight
from tests.inputs_of_files import CASES, network, stereo
from tests.onnx_files import STEPS, hand_made, in_one_thread
from tests.yuv import pixels

HD = {"matrix": "bt709", "range": "limited"}
ALL = ["onnx", "torchscript", "pt2"]


class Net(nn.Module):
    """Asks how large its picture is."""

    written_once = True

    def __init__(self, stride=2):
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.head = nn.Conv2d(3, 8, 3, stride=stride, padding=1, bias=False), nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.conv(x).relu().sum((2, 3)) / (x.shape[2] * x.shape[3]))


def model(network, *moves, **said):
    front = Pipeline(FromPixels(layout="NHW", color="NV12", **HD | said), *moves, Rescale(), Normalize.preset("imagenet"))
    return prepend(front, network)


def folds(bundle):
    return {name: (entry["folded"], entry["form"], entry.get("chroma")) for name, entry in bundle.contract["fold"].items()}


@pytest.fixture(scope="module")
def nv12(tmp_path_factory):
    return export_bundle(model(Net()), tmp_path_factory.mktemp("nv12") / "net", size=(24, 20), formats=ALL)


def test_all_formats_read_planes_and_agree_with_the_oracle(nv12):
    assert {result.verdict for result in nv12.report.results if result.runtime.endswith("-cpu")} == {"passed"}
    assert folds(nv12) == dict.fromkeys(ALL, (True, "subtract", FOLDED))
    told = "\n".join(lines(describe(nv12.folder)))
    folded = "fold     onnx: folded into conv.weight, preproc/conv2d/weight, the cast and one subtraction left"
    assert f"{folded}\n         chroma folded, as pixels share it" in told
    assert "graph    agrees with the contract" in told


def test_all_formats_read_planes_that_are_resized_and_cropped(tmp_path):
    moves = Resize(size=(32, 28), form="exact"), CenterCrop(size=(24, 20))
    made = export_bundle(model(Net(), *moves), tmp_path / "b", size=(48, 64), formats=ALL)
    assert {result.verdict for result in made.report.results if result.runtime.endswith("-cpu")} == {"passed"}
    assert folds(made) == dict.fromkeys(ALL, (True, "subtract", FOLDED))
    assert "graph    agrees with the contract" in "\n".join(lines(describe(made.folder)))


def test_and_of_any_size_where_sizes_are_free(tmp_path):
    moves = (Resize(size=(24, 20), torch="float32"),)
    made = export_bundle(model(Net(), *moves), tmp_path / "b", size="dynamic", formats=ALL[:2], verify_sizes=[(16, 24), (50, 38)])
    assert {result.verdict for result in made.report.results if result.runtime.endswith("-cpu")} == {"passed"}
    assert folds(made) == dict.fromkeys(ALL[:2], (True, "subtract", FOLDED))


def first_weight_changed(made):
    replace_weight(made, lambda values: values * np.array([1.1], values.dtype))


def planes_exchanged(made):
    """What is subtracted of U is subtracted of V."""
    (held,) = [value for value in made.graph.initializers.values() if list(value.shape or ()) == [1, 2, 1, 1]]
    held.const_value = ir.tensor(held.const_value.numpy()[:, ::-1].copy(), name=held.name)


@pytest.mark.parametrize("change", [first_weight_changed, planes_exchanged])
def test_a_changed_file_fails_and_disagrees_with_its_contract(nv12, tmp_path, change):
    damaged = shutil.copytree(nv12.folder, tmp_path / "damaged")
    edit_onnx(damaged, change)
    assert not verify_bundle(damaged, runtimes=["ort-cpu"]).ok
    assert "graph    agrees with the contract" not in "\n".join(lines(describe(damaged)))


def test_free_sides_in_half_precision(tmp_path):
    made = export_bundle(
        model(Net()), tmp_path / "b", size="dynamic", precision="float16", formats=ALL[:2], verify_sizes=[(16, 24), (30, 18)]
    )
    assert folds(made) == dict.fromkeys(ALL[:2], (True, "append", FOLDED))
    assert {result.verdict for result in made.report.results if result.runtime.endswith("-cpu")} == {"passed"}


@pytest.mark.parametrize(
    ("stride", "said", "told"),
    [
        (1, {}, "the first convolution has the stride 1 down, and 2 pixels share one chroma value"),
        (2, {"chroma": "bilinear", "siting": "left"}, "chroma = 'bilinear' gives each pixel a chroma of its own"),
        (2, {"conversion": "rgb8"}, 'conversion = "rgb8" clips and rounds R, G and B, which no weights do'),
    ],
    ids=["stride-1", "bilinear", "rgb8"],
)
def test_else_each_pixel_gets_its_chroma_in_front(tmp_path, stride, said, told):
    made = export_bundle(model(Net(stride), **said), tmp_path / "b", size=(24, 20), formats=ALL[:2])
    assert {result.verdict for result in made.report.results if result.runtime.endswith("-cpu")} == {"passed"}
    for folded, form, chroma in folds(made).values():
        assert (folded, form) == (True, "subtract")
        assert told in chroma
    shown = "\n".join(lines(describe(made.folder)))
    assert f"         chroma given to each pixel in front: {told}" in shown
    assert (", the cast and one subtraction left, behind the conversion to RGB in 8 bits" in shown) is ("conversion" in said)


class Grey(nn.Module):
    """Of one channel."""

    written_once = True

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.conv, self.head = nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.conv(x).relu().mean((2, 3)))


GREYS = Normalize(mean=[0.5], std=[0.25], unit="0-1")


def grey(**said):
    return prepend(Pipeline(FromPixels(to="GRAY", **HD | said), Rescale(), GREYS), Grey())


@pytest.mark.parametrize(("color", "layout"), [("NV12", "NHW"), ("UYVY", "NHWC"), ("YUV444", "NCHW")])
def test_a_grey_network_reads_luma_alone(tmp_path, color, layout):
    example = pixels(color, layout, (24, 20))
    made = export_bundle(grey(color=color, layout=layout), tmp_path / "b", example=example, formats=ALL)
    assert {result.verdict for result in made.report.results if result.runtime.endswith("-cpu")} == {"passed"}
    assert folds(made) == dict.fromkeys(ALL, (True, "subtract", None))
    assert not {"bt601", "U", "chroma"} & {word for control in made.report.power.controls for word in control.name.split()}
    assert "range full for limited" in {control.name for control in made.report.power.controls}
    told = "\n".join(lines(describe(made.folder)))
    assert "graph    agrees with the contract" in told
    file = onnx.load(made.folder / "model.onnx")
    (conv,) = [node for node in file.graph.node if node.op_type == "Conv"]
    assert next(values.dims[:] for values in file.graph.initializer if values.name == conv.input[1]) == [8, 1, 3, 3]
    other = example.copy()
    without = {"NV12": np.s_[:, 24:], "UYVY": np.s_[..., 0], "YUV444": np.s_[:, 1:]}[color]
    other[without] = 255 - other[without]
    session = in_one_thread((made.folder / "model.onnx").read_bytes())
    np.testing.assert_array_equal(*(session.run(None, {"pixels": each})[0] for each in (example, other)))


def test_luma_is_resized_in_the_file(tmp_path):
    """In the fast form, whose roundings are drawn of luma alone."""
    front = Pipeline(FromPixels(layout="NHW", color="NV12", to="GRAY", **HD), Resize(size=(14, 18)), Rescale(), GREYS)
    made = export_bundle(prepend(front, Grey()), tmp_path / "b", size=(24, 20), formats=ALL[:2])
    assert {result.verdict for result in made.report.results if result.runtime.endswith("-cpu")} == {"passed"}
    assert {entry["folded"] for entry in made.contract["fold"].values()} == {True}
    assert "graph    agrees with the contract" in "\n".join(lines(describe(made.folder)))


def test_a_grey_file_with_another_range_inside_fails(tmp_path):
    made = export_bundle(grey(color="NV12", layout="NHW"), tmp_path / "b", size=(24, 20), formats=["onnx"])
    edit_onnx(made.folder, lambda opened: replace_weight(opened, lambda values: values * np.float32(219 / 255)))
    report = verify_bundle(made.folder, runtimes=["ort-cpu"])
    assert [result.verdict for result in report.results] == ["failed"]


@pytest.mark.parametrize("name", CASES)
def test_files_without_a_batch_and_of_frames_take_what_a_camera_gives(tmp_path, name):
    """Their convolutions have a stride of 1, or three dimensions."""
    shape, front, options, *_ = CASES[name]
    made = attach(network(tmp_path, shape, front, **options), tmp_path / "b", steps=[Step(layout="NHW", color="NV12", **HD), *STEPS])
    assert {result.verdict for result in made.report.results if result.runtime == "ort-cpu"} == {"passed"}
    layout = {"HWC": "HW", "NTHWC": "NTHW"}[CASES[name][3]]
    if layout == "HW":
        assert lines(describe(made.folder))[-1] == "graph    agrees with the contract"
    assert made.contract["input"]["layout"] == layout
    assert len(made.contract["input"]["shape"]) == len(layout)
    assert folds(made)["onnx"][:2] == (True, "subtract")


@pytest.mark.parametrize("shape", [("N", 3, "h", "w"), (2, 3, 24, 20)])
def test_an_onnx_file_with_free_sides_or_two_pictures_at_once(tmp_path, shape):
    spec = PixelsSpec.of(Step(layout="NHWC", color="UYVY", **HD), size=None if shape[0] == "N" else (24, 20), channels=3)
    steps = [Step(layout="NHWC", color="UYVY", **HD), *STEPS]
    made = attach(hand_made(tmp_path, shape=shape), tmp_path / "b", steps=steps, pixels=replace(spec, batch=2 if shape[0] == 2 else None))
    assert {result.verdict for result in made.report.results if result.runtime == "ort-cpu"} == {"passed"}
    assert folds(made)["onnx"] == (True, "subtract", FOLDED)


def test_two_pictures_of_one_network_come_from_two_cameras(tmp_path):
    steps = [Step(layout="NHW", color="NV12", **HD), *STEPS]
    made = attach(stereo(tmp_path, apart=True), tmp_path / "b", steps=steps, input_name=["left", "right"])
    assert {result.verdict for result in made.report.results if result.runtime == "ort-cpu"} == {"passed"}
    assert [view["layout"] for view in (made.contract["input"], *made.contract["pictures"])] == ["NHW", "NHW"]
