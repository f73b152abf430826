"""Order, units, collapse, prepend."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from preproc import steps
from preproc.errors import PreprocError
from preproc.layers import ChannelAffine, FromPixels, LocalResponseNorm, Model, Normalize, Pipeline, Rescale, prepend
from preproc.oracle import reference


def imagenet():
    return FromPixels(layout="NHWC", color="BGR"), Rescale(), Normalize.preset("imagenet")


def test_runs_the_layers_in_order(rng):
    pixels = rng.integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    pipeline = Pipeline(*imagenet())
    np.testing.assert_allclose(pipeline(torch.from_numpy(pixels)).numpy(), reference.apply(pipeline.steps(), pixels), atol=1e-6)


def test_refuses_units_that_do_not_fit():
    with pytest.raises(PreprocError, match="put a rescale step"):
        Pipeline(FromPixels(layout="NHWC"), Normalize.preset("imagenet"))
    with pytest.raises(PreprocError, match="expected layers of preproc, got ReLU"):
        Pipeline(nn.ReLU())
    with pytest.raises(PreprocError, match="normalized or rescaled already"):
        Pipeline(*imagenet(), Normalize.preset("imagenet"))


affine_layers = st.lists(
    st.sampled_from(
        [
            steps.Rescale(scale=0.7, offset=-3),
            steps.Normalize(mean=(100, 110, 120), std=(50, 60, 70), unit=None),
            steps.ChannelAffine(matrix=((0, 0, 1), (0, 1, 0), (1, 0, 0))),
            steps.ChannelAffine(matrix=((0.5, 0.2, 0), (0.1, 0.9, 0.1), (0.3, 0.3, 0.3)), offset=(1, 2, 3)),
            steps.LocalResponseNorm(size=3, alpha=0.01),
        ]
    ),
    max_size=6,
)


@given(affine_layers, st.integers(0, 1000))
def test_collapse_changes_no_value_and_leaves_no_affine_neighbours(sequence, seed):
    x = np.random.default_rng(seed).uniform(0, 255, (1, 3, 4, 5))
    pipeline = Pipeline.from_steps(sequence, dtype=torch.float64)
    collapsed = pipeline.collapse(channels=3)
    want = reference.apply(sequence, x)
    np.testing.assert_allclose(collapsed(torch.from_numpy(x)).numpy(), want, rtol=1e-9, atol=1e-9 * np.abs(want).max())
    kinds = [isinstance(step, steps.ChannelAffine) for step in collapsed.steps()]
    assert not any(a and b for a, b in itertools.pairwise(kinds))
    assert len(collapsed.steps()) <= len(sequence)


@pytest.mark.parametrize(
    ("color", "parts"),
    [("RGB", ["_MultiplyAdd"]), ("BGR", ["Select", "_MultiplyAdd"]), ("GRAY", ["Select", "_MultiplyAdd"])],
)
def test_collapse_takes_the_cheapest_form(color, parts):
    collapsed = Pipeline(FromPixels(layout="NHWC", color=color), *imagenet()[1:]).collapse()
    first, second = collapsed.layers
    assert first.step.to == color
    assert [type(part).__name__ for part in second.parts] == parts


def test_collapse_drops_the_identity():
    pipeline = Pipeline(FromPixels(layout="NHWC"), Rescale(scale=2), ChannelAffine(matrix=np.eye(3) / 2))
    assert pipeline.collapse().steps() == (steps.FromPixels(layout="NHWC"),)
    with pytest.raises(PreprocError, match="expected channels="):
        Pipeline(Rescale(scale=2)).collapse()


def test_collapse_keeps_the_dtype():
    assert Pipeline(*imagenet()).half().collapse()(torch.zeros(1, 2, 2, 3, dtype=torch.uint8)).dtype == torch.float16


def test_prepend_keeps_the_backbones_state_dict():
    backbone = nn.Conv2d(3, 4, 3)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    model = prepend(Pipeline(*imagenet()), backbone)
    assert isinstance(model, Model)
    assert model.backbone is backbone
    assert {key.removeprefix("backbone.") for key in model.state_dict()} == set(before)
    model(torch.zeros(1, 8, 8, 3, dtype=torch.uint8))
    assert all(torch.equal(backbone.state_dict()[key], value) for key, value in before.items())
    with pytest.raises(PreprocError, match="expected a Pipeline first, got Conv2d"):
        prepend(backbone, backbone)


def test_lrn_ends_the_affine_run():
    collapsed = Pipeline(*imagenet(), LocalResponseNorm(size=5), ChannelAffine(matrix=2 * np.eye(3))).collapse()
    assert [step.name for step in collapsed.steps()] == ["from_pixels", "channel_affine", "local_response_norm", "channel_affine"]
