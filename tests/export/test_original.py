"""Files are compared with the pipeline that their steps were read from, or the report says why not."""

import sys

import numpy as np
import PIL
import pytest
import torch
from torchvision import models
from torchvision.transforms import v2

from preproc.cli.tables import print_report
from preproc.errors import PreprocError
from preproc.export import attach, original, verify_bundle
from preproc.oracle import reference
from preproc.sources import PixelsSpec, published
from preproc.steps import CenterCrop, FromPixels, Normalize, Rescale, Resize, installed_pillow
from preproc.verify import Report
from tests.commands import run
from tests.onnx_files import hand_made
from tests.sources.published.configurations import CLIP

NAME = "ResNet50_Weights.IMAGENET1K_V2"


def test_verify_compares_with_the_original_pipeline(tmp_path, monkeypatch):
    file = hand_made(tmp_path, shape=("N", 3, 64, 64))
    known = published.Published("RGB", (Resize(size=72), CenterCrop(size=(64, 64)), *published.named_weights(NAME).steps[2:]), NAME)
    weights = models.get_weight(NAME)
    transform = v2.Compose([v2.Resize(72), v2.CenterCrop(64), *published.to_torchvision(known.steps[2:]).transforms])
    monkeypatch.setattr(type(weights), "transforms", property(lambda _: lambda: transform))
    pixels = PixelsSpec(layout="NHWC", color="BGR", dtype="uint8", size=None, channels=3)
    made = attach(file, tmp_path / "out", steps=known.steps, pixels=pixels, steps_from=NAME)
    original = made.report.original
    assert (original.name, original.pictures, made.report.ok) == (NAME, 9, True)
    assert original.ready_error < 1e-6
    ran = [result for result in original.results if result.verdict != "absent"]
    assert [(result.runtime, result.verdict, result.top1) for result in ran] == [("ort-cpu", "passed", 1.0)]
    assert Report.from_json(made.report.to_json()) == made.report
    wrong = (Resize(size=72, interpolation="bicubic"), *known.steps[1:])
    with pytest.raises(
        PreprocError, match=r"expected the steps to compute what ResNet50_Weights.* its pixels are others, .* no order of passes"
    ):
        attach(file, tmp_path / "no", steps=wrong, pixels=pixels, steps_from=NAME)
    wrong = (*known.steps[:2], Rescale(), Normalize(mean=(0.5,) * 3, std=(0.5,) * 3, unit="0-1"))
    with pytest.raises(
        PreprocError, match=r"its pixels are the same, its constants are not: channel by channel it has 2\.183 x \+0\.0655, 2\.232 x"
    ):
        attach(file, tmp_path / "no", steps=wrong, pixels=pixels, steps_from=NAME)
    with monkeypatch.context() as patch:  # a Pillow that has the order of passes of another
        patch.setattr("preproc.export.original.installed_pillow", lambda: 25 - installed_pillow())
        with pytest.raises(PreprocError, match=rf"Pillow {PIL.__version__} here has the order of passes of Pillow {installed_pillow()}"):
            attach(file, tmp_path / "no", steps=known.steps, pixels=pixels, steps_from=NAME)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("told", "capability", "end"),
    [
        ({}, "DEFAULT", "otherwise, and in no order of passes of Pillow's"),
        ({"torch": "uint8"}, "AVX2", "otherwise"),
        (
            {"torch": "uint8"},
            "DEFAULT",
            "otherwise, torch uses no AVX2 here, without which torchvision resizes uint8 tensors through floats",
        ),
        ({"torch": "uint8", "interpolation": "bicubic"}, "DEFAULT", "otherwise"),
    ],
)
def test_other_pixels_are_laid_to_the_cpu_only_where_it_is_so(monkeypatch, told, capability, end):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    steps = [FromPixels(layout="NHWC"), Resize(size=(9, 8), **told)]
    picture = np.random.default_rng(0).integers(0, 256, (1, 20, 30, 3), dtype=np.uint8)
    ours = reference.apply(steps, picture)
    message = original._cause(steps, picture, ours[..., ::-1].astype(np.float32), ours)
    assert message == f"its pixels are others, so it resizes, crops or converts them {end}"


def test_huggingfaces_processor_is_run_for_batches_of_a_fixed_size(tmp_path):
    file = hand_made(tmp_path, shape=(2, 3, 64, 64))
    known = published.from_huggingface(CLIP | {"size": {"shortest_edge": 72}, "crop_size": {"height": 64, "width": 64}})
    pixels = PixelsSpec(layout="NHWC", color="RGB", dtype="uint8", size=None, channels=3)
    made = attach(file, tmp_path / "out", steps=known.steps, pixels=pixels, steps_from=known.origin)
    original = made.report.original
    assert (original.name, original.pictures, original.reason) == ("Hugging Face preprocessor_config (Pillow backend)", 9, "")
    assert 0 < original.ready_error < 1e-6
    golden = verify_bundle(tmp_path / "out", runtimes=["ort-cpu"])
    assert "takes the original backbone" in golden.original.reason
    shown = run("inspect", tmp_path / "out")
    assert "as published: Hugging Face preprocessor_config (Pillow backend)\n" in shown.stdout


def test_what_is_not_compared_says_why(tmp_path, monkeypatch, capsys):
    file = hand_made(tmp_path, shape=("N", 3, 64, 64))
    known = published.Published("RGB", (Resize(size=(64, 64)), *published.from_timm("resnet50.a1_in1k").steps[2:]), "timm resnet50.a1_in1k")
    for color, missing, reason in (
        ("GRAY", False, "takes RGB pictures of 8 bits, the model GRAY"),
        ("RGB", True, "timm is not installed; pip install timm"),
    ):
        if missing:
            monkeypatch.setitem(sys.modules, "timm", None)
        pixels = PixelsSpec(layout="NHWC", color=color, dtype="uint8", size=None, channels=len(color) if color == "RGB" else 1)
        made = attach(file, tmp_path / color, steps=known.steps, pixels=pixels, steps_from=known.origin)
        assert (made.report.original.results, made.report.ok) == ((), True)
        assert reason in made.report.original.reason
        print_report(made.report)
        assert capsys.readouterr().out.startswith("not compared with timm resnet50.a1_in1k: ")
