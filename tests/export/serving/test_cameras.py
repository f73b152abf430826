"""A camera's NV12 behind a server: what its golden samples are, what config.pbtxt says, and a server that reads it wrongly."""

import numpy as np
import pytest
import torch
from torch import nn

from preproc.bundle import open_bundle
from preproc.export import attach, export_bundle
from preproc.export.serving import package, serve_check, triton
from preproc.layers import FromPixels, Pipeline, Rescale, prepend
from preproc.sources import PixelsSpec
from preproc.steps import FromPixels as Step
from preproc.steps import mistaken
from tests.export.serving.fake import serving
from tests.export.serving.repositories import config_of
from tests.onnx_files import STEPS, hand_made

NV12 = Step(layout="NHW", color="NV12", matrix="bt709", range="limited")


@pytest.fixture(scope="module")
def nv12(tmp_path_factory):
    """24x20, beside m.onnx."""
    folder = tmp_path_factory.mktemp("nv12")
    return attach(hand_made(folder), folder / "camera", steps=[NV12, *STEPS])


def test_golden_samples_are_what_a_camera_gives(nv12):
    files = sorted(nv12.folder.glob("golden/*/pixels.npy"))
    assert len(files) > 3
    for file in files:
        pixels = np.load(file)
        assert (pixels.shape[-2:], pixels.dtype) == ((36, 20), np.uint8)
    assert {case.pixels.shape for case in open_bundle(nv12.folder).golden()} == {(1, 36, 20)}


def test_triton_is_told_rows_and_columns_and_puts_pictures_together(nv12, tmp_path):
    config = config_of(package(nv12.folder, tmp_path / "repo", max_batch=4))
    (pixels,), (warmup,) = config.input, config.model_warmup
    assert (config.max_batch_size, list(config.dynamic_batching.preferred_batch_size)) == (4, [2, 4])
    assert (pixels.name, triton.schema_of().DataType.Name(pixels.data_type), list(pixels.dims)) == ("pixels", "TYPE_UINT8", [36, 20])
    assert (warmup.batch_size, list(warmup.inputs["pixels"].dims)) == (1, [36, 20])
    case = open_bundle(nv12.folder).golden()[0]
    assert (tmp_path / "repo" / "camera" / "warmup" / "pixels").read_bytes() == case.pixels.tobytes()


@pytest.mark.parametrize(
    ("shape", "said", "dims", "most"),
    [
        (("N", 3, "h", "w"), {}, [-1, -1], 8),
        (("N", 3, 24, 20), {"layout": "NHWC", "color": "YUYV"}, [24, 20, 2], 8),
        ((2, 3, 24, 20), {}, [2, 36, 20], 0),
    ],
    ids=["free", "yuyv", "two"],
)
def test_other_shapes(tmp_path, shape, said, dims, most):
    first = Step(**{"layout": "NHW", "color": "NV12", "matrix": "bt709", "range": "limited", **said})
    size = None if shape[2] == "h" else shape[2:]
    spec = PixelsSpec.of(first, size=size, channels=3, batch=2 if shape[0] == 2 else None)
    made = attach(hand_made(tmp_path, shape=shape), tmp_path / "b", steps=[first, *STEPS], pixels=spec)
    config = config_of(package(made.folder, tmp_path / "repo"))
    assert (list(config.input[0].dims), config.max_batch_size) == (dims, most)


def test_torchscript_says_the_same(tmp_path):
    torch.manual_seed(0)
    front = Pipeline(FromPixels(layout="NHW", color="NV12", matrix="bt709", range="limited"), Rescale())
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    made = export_bundle(prepend(front, net), tmp_path / "b", size=(24, 20), formats=["torchscript"])
    config = config_of(package(made.folder, tmp_path / "repo", backend="pytorch"))
    assert (list(config.input[0].dims), config.max_batch_size) == ([36, 20], 8)


def served(bundle, file):
    """What serve_check says of a server of another model's file that tells as the bundle's."""
    (output,) = bundle.contract["outputs"]
    told = {
        "inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [-1, 36, 20]}],
        "outputs": [{"name": output["name"], "datatype": "FP32", "shape": [-1, 4]}],
    }
    with serving(file, metadata=told, names=("pixels", output["name"])) as url:
        return serve_check(url, bundle.folder, model="digits", requests=2)[0].results[0]


def test_serve_check_sends_what_a_camera_gives(nv12):
    right = served(nv12, nv12.folder / "model.onnx")
    cases = len(open_bundle(nv12.folder).golden())
    assert (right.verdict, right.pictures) == ("passed", 2 * cases + 2)


@pytest.mark.parametrize("name", ["matrix bt601 for bt709", "range full for limited", "U and V exchanged"])
def test_a_server_of_another_conversion_fails_and_it_is_named(nv12, tmp_path, monkeypatch, name):
    attach(nv12.folder.parent / "m.onnx", tmp_path / "wrong.onnx", steps=[mistaken(NV12)[name], *STEPS], verify=False)
    monkeypatch.chdir(nv12.folder.parent)  # where the network is looked for
    wrong = served(nv12, tmp_path / "wrong.onnx")
    assert (wrong.verdict, wrong.explained) == ("failed", (name,))
