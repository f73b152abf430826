"""The torch fold: exact over random convolutions, found in any backbone's graph, refused with the reason."""

import copy
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from preproc import steps
from preproc.errors import NotFoldableError, PreprocError
from preproc.folding.modules import fold, uncorrected_border, why_not_foldable
from preproc.folding.modules.walk import first_convolutions
from preproc.layers import FromPixels, LocalResponseNorm, Normalize, Pipeline, Rescale, prepend

CHANNELS = {"RGB": 3, "BGR": 3, "RGBA": 4, "BGRA": 4, "GRAY": 1}


def imagenet(color="RGB", dtype=torch.float64):
    return Pipeline(FromPixels(layout="NHWC", color=color, dtype=dtype), Rescale(dtype=dtype), Normalize.preset("imagenet", dtype=dtype))


def pixels(color="RGB", size=(13, 11), seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (2, *size, CHANNELS[color]), dtype=np.uint8))


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


class Stem(nn.Module):
    """Something in front of a convolution."""

    def __init__(self, before, conv=None):
        super().__init__()
        self.before = before
        self.conv = conv or nn.Conv2d(3, 4, 3, padding=1, dtype=torch.float64)
        self.norm = nn.BatchNorm2d(3, dtype=torch.float64)
        self.norm.running_mean, self.norm.running_var = torch.tensor([[0.4, 0.5, 0.3], [0.1, 0.2, 0.5]], dtype=torch.float64)
        self.register_buffer("scale", torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64).reshape(1, 3, 1, 1))
        self.register_buffer("field", torch.ones(13, 11, dtype=torch.float64))

    def forward(self, x):
        return self.before(self, x)


def transform_input(m, x):
    parts = [x[:, c, None] * (0.229 / 0.5) + (0.485 - 0.5) / 0.5 for c in range(3)]
    return m.conv(torch.cat(parts, 1))


TRANSPARENT = {
    "transform_input": transform_input,
    "buffer": lambda m, x: m.conv((x - 0.1) / m.scale),
    "computed constants": lambda m, x: m.conv((x - m.scale.exp()) / torch.tensor([0.2, 0.3, 0.4]).to(x)[:, None, None]),
    "batch norm": lambda m, x: m.conv(m.norm(x)),
    "swapped operands": lambda m, x: m.conv(1.0 - m.scale * x),
    "channels last": lambda m, x: m.conv(x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)),
    "index": lambda m, x: m.conv(x[:, [2, 0, 1]]),
    "flipped": lambda m, x: m.conv(x.flip(1)),
    "addcmul": lambda m, x: m.conv(torch.addcmul(m.scale, x, m.scale + 1)),
    "flip": lambda m, x: m.conv(torch.cat([x[:, 2:3], x[:, 1:2], x[:, 0:1]], 1)),
    "size read": lambda m, x: m.conv(x) * x.shape[2],
    "dropout": lambda m, x: m.conv(F.dropout(x, training=False)),
    "functional": lambda m, x: F.conv2d(x, m.conv.weight, m.conv.bias, padding=1),
    "reflect": lambda m, x: F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), m.conv.weight, m.conv.bias),
}


def filled(m, x):
    mean = torch.zeros(3, dtype=x.dtype)
    mean[0], mean[1] = 0.485, 0.456
    return m.conv(x - mean[:, None, None])


def scaled_through_a_view(m, x):
    scale = m.scale.clone()
    scale[:, 0:1].mul_(3)
    return m.conv(x * scale)


def clamped_buffer(m, x):
    m.scale.clamp_(max=1.5)
    return m.conv(x * m.scale)


def in_place(m, x):
    x = x.clone()
    x -= 0.25
    x /= m.scale
    return m.conv(m.norm(x))


TRANSPARENT |= {"filled": filled, "scaled through a view": scaled_through_a_view, "in place": in_place}
TRANSPARENT |= {"relu in place": lambda m, x: F.relu(m.conv(x), inplace=True)}


def foreach(m, x):
    mean = torch.zeros(3, dtype=x.dtype)
    torch._foreach_add_([mean], 0.4)
    return m.conv(x - mean[:, None, None])


def doubling(m, x):
    c = m.scale
    for _ in range(40):
        c = c * 0.5 + c * 0.5
    return m.conv(x * c)


TRANSPARENT |= {"foreach": foreach, "a diamond of forty levels": doubling}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_the_channel_axis_is_followed(name):
    model, x = prepend(imagenet("BGR"), Stem(TRANSPARENT[name]).eval()), pixels("BGR")
    result = fold(model, example=x)
    assert result.folded, result.reason
    assert result.convolutions == ("conv.weight",)
    with torch.no_grad():
        want = model(x)
        assert float((result.model(x) - want).abs().max()) <= 1e-11 * float(want.abs().max())


def grown_buffer(m, x):
    m.scale.mul_(2.0)
    return m.conv(x * m.scale)


def test_a_buffer_that_every_run_changes_is_no_constant():
    stem = Stem(grown_buffer).eval()
    kept = stem.scale.clone()
    with pytest.raises(NotFoldableError, match="computed value"):
        first_convolutions(stem, torch.zeros(2, 3, 13, 11, **double))
    assert torch.equal(stem.scale, kept)  # looking at it does not write into the user's network


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


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return self.conv(self.conv(x))


class Standardized(nn.Conv2d):
    def forward(self, x):
        return F.conv2d(x, self.weight - self.weight.mean(), self.bias)


class NoBias(nn.Module):
    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.ones(4, 3, 3, 3))

    def forward(self, x):
        return F.conv2d(x, self.kernel)


double = {"dtype": torch.float64}
REFUSED = {
    "tied": (lambda: Tied().double(), "is used by another operation too"),
    "standardized": (lambda: Standardized(3, 4, 3, **double), "computed, not a parameter"),
    "no bias": (lambda: NoBias().double(), "needs a bias"),
    "another reader": (lambda: Stem(lambda m, x: m.conv(x) + x.mean()), "aten.mean.* reads the input"),
    "nonlinear": (lambda: Stem(lambda m, x: m.conv(x.relu())), "aten.relu.* reads the input"),
    "itself": (lambda: Stem(lambda m, x: m.conv(x * x)), "combined with itself"),
    "computed": (lambda: Stem(lambda m, x: m.conv(x * torch.rand(1, dtype=torch.float64))), "computed value"),
    "spatial constant": (lambda: Stem(lambda m, x: m.conv(x + m.field)), "not one number per channel"),
    "crop": (lambda: Stem(lambda m, x: m.conv(x[:, :, 1:])), "cut before the first convolution"),
    "cast": (lambda: Stem(lambda m, x: m.conv(x.half().double())), "cast to torch.float16"),
    "space to depth": (lambda: Stem(lambda _, x: F.pixel_unshuffle(x[:, :, :12, :10], 2)), "cut before"),
    "linear": (lambda: Stem(lambda _, x: x.flatten(1)), "aten.flatten.* reads the input"),
    "pad then scale": (lambda: Stem(lambda m, x: m.conv(F.pad(x, (1, 1)) * 2.0)), "padded before its values are re-mapped"),
    "pad of channels": (
        lambda: Stem(lambda m, x: m.conv(F.pad(x.permute(0, 2, 3, 1), (1, 0))[..., :3].permute(0, 3, 1, 2))),
        "channels are padded",
    ),
    "pad twice": (lambda: Stem(lambda m, x: m.conv(F.pad(x, (1, 1), value=1.0))), "padded twice"),
    "returned": (lambda: nn.Identity(), "returns its input"),
    "no reader": (lambda: Stem(lambda m, x: m.scale * x.shape[2]), "no convolution reads the input"),
    "data dependent": (lambda: Stem(lambda m, x: m.conv(x) if x.sum() > 0 else x), "torch.export cannot read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_why_and_leave_the_collapsed_affine_in_front(name):
    make, reason = REFUSED[name]
    model, x = prepend(imagenet(), make().eval()), pixels()
    result = fold(model, example=x)
    assert not result.folded
    assert result.reason is not None
    assert re.search(reason, result.reason), result.reason
    assert why_not_foldable(model, example=x) == result.reason
    if name not in ("data dependent", "computed"):
        with torch.no_grad():
            torch.testing.assert_close(result.model(x), model(x), rtol=1e-11, atol=1e-11)
    assert [step.name for step in result.model.pipeline.steps()] == ["from_pixels", "channel_affine"]


COUNTING = {
    "constant": lambda m, x: m.conv(x * torch.ones(1, 3, 1, 1, dtype=x.dtype)),
    "slice": lambda m, x: m.conv(x[:, :3]),
    "check": lambda m, x: m.conv(x) if x.shape[1] == 3 else x.missing,
}


@pytest.mark.parametrize("color", ["GRAY", "RGBA"])
@pytest.mark.parametrize("name", COUNTING)
def test_a_backbone_that_counts_its_channels_keeps_their_number(name, color):
    model, x = prepend(imagenet(color), Stem(COUNTING[name]).eval()), pixels(color)
    result = fold(model, example=x)
    assert not result.folded or name == "slice"  # a slice that keeps all is gone from the graph, and harmless
    with torch.no_grad():
        torch.testing.assert_close(result.model(x), model(x), rtol=1e-11, atol=1e-11)


def test_any_channels_without_statistics_fall_back_too():
    pipeline = Pipeline(FromPixels(layout="NHWC", color="ANY", to="ANY", **double), Rescale(**double))
    x = torch.randint(0, 256, (2, 8, 8, 5), dtype=torch.uint8)
    result = fold(prepend(pipeline, Stem(lambda _, x: x.relu())), example=x)
    assert "relu" in str(result.reason)
    torch.testing.assert_close(result.model(x), pipeline(x).relu())


def test_bfloat16_weights_are_refused():
    reason = why_not_foldable(prepend(imagenet(dtype=torch.bfloat16), nn.Conv2d(3, 4, 3, dtype=torch.bfloat16)), example=pixels())
    assert "bfloat16" in str(reason)


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


def test_readers_are_named_as_in_the_state_dict():
    (reader,) = first_convolutions(Stem(TRANSPARENT["transform_input"]).eval(), torch.zeros(1, 3, 8, 8, **double))
    assert (reader.weight, reader.bias, reader.pad) == ("conv.weight", "conv.bias", 0.0)
    assert reader.through is not None


def test_a_network_without_a_pipeline_is_told_how():
    with pytest.raises(PreprocError, match=r"expected a Model, which prepend\(pipeline, network\) makes, got Conv2d"):
        fold(nn.Conv2d(3, 4, 3), example=pixels())
