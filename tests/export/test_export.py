"""Recipes of every kind become bundles that pass, or are refused with the reason."""

import contextlib
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from preproc import graph
from preproc.bundle import open_bundle
from preproc.errors import NotFoldableError, PreprocError
from preproc.export import export_bundle, verify_bundle
from preproc.export.formats import dynamic
from preproc.export.formats.dynamic import time_limit
from preproc.layers import (
    LocalResponseNorm,
)
from preproc.sources import load_recipe, replace
from preproc.sources.backbones import load_backbone
from preproc.steps import FromPixels as FromPixelsStep
from preproc.steps import Normalize as NormalizeStep
from preproc.verify.runtimes import OrtCpu
from tests.conftest import ROOT

DIGITS = load_recipe(ROOT / "models" / "digits.toml")


def test_grey_pixels_keep_their_digits_in_front_of_a_padded_convolution(tmp_path):
    """Three unequal means over a small std: the appended channel alone would lose the digits that the verification asks for."""
    grey = replace(DIGITS, steps=(FromPixelsStep(layout="NHWC", color="GRAY", to="RGB"), *DIGITS.steps[1:]))
    bundle = export_bundle(replace(grey, pixels={"color": "GRAY", "channels": 1}), tmp_path / "digits", formats=["onnx", "torchscript"])
    assert bundle.report.ok, [result.reason for result in bundle.report.results]
    assert {entry["form"] for entry in bundle.contract["fold"].values()} == {"append"}


def test_a_recipe_without_fold_gives_the_same_numbers(tmp_path, exported, rng):
    bundle = export_bundle(replace(DIGITS, export={"fold": "off"}), tmp_path / "digits", formats=["onnx"])
    assert bundle.report.ok
    assert [one.contract["fold"]["onnx"]["folded"] for one in (exported, bundle)] == [True, False]
    runtimes = [OrtCpu(), OrtCpu()]
    pixels = rng.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    for runtime, folder in zip(runtimes, (bundle.folder, exported.folder), strict=True):
        runtime.open(folder / "model.onnx")
    ours, theirs = (runtime.run(pixels)["logits"] for runtime in runtimes)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5 * np.abs(theirs).max())


def test_fold_require_raises_with_the_reason(tmp_path):
    recipe = replace(
        DIGITS, steps=(*DIGITS.steps, LocalResponseNorm(size=3).step), export={"fold": "require"}, backbone={"override": "test"}
    )
    with pytest.raises(NotFoldableError, match="ends in local_response_norm"):
        export_bundle(recipe, tmp_path / "digits")
    assert list(tmp_path.iterdir()) == []


def test_torchscript_loads_without_preproc(exported):
    """In a process in which preproc cannot be imported, equal to the golden samples, at a batch of its own."""
    code = """
import sys, json, warnings
sys.modules["preproc"] = None
warnings.simplefilter("ignore")
import numpy as np, torch
extra = {"contract.json": ""}
model = torch.jit.load("model.pt", _extra_files=extra)
assert json.loads(extra["contract.json"])["name"] == "digits"
pixels, logits = (np.load(f"golden/image-0/{name}.npy") for name in ("pixels", "logits"))
got = model(torch.from_numpy(pixels).repeat(3, 1, 1, 1)).detach().numpy()
assert np.abs(got - logits).max() < 1e-5 * np.abs(logits).max(), got
assert len(list(model.parameters())) > 10, "frozen"
model.double()(torch.from_numpy(pixels))
"""
    subprocess.run([sys.executable, "-c", code], cwd=exported.folder, check=True)


def bare_file(folder, **options):
    """The digits network as torch.onnx.export writes it for anybody."""
    module = load_backbone(DIGITS).module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(2, 3, 32, 32),), folder / "m.onnx", dynamo=True, opset_version=18, verbose=False, **options)
    return replace(DIGITS, folder=folder, backbone={"source": "onnx", "weights": "m.onnx"}, export={"formats": ("onnx",)})


def test_an_onnx_file_with_external_weights_and_traces_of_its_machine(tmp_path):
    """Somebody's file keeps its metadata, all of it; what is in there that says where it was made is said."""
    recipe = bare_file(tmp_path, external_data=True, dynamic_shapes=({0: torch.export.Dim("N")},))
    assert (tmp_path / "m.onnx.data").is_file()
    assert b"stack_trace" in (tmp_path / "m.onnx").read_bytes()
    bundle = export_bundle(recipe, tmp_path / "bundle")
    assert bundle.report.ok
    assert (bundle.folder / "model.onnx.data").stat().st_size > (bundle.folder / "model.onnx").stat().st_size
    assert "model.onnx.data" in bundle.manifest["files"]
    assert verify_bundle(bundle.folder, runtimes=["ort-cpu"]).ok
    assert b"stack_trace" in (bundle.folder / "model.onnx").read_bytes()
    (note,) = bundle.contract["notes"]
    assert note.startswith("holds stack traces")
    (tmp_path / "m.onnx.data").unlink()
    with pytest.raises(PreprocError, match=r"m\.onnx: expected its weights in the files that it names"):
        export_bundle(recipe, tmp_path / "again")


def test_an_onnx_file_of_one_batch_size_keeps_it(tmp_path):
    bundle = export_bundle(bare_file(tmp_path, external_data=False), tmp_path / "bundle")
    assert bundle.report.ok
    assert bundle.contract["input"]["shape"][0] == 2
    assert {len(sample.pixels) for sample in bundle.golden()} == {2}
    assert verify_bundle(bundle.folder, runtimes=["ort-cpu"]).ok


def test_dynamic_height_and_width(tmp_path):
    recipe = replace(DIGITS, pixels={"size": None})
    bundle = export_bundle(recipe, tmp_path / "digits")
    assert bundle.report.ok
    assert bundle.contract["input"]["shape"] == ["N", "height", "width", 3]
    assert any("160x112" in name for name in bundle.report.inputs)


class Square(nn.Module):
    """A network that takes one size only."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 8, stride=8), nn.Linear(4 * 12 * 16, 3)

    def forward(self, x):
        return self.head(self.conv(x).flatten(1))


def test_a_backbone_of_one_size_refuses_dynamic_sizes_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("preproc.sources.backbones.embedded.EMBEDDED", {"digits": Square})
    recipe = replace(DIGITS, pixels={"size": None}, backbone={"weights": "random", "seed": 0}, export={"images": None})
    with pytest.raises(PreprocError, match=r"expected sizes to verify with that the network takes, got none among"):
        export_bundle(recipe, tmp_path / "digits", formats=["onnx"])
    assert list(tmp_path.iterdir()) == []


def test_the_time_limit_ends_what_does_not_end():
    with pytest.raises(TimeoutError), time_limit(0.05):
        time.sleep(10)


def test_the_time_limit_ends_what_goes_on_after_errors(monkeypatch):
    """As torch's compiler does where it tries one: of every Exception, and where it catches all, of the first one."""
    monkeypatch.setattr(dynamic, "AGAIN", 0.05)
    for caught in (Exception, BaseException):
        with pytest.raises(TimeoutError), time_limit(0.05):
            _sleep_twice(caught)


def _sleep_twice(caught):
    with contextlib.suppress(caught):
        time.sleep(10)
    assert caught is BaseException
    time.sleep(10)


def test_an_onnx_file_as_a_backbone(tmp_path, exported):
    """A plain graph from elsewhere, here torch's own export of the digits network, with the recipe's steps put in front."""
    from preproc.export.formats import export_backbone

    module = load_backbone(DIGITS).module
    bare = export_backbone(module, torch.zeros(2, 3, 32, 32), outputs=["y"], opset=18, size=(32, 32))
    graph.save(bare, tmp_path / "bare.onnx")
    before = (tmp_path / "bare.onnx").read_bytes()
    recipe = replace(DIGITS, folder=tmp_path, backbone={"source": "onnx", "weights": "bare.onnx"}, export={"formats": ("onnx",)})
    bundle = export_bundle(recipe, tmp_path / "bundle")
    (result,) = [result for result in bundle.report.results if result.verdict != "absent"]
    assert (result.runtime, result.verdict) == ("ort-cpu", "passed")
    assert {name: truth.kind for name, truth in bundle.report.power.truths.items()} == {"y": "float64"}
    assert bundle.contract["fold"]["onnx"]["form"] == "subtract"
    assert {control.name: control.movement is not None for control in bundle.report.power.controls}["uncorrected border"]
    assert (tmp_path / "bare.onnx").read_bytes() == before
    np.testing.assert_allclose(bundle.golden()[0].expected["y"], exported.golden()[0].expected["logits"], rtol=0, atol=1e-5)
    with pytest.raises(PreprocError, match=r'expected formats = \["onnx"\]'):
        export_bundle(recipe, tmp_path / "other", formats=["torchscript"])


def test_overridden_constants_are_said_in_the_report(tmp_path):
    recipe = replace(DIGITS, backbone={"override": "to see what happens"}, steps=(*DIGITS.steps[:2], NormalizeStep.preset("imagenet")))
    bundle = export_bundle(recipe, tmp_path / "digits", formats=["onnx"])
    assert bundle.report.constants_agree == "no"
    assert bundle.contract["backbone"]["override"] == "to see what happens"


def test_weights_beyond_protobufs_limit_go_into_a_second_file(tmp_path, monkeypatch):
    monkeypatch.setattr(graph.writing, "EXTERNAL_ABOVE", 100_000)
    bundle = export_bundle(DIGITS, tmp_path / "digits", formats=["onnx"])
    assert bundle.report.ok
    assert {"model.onnx", "model.onnx.data"} <= set(bundle.manifest["files"])
    assert bundle.manifest["files"]["model.onnx"]["size"] < 100_000
    (bundle.folder / "model.onnx.data").write_bytes(b"")
    with pytest.raises(PreprocError, match=r"model\.onnx\.data has 0 bytes"):
        open_bundle(bundle.folder)
