"""Convolutions that compute their weights: a plain one stands in, or the refusal says what the module does besides."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from preproc import steps
from preproc.folding.modules import fold, uncorrected_border
from preproc.layers import prepend
from tests.folding.modules.networks import double, imagenet, pixels


class Standardized(nn.Conv2d):
    """Weight standardization. same: with TensorFlow's padding, as timm's StdConv2dSame."""

    def __init__(self, *args, same=False, **options):
        super().__init__(*args, **double, **options)
        self.same = same

    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.square().mean((1, 2, 3), keepdim=True) + 1e-6).sqrt()
        return F.conv2d(self.padded(x) if self.same else x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def padded(self, x):
        ends = []
        for side, k, s, d in zip(x.shape[2:], self.kernel_size, self.stride, self.dilation, strict=True):
            missing = max((-(-side // s) - 1) * s + (k - 1) * d + 1 - side, 0)
            ends = [missing // 2, missing - missing // 2, *ends]
        return F.pad(x, ends)


def conv():
    return nn.Conv2d(3, 4, 3, padding=1, **double)


COMPUTED = {
    "standardized": lambda: Standardized(3, 4, 3, padding=1, stride=2),
    "in groups": lambda: Standardized(3, 6, 3, padding=1, groups=3, bias=False),
    "weight norm": lambda: parametrizations.weight_norm(conv()),
    "spectral norm": lambda: parametrizations.spectral_norm(conv()),
}


def check_same_answers(net, color="RGB", sizes=((13, 11), (16, 17))):
    model = prepend(imagenet(color), net)
    result = fold(model, example=pixels(color))
    assert result.folded, result.reason
    assert result.convolutions == ("0.weight",)
    for size in sizes:
        x = pixels(color, size)
        with torch.no_grad():
            want = model(x)
            assert float((result.model(x) - want).abs().max()) <= 1e-9 * float(want.abs().max())
    return result


@pytest.mark.parametrize("name", COMPUTED)
def test_a_plain_convolution_stands_in(name):
    net = nn.Sequential(COMPUTED[name](), nn.ReLU()).eval()
    kept = copy.deepcopy(net.state_dict())
    result = check_same_answers(net, "RGB" if name == "in groups" else "BGR")
    assert type(result.model.backbone[0]) is nn.Conv2d
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in kept.items())


@settings(max_examples=12)
@given(st.integers(2, 5), st.integers(1, 3), st.integers(1, 2), st.tuples(st.integers(11, 16), st.integers(11, 16)))
def test_padding_that_goes_by_the_size_goes_on_doing_so(kernel, stride, dilation, size):
    if (kernel - 1) * dilation + 1 >= stride:
        net = nn.Sequential(Standardized(3, 2, kernel, stride=stride, dilation=dilation, same=True), nn.ReLU())
        check_same_answers(net, "BGR", [size])


class Odd(Standardized):
    """Pads as nobody else does."""

    def padded(self, x):
        return F.pad(x, (1, 2, 2, 1))


class Twice(Standardized):
    def forward(self, x):
        return super().forward(x) + x.mean()


class HandsOn(Standardized):
    def forward(self, x):
        return super().forward(x), self.weight * 2


class Runs(nn.Module):
    def __init__(self, forward, *parts):
        super().__init__()
        self.parts, self.run = nn.ModuleList(parts), forward

    def forward(self, x):
        return self.run(*self.parts, x)


REFUSED = {
    "pads otherwise": (lambda: nn.Sequential(Odd(3, 4, 3, same=True)), "pads it as no nn.Conv2d does"),
    "reads more": (lambda: nn.Sequential(Twice(3, 4, 3)), "does more with"),
    "hands on its weight": (lambda: Runs(lambda c, x: sum(part.sum() for part in c(x)), HandsOn(3, 4, 3)), "hands on more"),
    "called twice": (lambda: Runs(lambda c, x: c(x) + c(x.flip(1)), Standardized(3, 4, 3)), "hands on more"),
    "called again behind it": (lambda: Runs(lambda c, x: c(c(x)), Standardized(3, 3, 3)), "does more"),
    "the network itself": (lambda: Standardized(3, 4, 3), "computed in the network's own forward"),
    "computed from the picture": (
        lambda: Runs(lambda c, x: F.conv2d(x, c.weight * x.shape[2] * torch.rand(1, **double)), conv()),
        "computed from what only a run tells",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_module_that_does_more_is_refused(name):
    make, reason = REFUSED[name]
    result = fold(prepend(imagenet(), make().eval()), example=pixels())
    assert not result.folded
    assert reason in result.reason


def test_the_padding_is_tried_at_more_sizes_than_the_example_s():
    """At 13 rows and 11 columns it pads as SAME does, at others not."""

    class ByParity(Standardized):
        def padded(self, x):
            return F.pad(x, (1, 1, 1, 1)) if x.shape[2] % 2 else x

    result = fold(prepend(imagenet(), nn.Sequential(ByParity(3, 4, 3, stride=2, same=True))), example=pixels())
    assert "pads it as no nn.Conv2d does" in result.reason


def test_the_negative_control_makes_just_the_border_wrong():
    net = nn.Sequential(Standardized(3, 4, 3, padding=1))
    model, x, wrong = prepend(imagenet(), net), pixels(), copy.deepcopy(net)
    minus = uncorrected_border(wrong, steps.compose(model.pipeline.steps(), 3), torch.zeros(2, 3, 13, 11, **double))
    with torch.no_grad():
        error = (wrong(model.pipeline(x) - torch.from_numpy(minus)[:, None, None]) - model(x)).abs()
    assert error[:, :, 1:-1, 1:-1].max() < 1e-10
    assert error[:, :, 0].max() > 0.1
