"""A rounding is inferred only where the numbers show it; and what nothing that was tried makes is not called exact."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from preproc.diagnosis import Pair
from preproc.diagnosis.geometry import RESAMPLERS, Fit, Geometry, Resampler
from preproc.diagnosis.search.bench import Bench
from preproc.diagnosis.search.judging import fitting, judged
from preproc.diagnosis.search.per_picture import steps_of
from preproc.diagnosis.solving import Left, Precision, explained
from tests.diagnosis.pipelines import picture, resized

SIZES = [(40, 57), (61, 44), (50, 47)]
PILLOW = Resampler("Pillow", "nearest")
TORCH = Resampler("torch", "bilinear", antialias=True, floats=True)
GRIDS = {
    "x / 256": (1 / 256, 0.0),
    "(x - 128) / 128": (1 / 128, -1.0),
    "x / 128": (1 / 128, 0.0),
    "(x - 127.5) / 128": (1 / 128, -127.5 / 128),
    "x / 1024": (1 / 1024, 0.0),
}


def bfloat16(tensor):
    return torch.from_numpy(np.asarray(tensor, np.float32)).to(torch.bfloat16).double().numpy()


def float16(tensor):
    return tensor.astype(np.float16).astype(np.float64)


def same(tensor):
    return tensor


def planes(seed=0):
    return picture((40, 57), seed).transpose(2, 0, 1).astype(np.float64)


@pytest.mark.parametrize("name", GRIDS)
def test_an_even_grid_is_no_rounding(name):
    scale, offset = GRIDS[name]
    assert Precision.of([planes() * scale + offset, planes(1) * scale + offset]).name == "float32"


def test_channels_of_different_even_grids_are_no_rounding():
    assert Precision.of([planes() / np.array([128.0, 256.0, 512.0])[:, None, None]]).name == "float32"


@pytest.mark.parametrize(("rounded", "name"), [(bfloat16, "bfloat16"), (float16, "float16")])
@pytest.mark.parametrize("mean", [0.0, 0.45])
def test_a_rounding_is_inferred_and_bounds_each_number(rounded, name, mean):
    tensor = (planes() / 255 - mean) / 0.23
    found = Precision.of([rounded(tensor)])
    assert found.name == name
    off, may = np.abs(rounded(tensor) - tensor), found.rounded_by(rounded(tensor))
    assert (off <= may).all()
    assert (off > 0.9 * may).any()  # no wider than it must be


def line(rounded, *, bend=0.0, slope=1.0, within=0.05):
    """Whether a line explains levels that were bent by so much and rounded."""
    levels = np.linspace(0, 255, 4000)
    values = rounded(levels * slope / 255 + bend * np.sin(levels / 9) / 255)
    precision = Precision("bfloat16", 8, 1.0) if rounded is bfloat16 else Precision("float32", 24, 1.0)
    return explained([Left(levels, values * 255 - levels, precision.rounded_by(values) * 255 + 0.01)], within)


def test_a_line_is_asked_number_by_number():
    assert line(same)
    assert line(bfloat16)
    assert not line(same, bend=0.05)
    assert not line(bfloat16, bend=0.2)  # its largest residual is far below what the largest number is rounded by, 0.5
    assert line(same, slope=1 + 0.04 / 255)  # the solved line is off by so much, another in its interval is not
    assert not line(same, slope=1 + 0.2 / 255)


def benches_of(make, sizes=SIZES):
    pictures = [picture(size, seed) for seed, size in enumerate(sizes)]
    return [Bench.of(Pair(str(seed), x, np.asarray(make(x), np.float64))) for seed, x in enumerate(pictures)]


def judged_of(make, resamplers, sizes=SIZES, side=24):
    """With the kernels of a squash to `side`."""
    benches = benches_of(make, sizes)
    precision = Precision.of([bench.pair.tensor for bench in benches])
    return judged(benches, [Geometry(Fit("to", (side, side)), how) for how in resamplers], precision), benches, precision


@settings(max_examples=6, deadline=None, derandomize=True, database=None, phases=(Phase.generate,))
@given(st.sampled_from(list(GRIDS)), st.integers(26, 36), st.integers(0, 4), st.sampled_from([float, float16, bfloat16]))
def test_a_geometry_that_is_not_among_the_candidates_is_never_exact(name, between, blur, rounded):
    """Resized twice, of pictures with and without contrast, on even grids and rounded."""
    scale, offset = GRIDS[name]

    def twice(x):
        image = Image.fromarray(x).filter(ImageFilter.GaussianBlur(blur)) if blur else Image.fromarray(x)
        image = image.resize((between, between), Image.Resampling.BILINEAR).resize((24, 24), Image.Resampling.BILINEAR)
        tensor = np.asarray(image).transpose(2, 0, 1) * scale + offset
        return tensor if rounded is float else rounded(tensor / 0.996)

    found, *_ = judged_of(twice, RESAMPLERS)
    assert found
    assert not any(each.exact for each in found)


@pytest.mark.parametrize("rounded", [same, float16, bfloat16, np.rint])
def test_the_right_geometry_is_exact(rounded):
    """Also where the solved line is not quite the right one, as of whole numbers."""

    def make(x):
        levels = resized("torch bilinear antialias", x, (24, 24)).transpose(2, 0, 1).astype(np.float64)
        return rounded(levels if rounded is np.rint else (levels / 255 - 0.45) / 0.225)

    found, *_ = judged_of(make, [TORCH, PILLOW, Resampler("torch", "bilinear", floats=True)])
    assert found[0].geometry.resampler == TORCH
    assert [each.exact for each in found] == [True, False, False]


def test_what_is_exact_comes_before_a_smaller_residual():
    found, *_ = judged_of(lambda x: resized("Pillow nearest", x, (24, 24)).transpose(2, 0, 1) / 255, [PILLOW, TORCH])
    right, other = found
    smaller = dataclasses.replace(other, rms=right.rms / 2)
    assert fitting([smaller, right]) == [right]
    assert fitting([smaller, dataclasses.replace(right, exact=False)])[0] is smaller


def standardized(correction, rounded):
    def make(x):
        levels = resized("Pillow nearest", x, (90, 90)).transpose(2, 0, 1).astype(np.float64)
        return rounded((levels - levels.mean()) / levels.std(ddof=correction))

    return make


@pytest.mark.parametrize("correction", [0, 1])
def test_a_correction_of_the_std_is_told_where_the_tensors_tell_it(correction):
    """A 48 000th of the std is: four hundredths of a level at most."""
    names = ["standardized per image", "standardized per image, with N - 1"]
    for rounded, expected in ((same, [names[correction]]), (bfloat16, names)):
        found, benches, precision = judged_of(standardized(correction, rounded), [PILLOW], [(100, 130), (120, 99)], side=90)
        assert sorted(each.name for each in steps_of(benches, found[0], precision)) == expected
