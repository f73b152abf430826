"""Whole numbers in the place of what is subtracted: exact, border included, and less lost in half precision than without the fold."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from preproc.errors import NotFoldableError
from preproc.folding import plan_for, unit_for
from preproc.folding.arithmetic import folded_weights
from preproc.folding.whole import Rounding
from preproc.steps import Affine
from tests.folding.convolving import AFFINES, GRAY, IMAGENET, RGBA, apply, conv, folded, left_at_run_time, plan_of, reader_of

NARROW = Affine.diagonal(np.full(3, 1 / 12.9), -np.array([123.4, 116.6, 103.5]) / 12.9)
"""A std of 12.9 levels, as of pictures in fog: whatever is lost of the pixels counts twenty times."""
cases = st.fixed_dictionaries(
    {
        "affine": st.sampled_from(sorted(AFFINES)),
        "whole": st.sampled_from(["each", "one"]),
        "unit": st.sampled_from([1.0, 1 / 64, 4.0]),
        "kernel": st.tuples(st.integers(1, 4), st.integers(1, 4)),
        "stride": st.integers(1, 2),
        "padding": st.tuples(st.integers(0, 2), st.integers(0, 2)),
        "pad": st.sampled_from([None, 0.0, 1.0, -0.5, 0.4, 114.0]),
        "bias": st.booleans(),
        "seed": st.integers(0, 2**16),
    }
)


def scaled(affine, unit):
    """For pixels that are multiplied by `unit`."""
    return Affine(affine.matrix / unit, affine.offset)


@given(cases)
def test_folded_with_whole_numbers_equals_unfolded_border_included(case):
    affine, rng, unit = AFFINES[case["affine"]], np.random.default_rng(case["seed"]), case["unit"]
    x = rng.integers(0, 256, (2, affine.channels_in, 9, 8)).astype(np.float64)
    weight, bias = rng.normal(size=(6, affine.channels_out, *case["kernel"])), rng.normal(size=6) if case["bias"] else None
    options = {"padding": case["padding"], "pad": case["pad"], "stride": case["stride"]}
    want = conv(apply(affine, x), weight, bias, **options)
    plan, *new = folded(weight, bias, scaled(affine, unit), case["pad"], whole=case["whole"], unit=unit)
    got = conv(left_at_run_time(x * unit, plan), *new, **options)
    assert np.abs(got - want).max() <= 1e-9 * np.abs(want).max()
    levels = plan.shift / unit
    np.testing.assert_array_equal(levels, np.round(levels))
    assert case["whole"] == "each" or len(set(levels)) == 1
    assert (plan.constant is None) <= (case["pad"] is None)  # nothing is whole by itself here
    assert plan.constant is None or plan.constant == round(plan.constant)


@pytest.mark.parametrize("whole", ["each", "one"])
def test_one_plan_serves_a_padded_convolution_an_unpadded_one_and_a_product(rng, whole):
    x = rng.integers(0, 256, (1, 3, 8, 8)).astype(np.float64)
    ways = [reader_of(3, 0.0), reader_of(3), reader_of(3, takes_bias=False)]
    plan = plan_for(
        ways, IMAGENET, lambda n: [reader_of(n, way.pads[0] if way.pads else None, takes_bias=way.takes_bias) for way in ways], whole=whole
    )
    assert plan.form == "append"
    for reader, after in zip(ways, plan.after, strict=True):
        weight = rng.normal(size=(4, 3, 3, 3) if reader.pads else (4, 3, 1, 1))
        new_weight, new_bias = folded_weights(weight, None, plan, reader, after)
        assert reader.takes_bias or new_bias is None
        options = {"padding": (1, 1), "pad": 0.0 if reader.pads else None}
        want = conv(apply(IMAGENET, x), weight, None, **options)
        got = conv(left_at_run_time(x, plan), new_weight, new_bias, **options)
        assert np.abs(got - want).max() <= 1e-9 * np.abs(want).max()


def test_without_padding_the_rest_is_in_the_bias_and_what_is_whole_needs_no_channel():
    assert plan_of(IMAGENET, [None], whole="each")[1].form == "subtract"
    _, plan = plan_of(IMAGENET, [None], whole="each")
    assert (plan.shift == [124, 116, 104]).all()
    assert "up to 0.47 levels, is in the bias, for nothing is padded" in plan.why
    _, plan = plan_of(IMAGENET, [0.0], whole="one")
    assert (plan.shift == 114).all()
    assert "one whole number is the pixels' zero point; " in plan.why
    assert "up to 10.5 levels, is in the weights of an appended channel" in plan.why
    caffe = Affine.diagonal([0.017] * 3, np.array([-104.0, -117.0, -123.0]) * 0.017)
    _, plan = plan_of(caffe, [0.0], whole="each")
    assert (plan.form, plan.shift.tolist()) == ("subtract", [104.0, 117.0, 123.0])
    assert plan.why.endswith("nothing is left of the constants")
    assert plan_of(caffe, [0.0], whole="one")[1].form == "append"
    assert plan_of(Affine.diagonal([1 / 255] * 3, [0.0] * 3), [0.0], whole="one")[1].form == "cast"
    assert plan_of(IMAGENET, [0.0])[1].why == ""


@pytest.mark.parametrize(("mean", "exact"), [(123.4, True), (256.2, True), (-1.2, True), (-100.3, False), (300.4, False), (70000.4, False)])
def test_whole_numbers_are_called_exact_only_where_all_of_half_precision_holds_them(mean, exact):
    why = Rounding("each", 1.0, IMAGENET).why(np.full(3, mean), "the bias")
    assert why.startswith("whole numbers are exact in half precision;") == exact
    assert ("float16 holds those up to 2048" in why) == (not exact)


def test_an_alpha_channel_has_no_say_in_the_one_zero_point():
    assert (plan_of(RGBA, [0.0], whole="one")[1].shift == 114).all()
    assert (Rounding("one", 1.0, Affine(np.zeros((1, 2)), np.ones(1)))(np.array([3.0, 5.0])) == 0).all()


@pytest.mark.parametrize(
    ("affine", "readers", "reason"),
    [
        (IMAGENET, [reader_of(3, 0.0), reader_of(3, 1.0)], "different constants, 0, 1, and no pixel of whole numbers maps to 0"),
        (IMAGENET, [reader_of(3, 0.0, offset=(0.5, 0.0, 0.0))], "no pixel of whole numbers maps to .* behind the backbone"),
        (GRAY, [reader_of(3, 0.0, ordered=2)], "no pixel of whole numbers maps to the padding value, and no appended channel tells"),
        (IMAGENET, [reader_of(3, 0.0, direct=False)], "handles its channels one by one"),
    ],
)
def test_what_cannot_be_whole_is_refused_by_name(affine, readers, reason):
    with pytest.raises(NotFoldableError, match=reason):
        plan_for(readers, affine, lambda channels: [reader_of(channels, 0.0) for _ in readers], whole="each")


@pytest.mark.parametrize("affine", [IMAGENET, GRAY], ids=["three", "grey"])
def test_groups_become_one_that_reads_the_appended_channel(rng, affine):
    x = rng.integers(0, 256, (2, affine.channels_in, 9, 8)).astype(np.float64)
    weight, options = rng.normal(size=(6, 1, 3, 3)), {"padding": (1, 1), "pad": 0.0}
    plan, *new = folded(weight, None, affine, 0.0, groups=3, whole="each")
    want = conv(apply(affine, x), weight, None, groups=3, **options)
    got = conv(left_at_run_time(x, plan), *new, **options)
    assert np.abs(got - want).max() <= 1e-9 * np.abs(want).max()


def test_groups_of_many_channels_read_no_appended_channel():
    """As many times the work."""
    many = Affine.diagonal(np.full(16, 1 / 255), np.full(16, -0.45))
    with pytest.raises(NotFoldableError, match=r"in 16 groups cannot read an appended .* of 17 channels, which is done of up to 16"):
        folded(np.ones((16, 1, 3, 3)), None, many, 0.0, groups=16, whole="each")


def half(values):
    return np.asarray(values).astype(np.float16).astype(np.float64)


def errors(got, want):
    """RMS over RMS, inside and in the ring that sees the border."""
    ring = np.ones(want.shape[-2:], bool)
    ring[2:-2, 2:-2] = False
    return np.array([np.sqrt(((got - want)[..., at] ** 2).mean() / (want[..., at] ** 2).mean()) for at in (~ring, ring)])


@pytest.mark.parametrize("affine", [IMAGENET, NARROW], ids=["imagenet", "std of 12.9 levels"])
def test_half_precision_loses_less_folded_than_bare(affine, rng):
    """The sums are exact here: what is lost is in the pixels and in the weights. Ratios to the bare network in half precision, fed with
    values rounded to it; without the appended channel the border would lose ten times as much, and with x - d everything more."""
    x = np.clip(rng.normal(117, 1 / affine.matrix[0, 0], (8, 3, 24, 24)), 0, 255).round()
    full = rng.normal(size=(32, 3, 5, 5)) / 9
    narrow, options = full.astype(np.float16), {"padding": (2, 2), "pad": 0.0}
    unit = unit_for([narrow], affine)

    def lost(weight, want, whole, *, border=True):
        plan, *new = folded(weight, None, scaled(affine, unit), 0.0 if border else None, np.float16, whole=whole, unit=unit)
        held = [None if each is None else half(each) for each in new]
        plan = replace(plan, shift=half(plan.shift))
        got = conv(half(left_at_run_time(x * unit, plan)), *held, **options)
        return errors(got, want) / errors(conv(half(apply(affine, x)), half(narrow), None, **options), want)

    want = conv(apply(affine, x), full, None, **options)
    assert (lost(full, want, "each") < 0.8).all()  # one rounding, of the weights; the bare network has the pixels' as well
    assert (lost(full, want, None) > 1.2).all()
    in_bias = lost(full, want, "each", border=False)
    assert in_bias[0] < 0.8
    assert in_bias[1] > 8
    want = conv(apply(affine, x), half(narrow), None, **options)
    assert (lost(narrow, want, "each") < 1.2).all()  # one rounding each: of weights that were rounded before, or of the pixels
    assert (lost(narrow, want, None) > 1.2).all()


def test_pixels_are_scaled_where_folded_weights_would_leave_half_precision():
    weight = np.array([1e-3, 0, -0.5], np.float16)
    assert unit_for([weight], IMAGENET) == 1 / 32  # 1e-3 / 58 is 289 of the smallest numbers, of which there should be 1024
    assert unit_for([weight[2:]], IMAGENET, top=65535.0) == 1 / 32  # float16 ends at 65504
    assert unit_for([weight[1:]], IMAGENET) == 1
    assert unit_for([weight], Affine.identity(3)) == 1
    assert unit_for([weight[1:], weight], IMAGENET) == 1 / 32
    assert unit_for([np.array([3e4, 1], np.float16)], Affine.diagonal([4.0], [0.0])) == 4
    assert unit_for([np.zeros(3, np.float16)], IMAGENET) == 1


def test_a_channel_is_held_and_subtracted_exactly_by_half_precision():
    plan = plan_of(IMAGENET, [0.4], whole="each")[1]
    left = left_at_run_time(np.arange(256.0)[None, None, :, None].repeat(3, 1), plan)
    for dtype in (torch.float16, torch.bfloat16):
        np.testing.assert_array_equal(torch.from_numpy(left).to(dtype).double().numpy(), left)
