"""Resizes, averages and maxima between the picture and the first convolutions of a torch module, several of them side by side."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from preproc.folding import Tracked
from preproc.folding.modules import fold
from preproc.layers import ChannelAffine, FromPixels, Pipeline, Rescale, prepend
from tests.folding.modules.networks import double, imagenet, pixels


class Stems(nn.Module):
    """A convolution behind each of the ways."""

    def __init__(self, *ways, padding=1):
        super().__init__()
        torch.manual_seed(0)
        self.ways, self.convs = ways, nn.ModuleList(nn.Conv2d(3, 4, 3, padding=padding, **double) for _ in ways)

    def forward(self, x):
        return [conv(way(x)) for way, conv in zip(self.ways, self.convs, strict=True)]


def error(net, color="BGR", pipeline=imagenet):
    """The fold's largest, as a share; or why it is refused."""
    model, x = prepend(pipeline(color), net.eval()), pixels(color)
    result = fold(model, example=x)
    if not result.folded:
        return result.reason
    with torch.no_grad():
        return max(float((one - other).abs().max() / other.abs().max()) for one, other in zip(result.model(x), model(x), strict=True))


GRID = torch.linspace(-1.3, 1.2, 8 * 9 * 2, **double).reshape(1, 8, 9, 2).expand(2, -1, -1, -1)
WAYS = {
    "bilinear": lambda x: F.interpolate(x, (9, 15), mode="bilinear"),
    "corners": lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear", align_corners=True),
    "antialias": lambda x: F.interpolate(x, (6, 7), mode="bilinear", antialias=True),
    "cubic": lambda x: F.interpolate(x, (9, 15), mode="bicubic"),
    "cubic antialias": lambda x: F.interpolate(x, (6, 7), mode="bicubic", antialias=True),
    "nearest": lambda x: F.interpolate(x, scale_factor=0.6),
    "nearest exact": lambda x: F.interpolate(x, (9, 15), mode="nearest-exact"),
    "average": lambda x: F.avg_pool2d(x, 3, 2),
    "average of zeros": lambda x: F.avg_pool2d(x, 3, 2, padding=1),
    "average without zeros": lambda x: F.avg_pool2d(x, 3, 2, padding=1, count_include_pad=False),
    "average to the end": lambda x: F.avg_pool2d(x, 4, 3, padding=1, ceil_mode=True),
    "average of fewer": lambda x: F.avg_pool2d(x, 2, divisor_override=3),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, (5, 4)),
    "mean": lambda x: x.mean((2, 3), keepdim=True),
    "mean of rows": lambda x: x.mean(2)[:, :, None].expand(-1, -1, 3, -1),
    "maximum": lambda x: F.max_pool2d(x, 3, 2, padding=1),
    "largest": lambda x: x.amax((2, 3), keepdim=True),
    "sampled": lambda x: F.grid_sample(x, GRID, align_corners=False),
    "sampled with its edges": lambda x: F.grid_sample(x, GRID, padding_mode="border", align_corners=False),
    "cut": lambda x: x[:, :, 1:-2, ::2],
    "flipped": lambda x: x.flip(3),
    "sum of blocks": lambda x: x[:, :, :-1, :-1].unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).sum((3, 5)),
    "smallest": lambda x: x.amin((2,), keepdim=True),
    "again": lambda x: -x.repeat(1, 1, 2, 1),
    "contrast": lambda x: x - x.mean((2, 3), keepdim=True),
    "neighbours": lambda x: torch.sub(x[:, :, 1:], x[:, :, :-1], alpha=3),
    "dark": lambda x: 1 - x,
    "twice": lambda x: torch.rsub(x, x, alpha=-1),
    "padded with grey": lambda x: F.pad(x, (1, 2, 3, 0), value=0.4),
    "whole": lambda x: x,
}


@pytest.mark.parametrize("color", ["BGR", "RGBA", "GRAY"])
def test_all_ways_at_once(color):
    ways = [way for name, way in WAYS.items() if name not in ("padded with grey", "dark") or color != "GRAY"]
    got = error(Stems(*ways), color)
    assert not isinstance(got, str), got
    assert got <= 1e-9


@settings(max_examples=10)
@given(st.lists(st.sampled_from(sorted(WAYS)), min_size=1, max_size=3), st.integers(0, 1), st.sampled_from(["BGR", "RGBA", "GRAY"]))
def test_ways_behind_one_another_fold_border_included(names, padding, color):
    def way(x):
        for name in names:
            x = WAYS[name](F.interpolate(x, (13, 11)) if x.shape[2] < 9 or x.shape[3] < 9 else x)
        return F.interpolate(x, (13, 11), mode="bilinear")

    got = error(Stems(way, WAYS["whole"], padding=padding), color)
    if isinstance(got, str):
        ordered = "largest" in got and {"maximum", "largest", "smallest"} & set(names)
        assert ordered or (color == "GRAY" and ("different constants" in got or "own channel map" in got)), got
    else:
        assert got <= 1e-9


@pytest.mark.parametrize("name", ["average of zeros", "average of fewer", "sampled"])
def test_a_border_that_is_not_followed_is_seen(name, monkeypatch):
    assert error(Stems(WAYS[name], padding=0)) <= 1e-9
    monkeypatch.setattr(Tracked, "holding", lambda self, _: self)
    assert "answers something else" in error(Stems(WAYS[name], padding=0))


def negated(color):
    return Pipeline(FromPixels(layout="NHWC", color=color, **double), Rescale(scale=-1 / 255, offset=0.5, **double))


def test_maxima_of_values_whose_order_the_steps_turn_around(monkeypatch):
    assert "turn their order around" in error(Stems(WAYS["maximum"], padding=0), pipeline=negated)
    monkeypatch.setattr(Tracked, "compared", Tracked.mixed)
    assert "answers something else" in error(Stems(WAYS["maximum"], padding=0), pipeline=negated)


REFUSED = {
    "maxima of a border": (
        lambda: Stems(lambda x: F.max_pool2d(F.pad(x, (1, 1), value=0.4), 2)),
        "RGB",
        "no pixel maps to the padding value",
    ),
    "the picture tells where": (
        lambda: Stems(lambda x: F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), align_corners=False)),
        "RGB",
        "the picture tells where it is sampled",
    ),
    "places": (
        lambda: Stems(lambda x: F.max_pool2d(x, 2, return_indices=True)[1].double()),
        "RGB",
        "where the picture's maxima are is read, too",
    ),
    "a mean of channels": (lambda: Stems(lambda x: x.mean(1, keepdim=True).expand(-1, 3, -1, -1)), "RGB", "mixes the channels"),
    "a contrast of channels": (lambda: Stems(lambda x: x - x.mean(1, keepdim=True)), "RGB", "mixes the channels"),
    "a product with itself": (lambda: Stems(lambda x: x * x), "RGB", "combined with itself by aten.mul.Tensor, which is not affine"),
    "whole parts": (lambda: Stems(lambda x: torch.div(x, 2, rounding_mode="floor")), "RGB", "rounds the input"),
}


def of_two_constants(x):
    return F.avg_pool2d(F.pad(x, (1, 1), value=0.4), 2)


@pytest.mark.parametrize("net", [Stems(lambda x: F.max_pool2d(F.pad(x, (1, 1)), 2), padding=0), Stems(of_two_constants)])
def test_grey_pixels_that_are_selected_three_times_have_one_for_each_border(net):
    assert error(net, "GRAY") <= 1e-9


def test_pixels_that_the_steps_mix_to_grey_have_none():
    def grey(color):
        first, scaled, normalized = imagenet(color).layers
        return Pipeline(first, scaled, ChannelAffine(matrix=((0.3, 0.6, 0.1),) * 3, **double), normalized)

    assert "0, 0.4, and no pixel maps to 0" in error(Stems(of_two_constants), "RGB", pipeline=grey)


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_commute_is_refused(name):
    make, color, reason = REFUSED[name]
    got = error(make(), color)
    assert isinstance(got, str)
    assert reason in got
