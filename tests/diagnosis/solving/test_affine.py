"""The affine part: what steps ask for, and what is solved, with its interval."""

import numpy as np
import pytest

from preproc.diagnosis import affine_of, solve
from preproc.oracle import reference
from preproc.steps import ChannelAffine, FromPixels, Normalize, Rescale, Resize, Standardize
from tests.diagnosis.pipelines import picture

IMAGENET = (Rescale(), Normalize.preset("imagenet", color="BGR"))


@pytest.mark.parametrize(
    "steps",
    [
        (FromPixels(layout="NHWC", color="RGB", to="BGR"), *IMAGENET),
        (FromPixels(layout="NHWC"), Rescale(scale=1 / 127.5, offset=-1)),
        (FromPixels(layout="NHWC"),),
    ],
)
def test_what_the_steps_ask_for_is_what_the_oracle_computes_and_is_solved(steps):
    x = [picture((20, 30), seed) for seed in range(3)]
    asked = affine_of(steps)
    made = [reference.apply(steps, each[None])[0] for each in x]
    planes = [each.transpose(2, 0, 1) for each in x]
    for levels, tensor in zip(planes, made, strict=True):
        np.testing.assert_allclose(asked(levels), tensor, rtol=1e-12, atol=1e-12)
    solved = solve(planes, made)
    assert solved.orders == (asked.order,)
    np.testing.assert_allclose(solved.affine.scale, asked.scale, rtol=1e-9)
    np.testing.assert_allclose(solved.affine.offset, asked.offset, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(solved.affine.levels(asked(planes[0])[:, 4, 5]), planes[0][:, 4, 5])


@pytest.mark.parametrize("steps", [(Standardize(),), (ChannelAffine(matrix=((1.0, 1.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))),)])
def test_what_is_no_line_per_channel_has_none(steps):
    assert affine_of((FromPixels(layout="NHWC"), Resize(size=10), *steps)) is None


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """200 draws of noise of 3 levels: 99 % of 6 constants each, so 12 outside are expected and 30 are five standard deviations more."""
    rng, outside = np.random.default_rng(3), 0
    planes = [picture((12, 14), seed).transpose(2, 0, 1) for seed in range(2)]
    for _ in range(200):
        noisy = [(plane + rng.normal(0, 3, plane.shape)) / 50 - 2 for plane in planes]
        solved = solve(planes, noisy)
        outside += int((np.abs(solved.affine.scale - 0.02) > solved.scale_within).sum())
        outside += int((np.abs(solved.affine.offset + 2) > solved.offset_within).sum())
    assert outside <= 30
    assert solved.scale_within.max() < 0.004


def test_one_level_determines_nothing():
    assert solve([np.full((3, 8, 8), 7)], [np.ones((3, 8, 8))]) is None
    x = picture((8, 8), 0).transpose(2, 0, 1)
    assert solve([x], [np.ones((3, 8, 8))]) is None
