"""The fold's arithmetic, all rows of its table, against a convolution that sees the mapped values."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from preproc.errors import NotFoldableError, PreprocError
from preproc.folding import plan_for
from preproc.folding.arithmetic import folded_weights
from preproc.folding.convolutions import border_error
from preproc.steps import Affine
from tests.folding.convolving import AFFINES, BGR, GRAY, IMAGENET, RGBA, apply, conv, folded, left_at_run_time, plan_of, reader_of

convolutions = st.fixed_dictionaries(
    {
        "affine": st.sampled_from(sorted(AFFINES)),
        "kernel": st.tuples(st.integers(1, 5), st.integers(1, 5)),
        "stride": st.integers(1, 3),
        "dilation": st.integers(1, 2),
        "padding": st.tuples(st.integers(0, 3), st.integers(0, 3)),
        "pad": st.sampled_from([None, 0.0, 1.0, -0.5, 114.0]),
        "bias": st.booleans(),
        "groups": st.sampled_from([1, 3]),
        "seed": st.integers(0, 2**16),
    }
)


@given(convolutions)
def test_folded_equals_unfolded_border_included(case):
    affine, rng = AFFINES[case["affine"]], np.random.default_rng(case["seed"])
    groups = case["groups"] if affine.is_diagonal else 1
    x = rng.integers(0, 256, (2, affine.channels_in, 13, 11)).astype(np.float64)
    weight = rng.normal(size=(6, affine.channels_out // groups, *case["kernel"]))
    bias = rng.normal(size=6) if case["bias"] else None
    options = {"padding": case["padding"], "pad": case["pad"], "stride": case["stride"], "dilation": case["dilation"]}
    want = conv(apply(affine, x), weight, bias, groups=groups, **options)
    plan, new_weight, new_bias = folded(weight, bias, affine, case["pad"], groups=groups)
    got = conv(left_at_run_time(x, plan), new_weight, new_bias, groups=groups, **options)
    assert np.abs(got - want).max() <= 1e-9 * np.abs(want).max()


@given(st.integers(0, 2**16), st.sampled_from([None, 0.0, 0.25]), st.booleans())
def test_a_channel_map_inside_the_backbone_stays_where_it_is(seed, pad, level):
    """GoogLeNet's transform_input, which re-maps what ImageNet's Normalize made; or one that does the same to all channels, of which there
    may be more then."""
    rng, affine = np.random.default_rng(seed), GRAY if level else BGR
    scale, offset = rng.uniform(0.3, 2, 1 if level else 3), rng.normal(size=1 if level else 3)
    weight, x = rng.normal(size=(4, 3, 3, 3)), rng.integers(0, 256, (1, affine.channels_in, 8, 9)).astype(np.float64)

    def through(values):
        return values * scale[:, None, None] + offset[:, None, None]

    want = conv(through(apply(affine, x)), weight, None, padding=(1, 1), pad=pad)
    reader = reader_of(3, pad, scale=scale, offset=offset)
    plan = plan_for([reader], affine, lambda count: [reader_of(count, pad, scale=scale, offset=offset)])
    new_weight, new_bias = folded_weights(weight, None, plan, reader, *plan.after)
    got = conv(through(left_at_run_time(x, plan)), new_weight, new_bias, padding=(1, 1), pad=pad)
    assert np.abs(got - want).max() <= 1e-9 * np.abs(want).max()


def test_one_shift_serves_a_padded_and_an_unpadded_convolution(rng):
    x = rng.integers(0, 256, (1, 3, 8, 8)).astype(np.float64)
    readers, plan = plan_of(IMAGENET, [0.0, None])
    for reader, after, pad, size in zip(readers, plan.after, (0.0, None), (3, 1), strict=True):
        weight = rng.normal(size=(4, 3, size, size))
        want = conv(apply(IMAGENET, x), weight, None, padding=(1, 1), pad=pad)
        new_weight, new_bias = folded_weights(weight, None, plan, reader, after)
        got = conv(left_at_run_time(x, plan), new_weight, new_bias, padding=(1, 1), pad=pad)
        assert np.abs(got - want).max() <= 1e-9 * np.abs(want).max()


@given(
    st.integers(0, 2**16),
    st.sampled_from(["imagenet", "BGR", "RGBA", "mixing", "shift"]),
    st.lists(st.sampled_from([0.0, 1.0, -0.5, 114.0]), min_size=2, max_size=3, unique=True),
)
def test_borders_of_several_constants_fold_and_what_averages_over_them(seed, name, values):
    """One operation behind them all, and one behind each."""
    shift = Affine(np.eye(3), np.array([-104.0, -117.0, -123.0]))
    affine, rng = {**AFFINES, "shift": shift}[name], np.random.default_rng(seed)
    x = rng.integers(0, 256, (2, affine.channels_in, 7, 6)).astype(np.float64)

    def bordered(x, values):
        for value in values:
            x = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 2)), constant_values=value)
        return torch.nn.functional.avg_pool2d(torch.from_numpy(x), 2, 1).numpy()

    ways = [tuple(values), *((value,) for value in values)]
    readers, plan = plan_of(affine, ways)
    assert plan.form == ("subtract" if name == "shift" else "append")
    for reader, after, way in zip(readers, plan.after, ways, strict=True):
        weight, bias = rng.normal(size=(4, 3, 3, 3)), rng.normal(size=4)
        want = conv(bordered(apply(affine, x), way), weight, bias, padding=(0, 0), pad=None)
        new = folded_weights(weight, bias, plan, reader, after)
        got = conv(bordered(left_at_run_time(x, plan), way), *new, padding=(0, 0), pad=None)
        assert np.abs(got - want).max() <= 1e-9 * np.abs(want).max()


@pytest.mark.parametrize(
    ("affine", "pad", "form"),
    [("imagenet", None, "cast"), ("imagenet", 0.0, "subtract"), ("RGBA", 0.0, "subtract"), ("GRAY", 0.0, "append"), ("GRAY", None, "cast")],
)
def test_form_left_at_run_time(affine, pad, form):
    assert plan_of(AFFINES[affine], [pad])[1].form == form


def test_a_rescale_alone_leaves_only_the_cast():
    assert plan_of(Affine.diagonal([1 / 255] * 3, [0.0] * 3), [0.0])[1].form == "cast"


@pytest.mark.parametrize("affine", ["imagenet", "BGR", "RGBA", "GRAY", "mixing"])
def test_without_a_place_for_a_bias_the_offset_is_subtracted(affine, rng):
    """A product with a matrix, to which nothing is added."""
    total, weight = AFFINES[affine], rng.normal(size=(4, 3))
    x = rng.integers(0, 256, (1, total.channels_in, 5, 7)).astype(np.float64)
    plan, new_weight, new_bias = folded(weight, None, total, None, takes_bias=False)
    assert new_bias is None
    got = np.einsum("oc,nchw->nohw", new_weight, left_at_run_time(x, plan))
    np.testing.assert_allclose(got, np.einsum("oc,nchw->nohw", weight, apply(total, x)), rtol=1e-10, atol=1e-10)


def test_the_uncorrected_fold_would_be_wrong_on_the_border_only(rng):
    x, weight = rng.integers(0, 256, (1, 3, 9, 9)).astype(np.float64), rng.normal(size=(4, 3, 3, 3))
    want = conv(apply(IMAGENET, x), weight, None, padding=(1, 1), pad=0.0)
    _, naive_weight, naive_bias = folded(weight, None, IMAGENET, None)
    error = np.abs(conv(x, naive_weight, naive_bias, padding=(1, 1), pad=0.0) - want)
    assert error[:, :, 1:-1, 1:-1].max() < 1e-9
    assert error[:, :, 0].max() > 0.1
    np.testing.assert_allclose(border_error(reader_of(3, 0.0), IMAGENET), IMAGENET.offset)
    assert border_error(reader_of(1, 0.0), Affine.diagonal([2.0], [0.0])) is None
    assert border_error(reader_of(3), IMAGENET) is None


def test_the_bias_comes_from_the_rounded_weights(rng):
    """Half precision weights and a small std: the large constants cancel only if the bias knows the rounding."""
    narrow = Affine.diagonal(np.full(3, 1 / (255 * 0.02)), np.full(3, -0.7 / 0.02))
    weight = rng.normal(size=(8, 3, 3, 3)) * 0.05
    weight = (weight - weight.mean(axis=(1, 2, 3), keepdims=True)).astype(np.float16)  # else the rounding of a large bias hides it
    x = rng.normal(0.7 * 255, 3, (1, 3, 9, 9))
    want = conv(apply(narrow, x), weight.astype(np.float64), None, padding=(0, 0), pad=None)
    _, new_weight, new_bias = folded(weight, None, narrow, None)
    assert new_weight.dtype == np.float16
    exact = weight.astype(np.float64) / (255 * 0.02)
    exact_bias = (weight.astype(np.float64).sum(axis=(2, 3)) @ narrow.offset).astype(np.float16)
    errors = [
        np.abs(conv(x, w.astype(np.float64), b.astype(np.float64), padding=(0, 0), pad=None) - want).max()
        for w, b in ((new_weight, new_bias), (exact.astype(np.float16), exact_bias))
    ]
    assert errors[0] < errors[1] / 3


@pytest.mark.parametrize(
    ("affine", "readers", "reason"),
    [
        (GRAY, [reader_of(3, 0.0), reader_of(3, 1.0)], "padded with different constants, 0, 1, and no pixel maps to 0"),
        (IMAGENET, [reader_of(3, (0.0, 1.0), scale=(2.0, 1.0, 2.0))], "behind the backbone's own channel map"),
        (GRAY, [reader_of(3, 0.0, offset=(0.5, 0.5, 0.4))], "behind the backbone's own channel map"),
        (RGBA, [reader_of(3, 0.0, scale=(2.0, 1.0, 3.0))], "their number would change: the multiplication takes 3 channels"),
        (IMAGENET, [reader_of(3, scale=(1.0, 0.0, 1.0))], "has no inverse"),
        (RGBA, [reader_of(3, 0.0), reader_of(3, offset=0.5, takes_bias=False)], "their number would change: the multiplication takes 3"),
        (GRAY, [reader_of(3, 1.0, takes_bias=False)], "padded with different constants, 0, 1, and no pixel maps to 0"),
    ],
)
def test_plan_refuses_with_the_reason(affine, readers, reason):
    def again(channels):
        raise NotFoldableError(f"the multiplication takes 3 channels, got {channels}")

    with pytest.raises(NotFoldableError, match=reason):
        plan_for(readers, affine, again)


@pytest.mark.parametrize(
    ("affine", "groups", "pad", "reason"),
    [(BGR, 3, 0.0, "mixes or reorders channels"), (GRAY, 3, None, "cannot read 1 channels")],
)
def test_groups_refuse_with_the_reason(affine, groups, pad, reason):
    with pytest.raises(NotFoldableError, match=reason):
        folded(np.ones((3, 1, 3, 3)), None, affine, pad, groups=groups)


def test_channel_counts_have_to_match():
    with pytest.raises(NotFoldableError, match="reads 4 channels, the pipeline makes 3"):
        folded(np.ones((2, 4, 1, 1)), None, IMAGENET, None)
    with pytest.raises(PreprocError, match="expected 3 channels, got 1"):
        Affine.identity(1).then(IMAGENET)
    with pytest.raises(PreprocError, match="finite"):
        Affine(np.array([[np.nan]]), np.zeros(1))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_not_folded(wrong):
    weight = np.ones((2, 3, 3, 3), np.float32)
    weight[1, 2, 0, 0] = wrong
    with pytest.raises(NotFoldableError, match="not all finite numbers"):
        folded(weight, None, IMAGENET, None)
    with pytest.raises(NotFoldableError, match="not all finite numbers"):
        folded(np.ones_like(weight), np.float32([0, wrong]), IMAGENET, None)


@pytest.mark.parametrize("dtype", ["int32", "uint8"])
def test_weights_that_are_whole_numbers_are_not_folded(dtype):
    """Half of each would be cut off."""
    with pytest.raises(NotFoldableError, match=f"whole numbers, {dtype}"):
        folded(np.ones((2, 3, 1, 1), dtype), None, Affine.diagonal([0.5] * 3, [0.0] * 3), None)


def test_weights_that_would_overflow_are_not_folded():
    with pytest.raises(NotFoldableError, match="no finite float32 numbers"):
        folded(np.full((2, 3, 3, 3), 3e38, np.float32), None, Affine.diagonal([2.0] * 3, [0.0] * 3), None)
