"""The fold in a torch module is exact over random convolutions, and never changes its argument."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from preproc import steps
from preproc.errors import PreprocError
from preproc.folding.modules import fold, uncorrected_border, why_not_foldable
from preproc.layers import FromPixels, LocalResponseNorm, Normalize, Pipeline, Rescale, prepend
from tests.folding.modules.networks import CHANNELS, Stem, double, imagenet, pixels


class Padded(nn.Module):
    """An explicit pad with a constant, then a convolution without padding."""

    def __init__(self, conv, pads, value):
        super().__init__()
        self.conv, self.pads, self.value = conv, pads, value

    def forward(self, x):
        return self.conv(F.pad(x, self.pads, value=self.value))


convolutions = st.fixed_dictionaries(
    {
        "color": st.sampled_from(sorted(CHANNELS)),
        "kernel_size": st.tuples(st.integers(1, 4), st.integers(1, 4)),
        "stride": st.integers(1, 3),
        "dilation": st.integers(1, 2),
        "padding": st.one_of(st.sampled_from(["same", "valid"]), st.tuples(st.integers(0, 2), st.integers(0, 2))),
        "padding_mode": st.sampled_from(["zeros", "reflect", "replicate", "circular"]),
        "bias": st.booleans(),
        "groups": st.sampled_from([1, 3]),
        "explicit": st.sampled_from([None, 0.0, 2.5, -1.0]),
        "seed": st.integers(0, 2**16),
    }
)


def draw(case):
    """A one-convolution backbone in float64 and the color of its pixels."""
    torch.manual_seed(case["seed"])
    groups = case["groups"] if case["color"] == "RGB" else 1
    stride = 1 if case["padding"] == "same" else case["stride"]
    options = {key: case[key] for key in ("kernel_size", "dilation", "bias", "padding_mode")} | {"groups": groups, "stride": stride}
    if case["explicit"] is not None:
        conv = nn.Conv2d(3, 6, **{**options, "padding_mode": "zeros"}, dtype=torch.float64)
        return Padded(conv, (1, 2, 0, 1), case["explicit"]), case["color"]
    return nn.Conv2d(3, 6, padding=case["padding"], dtype=torch.float64, **options), case["color"]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@given(convolutions)
def test_folded_equals_unfolded_border_included(case):
    backbone, color = draw(case)
    model, x = prepend(imagenet(color), backbone), pixels(color, seed=case["seed"])
    result = fold(model, example=x)
    assert result.folded, result.reason
    with torch.no_grad():
        want, got = model(x), result.model(x)
        assert float((got - want).abs().max()) <= 1e-9 * float(want.abs().max())
        single = fold(prepend(imagenet(color, torch.float32), copy.deepcopy(backbone).float()), example=x)
        assert float((single.model(x).double() - want).abs().max()) <= 1e-5 * float(want.abs().max())


class TwoBranches(nn.Module):
    """RepVGG's training form: a 3x3 and a 1x1 convolution read the input together."""

    def __init__(self):
        super().__init__()
        self.three = nn.Conv2d(3, 4, 3, padding=1, bias=False, dtype=torch.float64)
        self.one = nn.Conv2d(3, 4, 1, dtype=torch.float64)

    def forward(self, x):
        return self.three(x) + self.one(x)


def test_several_convolutions_fold_together():
    model, x = prepend(imagenet(), TwoBranches()), pixels()
    result = fold(model, example=x)
    assert result.convolutions == ("one.weight", "three.weight")
    with torch.no_grad():
        assert float((result.model(x) - model(x)).abs().max()) < 1e-11


COUNTING = {
    "constant": lambda m, x: m.conv(x * torch.ones(1, 3, 1, 1, dtype=x.dtype)),
    "slice": lambda m, x: m.conv(x[:, :3]),
    "check": lambda m, x: m.conv(x) if x.shape[1] == 3 else x.missing,
}


COLORS = {"GRAY": (0, 0, 0), "RGBA": (0, 1, 2)}


@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("name", COUNTING)
def test_a_backbone_that_counts_its_channels_is_handed_as_many(name, color):
    model, x = prepend(imagenet(color), Stem(COUNTING[name]).eval()), pixels(color)
    result = fold(model, example=x)
    assert result.folded, result.reason
    keeps_all = (name, color) == ("slice", "GRAY")  # of one channel it is gone from the graph, and harmless
    assert result.selected == (() if keeps_all else COLORS[color])
    with torch.no_grad():
        torch.testing.assert_close(result.model(x), model(x), rtol=1e-11, atol=1e-11)
        assert float((result.model(x ^ 1) - model(x)).abs().max()) > 1e-3


@pytest.mark.parametrize("standardized", [False, True])
@pytest.mark.parametrize("color", ["BGR", "RGBA"])
def test_a_grouped_convolution_reads_selected_channels_border_included(color, standardized):
    """Its weights may be computed by a module of their own, in whose place a plain one stands."""
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 6, 3, padding=1, groups=3, **double)
    if standardized:
        nn.utils.parametrizations.weight_norm(conv)
    model, x = prepend(imagenet(color), nn.Sequential(conv)), pixels(color)
    result = fold(model, example=x)
    assert result.folded, result.reason
    assert (result.form, bool(result.selected)) == ("subtract", True)
    with torch.no_grad():
        assert float((result.model(x) - model(x)).abs().max()) <= 1e-9 * float(model(x).abs().max())
        assert float((result.model(x ^ 1) - model(x)).abs().max()) > 1e-3


def test_any_channels_without_statistics_fall_back_too():
    pipeline = Pipeline(FromPixels(layout="NHWC", color="ANY", to="ANY", **double), Rescale(**double))
    x = torch.randint(0, 256, (2, 8, 8, 5), dtype=torch.uint8)
    result = fold(prepend(pipeline, Stem(lambda _, x: x.relu())), example=x)
    assert "relu" in str(result.reason)
    torch.testing.assert_close(result.model(x), pipeline(x).relu())


def test_bfloat16_weights_fold_behind_whole_numbers():
    result = fold(prepend(imagenet(dtype=torch.bfloat16), nn.Conv2d(3, 4, 3, dtype=torch.bfloat16)), example=pixels())
    assert result.form == "subtract"
    assert result.why.startswith("whole numbers are exact in half precision")


def test_a_pipeline_that_ends_in_lrn_is_refused():
    pipeline = Pipeline(FromPixels(layout="NHWC"), Rescale(), LocalResponseNorm(size=3))
    assert why_not_foldable(prepend(pipeline, nn.Conv2d(3, 4, 3)), example=pixels()) == (
        "the pipeline ends in local_response_norm, which is not affine"
    )


def test_the_affine_end_behind_lrn_folds_and_lrn_stays():
    pipeline = Pipeline(
        FromPixels(layout="NHWC", **double), Rescale(**double), LocalResponseNorm(size=3), Rescale(scale=3, offset=1, **double)
    )
    model, x = prepend(pipeline, nn.Conv2d(3, 4, 3, padding=1, **double)), pixels()
    result = fold(model, example=x)
    assert result.folded
    with torch.no_grad():
        torch.testing.assert_close(result.model(x), model(x), rtol=1e-11, atol=1e-11)


def test_folding_never_changes_its_argument():
    backbone = nn.Conv2d(3, 4, 3, bias=False)
    before = copy.deepcopy(backbone.state_dict())
    result = fold(prepend(imagenet(dtype=torch.float32), backbone), example=pixels())
    assert backbone.bias is None
    assert torch.equal(before["weight"], backbone.weight)
    assert result.model.backbone.bias is not None


@pytest.mark.parametrize(("color", "left"), [("RGB", 1), ("GRAY", 2)])
def test_what_is_left_at_run_time(color, left):
    result = fold(prepend(imagenet(color), nn.Conv2d(3, 4, 3, padding=1, **double)), example=pixels(color))
    assert len(result.model.pipeline) == 1 + left
    unpadded = fold(prepend(imagenet(color), nn.Conv2d(3, 4, 3, **double)), example=pixels(color))
    assert unpadded.form == "cast"
    assert len(unpadded.model.pipeline) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv2d(3, 4, 3, padding=1, bias=False, **double),
        lambda: nn.Conv2d(3, 6, 3, padding=1, groups=3, **double),
        lambda: Stem(lambda m, x: F.conv2d(x, m.conv.weight, m.conv.bias, padding=1)),
    ],
    ids=["no bias", "groups", "functional"],
)
def test_the_negative_control_makes_just_the_border_wrong(make):
    conv = make()
    model, x = prepend(imagenet(), conv), pixels()
    wrong = copy.deepcopy(conv)
    affine = steps.compose(model.pipeline.steps(), 3)
    minus = uncorrected_border(wrong, affine, torch.zeros(2, 3, 13, 11, **double))
    with torch.no_grad():
        error = (wrong(model.pipeline(x) - torch.from_numpy(minus)[:, None, None]) - model(x)).abs()
    assert error[:, :, 1:-1, 1:-1].max() < 1e-10
    assert error[:, :, 0].max() > 0.1
    assert uncorrected_border(nn.Conv2d(3, 4, 3, **double), affine, torch.zeros(2, 3, 13, 11, **double)) is None


def test_a_network_without_a_pipeline_is_told_how():
    with pytest.raises(PreprocError, match=r"expected a Model, which prepend\(pipeline, network\) makes, got Conv2d"):
        fold(nn.Conv2d(3, 4, 3), example=pixels())


class WeightAlone(nn.Module):
    """Uses a convolution's weight without the module."""

    def __init__(self, *, called):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.called = nn.Conv2d(3, 4, 3, bias=False), called

    def forward(self, x):
        return self.conv(x) if self.called else nn.functional.conv2d(x, self.conv.weight)


@pytest.mark.parametrize("called", [True, False])
def test_a_bias_that_nobody_would_read_is_no_fold(called):
    pipeline = Pipeline(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet"))
    model, example = prepend(pipeline, WeightAlone(called=called)), torch.randint(0, 256, (2, 16, 16, 3), dtype=torch.uint8)
    result = fold(model, example=example)
    assert result.folded == called
    assert called or "is used without one outside of an nn.Conv2d" in result.reason
    torch.testing.assert_close(result.model(example), model(example), rtol=1e-4, atol=1e-4)
