"""What libraries make of a geometry is what the oracle makes of the recipe's steps."""

import numpy as np
import pytest

from preproc.diagnosis.geometry import Fit, Geometry, Resampler, Source, Window, absent, geometry_of, steps_of
from preproc.oracle import reference
from preproc.steps import CenterCrop, Letterbox, Pad, Resize
from tests.diagnosis.pipelines import picture

KERNELS = (
    *({"interpolation": name, "pillow": pillow} for name in ("bilinear", "bicubic", "lanczos", "box", "hamming") for pillow in (12, 13)),
    {"interpolation": "nearest"},
    {"interpolation": "bilinear", "antialias": False},
    *({"interpolation": name, "torch": "float32"} for name in ("bilinear", "bicubic")),
)
CHAINS = (
    *((Resize(size=(21, 26), **kernel),) for kernel in KERNELS),
    (Resize(size=24, interpolation="bicubic", pillow=12), CenterCrop(size=(20, 21))),
    (Resize(size=24, max_size=30, pillow=13),),
    (CenterCrop(size=(31, 40)), Resize(size=(20, 20), pillow=12)),
    (CenterCrop(size=(45, 90), fill=7, rounding="half_even"),),
    (CenterCrop(size=(45, 34), rounding="floor"),),
    (CenterCrop(size=(45, 95), rounding="trunc", fill=3),),
    (Letterbox(size=(32, 41)),),
    (Letterbox(size=(40, 32), fill=0, interpolation="bicubic", antialias=True, pillow=12),),
    (),
)


@pytest.mark.parametrize("steps", CHAINS, ids=lambda steps: " ".join(map(str, steps))[:80] or "none")
@pytest.mark.parametrize("size", [(81, 34), (44, 67)])
def test_pixels_are_those_of_the_steps(steps, size):
    x = picture(size, 5)
    geometry = geometry_of(steps)
    made = geometry.pixels(Source(x)).transpose(2, 0, 1).astype(np.float64)
    expected = reference.apply(steps, x.transpose(2, 0, 1)[None].astype(np.float64))[0]
    floats = any(getattr(step, "torch", None) for step in steps)  # torch computes those in float32
    linear = any(getattr(step, "antialias", True) is False for step in steps)  # OpenCV's is within a level of the oracle's
    assert made.shape == expected.shape
    assert np.abs(made - expected).max() <= (0.02 if floats else 1 if linear else 0)
    assert steps_of(geometry) == steps


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry(Fit("to", (20, 20)), Resampler("OpenCV", "area")),
        Geometry(Fit("to", (20, 20)), Resampler("Pillow", "bilinear", antialias=True, gap=2.0)),
        Geometry(Fit("to", (20, 20)), Resampler("torch", "bilinear", floats=True, align_corners=True)),
        Geometry(Fit("longer", (20, 0)), Resampler("Pillow", "nearest")),
        Geometry(Fit("as it is"), after=Window((20, 20), shift=(0, 1))),
        Geometry(Fit("as it is"), after=Window((20, 20), fill=(1.0, 2.0, 3.0))),
        Geometry(Fit("as it is"), before=Window(0.875)),
        Geometry(Fit("inside", (20, 20), "floor"), Resampler("Pillow", "nearest"), Window((20, 20), "corner")),
    ],
    ids=lambda geometry: geometry.words,
)
def test_what_no_recipe_says_has_no_steps(geometry):
    assert steps_of(geometry) is None


def test_chains_that_are_more_have_no_geometry():
    assert geometry_of((Pad(padding=(1, 2, 3, 4)),)) is None
    assert geometry_of((Resize(size=20), Resize(size=(10, 10)))) is None


def test_a_border_without_a_fill_is_not_finite():
    x = picture((20, 40), 1)
    made = Geometry(Fit("as it is"), after=Window((30, 40))).pixels(Source(x))
    assert np.isposinf(made[:5]).all()
    assert np.isposinf(made[-5:]).all()
    np.testing.assert_array_equal(made[5:-5], x)
    mixed = Geometry(Fit("to", (15, 15)), Resampler("Pillow", "bilinear", antialias=True, passes=12), before=Window("longer"))
    rows = mixed.pixels(Source(x))[:, 7, 0]
    assert np.isposinf(rows[0])
    assert np.isnan(rows).any()
    assert np.isfinite(rows[7])


def test_what_is_not_installed_is_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "cv2" else object())
    assert absent() == {"OpenCV": "not tried: OpenCV is not installed"}
