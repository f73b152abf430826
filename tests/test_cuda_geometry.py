"""On a CUDA device: resizes, crops and pads in ONNX Runtime, in both layouts, with fixed and free sizes, no picture on the CPU."""

import numpy as np
import pytest

from preproc.oracle import reference
from preproc.steps import CenterCrop, FromPixels, Letterbox, Pad, Resampling, Resize
from preproc.verify.runtimes.ort import OrtCuda
from tests.geometry import FREE, in_layout, noise
from tests.onnx_files import alone

pytestmark = pytest.mark.cuda
STEPS = [
    *FREE,
    Resize(size=(17, 90)),
    Resize(size=(90, 17), interpolation="bicubic"),
    Resize(size=(150, 200)),
    Resize(size=(56, 64)),
    Resize(size=(56, 64), interpolation="bicubic"),
    Resize(size=(31, 29), antialias=False),
    Letterbox(size=64),
    Letterbox(size=64, antialias=True),
    Letterbox(size=(50, 90), antialias=True, interpolation="bicubic", fill=3),
    CenterCrop(size=(33, 40), fill=7),
    CenterCrop(size=(33, 400), rounding="floor"),
    Pad(padding=(1, 2, 3, 4), fill=9),
]
EXACT = [Resize(size=size, interpolation=kind, form="exact") for size in (32, (17, 90)) for kind in ("bilinear", "bicubic")]
SIZES = [(60, 80), (300, 64), (75, 41)]
"""Rows first, columns first, and one side larger than what is made of it."""


def run(steps, size, x, folder):
    """The oracle's values, those of the device, and what ran where: proof() raises if a picture was on the CPU."""
    (folder / "model.onnx").write_bytes(alone(steps, size=size))
    runtime = OrtCuda()
    runtime.open(folder / "model.onnx")
    got = runtime.run(x)["ready"]
    return reference.apply(steps, x), got, runtime.proof()


def bound(step, expected, got):
    """As on the CPU: one level on 2 % of the values where a fast resize shrinks, two on 6 % where it enlarges; else none."""
    fast = isinstance(step, Resampling) and step.antialias and step.interpolation != "nearest" and step.form == "fast"
    difference = np.abs(got - expected)
    return difference.max() <= (2 if fast else 0) and (difference > 0).mean() <= (0.06 if fast else 0)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("free", [False, True], ids=["fixed", "free"])
@pytest.mark.parametrize("step", [*STEPS, *EXACT], ids=str)
def test_geometry_is_the_oracles_and_on_the_device(step, free, layout, tmp_path):
    if free and step in EXACT:
        pytest.skip("the exact form takes one static size")
    for size in SIZES:
        for batch in (1, 2):
            steps, x = [FromPixels(layout=layout, color="BGR"), step], in_layout(noise(size)[:batch], layout)
            expected, got, proof = run(steps, None if free else size, x, tmp_path)
            assert bound(step, expected, got), (size, batch, np.abs(got - expected).max())
            assert "on CUDA" in proof


def test_several_different_pictures_of_a_photographs_size(tmp_path):
    """Where ONNX Runtime's own bilinear Resize of uint8 computes a part of the first only."""
    x = np.random.default_rng(5).integers(0, 256, (3, 960, 1280, 3), dtype=np.uint8)
    for kind in ("bilinear", "bicubic"):
        step = Resize(size=256, interpolation=kind)
        expected, got, _ = run([FromPixels(layout="NHWC"), step], None, x, tmp_path)
        assert np.abs(got - expected).max() <= 1
        assert (got != expected).mean() <= 0.005
