"""First layers on a grid of 8 bits: nearer to the truth than ordinary quantization, inside and on the border."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from preproc.folding import on_grid, scales_of, with_fine_constant
from preproc.folding.arithmetic import folded_weights, parts_of
from preproc.steps import Affine
from tests.folding.convolving import GRAY, IMAGENET, RGBA, apply, conv, left_at_run_time, plan_of

FOG = Affine.diagonal(np.full(3, 1 / 12.9), -np.array([123.4, 116.6, 103.5]) / 12.9)
"""A std of 12.9 levels, as of pictures in fog."""


class Found:
    """What rewrite() has of a convolution."""

    def __init__(self, reader, weight, bias):
        self.reader, self.held = reader, (weight, bias)

    def weights(self):
        return self.held


def in_eight(affine, weight, bias, pad, **how):
    """The plan, and the weights and the bias on their grid."""
    (reader,), plan = plan_of(affine, [pad], **how)
    plan = with_fine_constant(plan, [Found(reader, weight, bias)])
    return plan, *folded_weights(weight, bias, plan, reader, *plan.after, grid=on_grid)


def convolved(x, weight, bias, **geometry):
    return conv(x, *(np.asarray(each, np.float64) for each in (weight, bias)), pad=0.0, **geometry)


def errors(got, true):
    """Of the pixels inside and of the border, relative: root mean squares."""
    ring = np.ones(true.shape[2:], bool)
    ring[1:-1, 1:-1] = False
    return [np.sqrt(np.mean(np.square((got - true)[..., part])) / np.mean(np.square(true[..., part]))) for part in (~ring, ring)]


def ordinary(ready, weight, bias, **geometry):
    """Q/DQ behind the normalization: its range in 256 steps, weights per output channel."""
    low, high = min(ready.min(), 0), max(ready.max(), 0)
    scale = (high - low) / 255
    zero = np.rint(-low / scale)
    return convolved((np.clip(np.rint(ready / scale) + zero, 0, 255) - zero) * scale, on_grid(weight, 0 * bias), bias, **geometry)


CASES = {
    "7x7/2": (IMAGENET, (16, 3, 7, 7), {"padding": (3, 3), "stride": 2}, 58),
    "3x3/1 in fog": (FOG, (16, 3, 3, 3), {"padding": (1, 1), "stride": 1}, 13),
    "RGBA": (RGBA, (16, 3, 3, 3), {"padding": (1, 1), "stride": 1}, 58),
    "GRAY": (GRAY, (16, 3, 3, 3), {"padding": (1, 1), "stride": 1}, 58),
}


@pytest.mark.parametrize("whole", ["one", 128])
@pytest.mark.parametrize("case", CASES)
def test_nearer_than_ordinary_quantization_inside_and_on_the_border(case, whole, rng):
    affine, shape, geometry, spread = CASES[case]
    weight, bias = rng.normal(size=shape).astype(np.float32), rng.normal(size=shape[0]).astype(np.float32)
    centre = affine.nearest(np.zeros(affine.channels_out))
    x = np.clip(np.rint(rng.normal(centre[:, None, None], spread, (6, affine.channels_in, 24, 24))), 0, 255)
    ready = apply(affine, x)
    true = convolved(ready, weight, bias, **geometry)
    plan, quantized, corrected = in_eight(affine, weight, bias, 0.0, whole=whole)
    seen = left_at_run_time(x, plan)
    ours, theirs = (
        errors(got, true) for got in (convolved(seen, quantized, corrected, **geometry), ordinary(ready, weight, bias, **geometry))
    )
    assert ours[0] < theirs[0]
    assert ours[1] < (1.0 if whole == "one" else 1.5) * theirs[1]  # a rest of up to 25 levels has more weight in its channel


def test_without_the_channel_padding_is_off_by_what_is_told(rng):
    weight, bias = rng.normal(size=(8, 3, 3, 3)).astype(np.float32), np.zeros(8, np.float32)
    x = rng.integers(0, 256, (2, 3, 12, 12)).astype(np.float64)
    true = convolved(apply(IMAGENET, x), weight, bias, padding=(1, 1))
    found = {}
    for nearest in (False, True):
        plan, quantized, corrected = in_eight(IMAGENET, weight, bias, 0.0, whole="one", nearest=nearest)
        assert (plan.form, plan.border is not None) == (("subtract", True) if nearest else ("append", False))
        found[nearest] = errors(convolved(left_at_run_time(x, plan), quantized, corrected, padding=(1, 1)), true)
    np.testing.assert_allclose(plan.border, 255 * np.array([0.485, 0.456, 0.406]) - 114, rtol=1e-9)
    assert found[True][1] > 3 * found[False][1]
    assert found[True][0] < 1.5 * found[False][0]


@pytest.mark.parametrize("size", [0.0, 1e-12, 1e-7, 1e-38])
@pytest.mark.parametrize("bias", [0.37, -41.3, 0.0])
def test_a_channel_without_weights_or_nearly_keeps_its_bias_as_a_whole_number_of_int32(size, bias, rng):
    weight, biases = rng.normal(size=(2, 3, 3, 3)), np.array([bias, 0.5])
    weight[0] *= size
    plan, quantized, corrected = in_eight(IMAGENET, weight, biases, 0.0, whole="one")
    scale = scales_of(quantized, corrected)
    whole = np.rint(corrected / scale)
    assert np.abs(whole).max() < 2**31
    x = rng.integers(0, 256, (2, 3, 8, 8)).astype(np.float64)
    true = convolved(apply(IMAGENET, x), weight, biases, padding=(1, 1))[:, 0]
    got = convolved(
        left_at_run_time(x, plan),
        np.rint(quantized / scale[:, None, None, None]) * scale[:, None, None, None],
        whole * scale,
        padding=(1, 1),
    )[:, 0]
    np.testing.assert_allclose(got, true, rtol=1e-5, atol=0.3 * size + 1e-30)


@given(arrays.arrays(np.float64, (3, 2, 2), elements=st.floats(-1e3, 1e3, width=32)))
def test_weights_lie_on_their_grid_half_a_step_away_at_most(weight):
    scale = scales_of(weight, None)[:, None, None]
    steps = on_grid(weight, np.zeros(3)) / scale
    assert np.abs(steps).max() <= 127
    assert np.allclose(steps, np.rint(steps), atol=1e-9)
    assert (np.abs(on_grid(weight, np.zeros(3)) - weight) <= 0.501 * scale).all()
    assert np.array_equal(on_grid(np.zeros((2, 3)), np.zeros(2)), np.zeros((2, 3)))


@given(st.integers(0, 2**32 - 1), st.sampled_from(["one", 128, 3, 250]))
def test_the_appended_channel_holds_a_level_and_widens_no_grid_that_it_need_not(seed, whole):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    (reader,), plain = plan_of(IMAGENET, [0.0], whole=whole)
    plan = with_fine_constant(plain, [Found(reader, weight, None)])
    level = plan.constant + plan.shift[0]
    assert level == round(level)
    assert 0 <= level <= 255
    assert np.allclose(plan.extra * plan.constant, plain.extra * plain.constant)
    pixels, appended = (np.abs(part).max(axis=1) for part in parts_of(weight, plan, reader, *plan.after))
    farthest = max(plan.shift[0], 255 - plan.shift[0])
    assert (appended <= pixels * (1 + 1e-9)).all() or abs(plan.constant) == farthest
    one_less = abs(plan.constant) - 1
    assert one_less == 0 or (appended * abs(plan.constant) / one_less > pixels).any()
