"""Space-to-depth stems and linear patch embeddings fold in a torch module, however they are spelt, exactly and border included."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from preproc import steps
from preproc.folding.modules import fold, uncorrected_border
from preproc.layers import prepend
from tests.folding.modules.networks import double, imagenet, pixels

SIZE = (12, 8)
CORNERS = ((0, 0), (1, 0), (0, 1), (1, 1))


class Focus(nn.Module):
    """YOLOv5's: a block of two by two pixels becomes one of twelve channels, and a convolution reads it."""

    def __init__(self, conv, corners=CORNERS):
        super().__init__()
        self.conv, self.corners = conv, corners

    def forward(self, x):
        return self.conv(torch.cat([x[..., top::2, left::2] for top, left in self.corners], 1))


class Stem(nn.Module):
    def __init__(self, before, first):
        super().__init__()
        self.before, self.first = before, first
        self.register_buffer("scale", torch.tensor([0.5, 2.0, 3.0], **double).reshape(1, 3, 1, 1))
        self.matrix = nn.Parameter(torch.randn(12, 5, **double))

    def forward(self, x):
        return self.before(self, x)


def error(backbone, color, size=SIZE):
    model, x = prepend(imagenet(color), backbone.eval()), pixels(color, size=size)
    result = fold(model, example=x)
    with torch.no_grad():
        want = model(x)
        return float((result.model(x) - want).abs().max() / want.abs().max()), result


@settings(max_examples=6)
@given(
    corners=st.permutations(CORNERS),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 2),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    bias=st.booleans(),
    color=st.sampled_from(["RGB", "BGR", "RGBA", "GRAY"]),
)
def test_a_focus_folds_exactly_border_included(corners, kernel, stride, padding, bias, color):
    torch.manual_seed(0)
    off, result = error(Focus(nn.Conv2d(12, 6, kernel, stride=stride, padding=padding, bias=bias, **double), corners), color)
    assert result.folded, result.reason
    assert off <= 1e-9


def conv(channels=12, **options):
    return nn.Conv2d(channels, 4, 3, padding=1, **double, **options)


def linear(**options):
    return nn.Linear(12, 5, **double, **options)


def space_to_depth(x, side=2):
    """timm's SpaceToDepth, of TResNet."""
    batch, channels, height, width = x.size()
    x = x.view(batch, channels, height // side, side, width // side, side).permute(0, 3, 5, 1, 2, 4).contiguous()
    return x.view(batch, channels * side**2, height // side, width // side)


def patches(x, side=2):
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, height // side, side, width // side, side).permute(0, 2, 4, 3, 5, 1)
    return x.reshape(batch, height * width // side**2, side * side * channels)


def windows(x):
    """Swin's: a batch of four quarters."""
    return x.reshape(2, 3, 2, 6, 2, 4).permute(0, 2, 4, 1, 3, 5).reshape(8, 3, 6, 4)


FOLDING = {
    "SpaceToDepth": (lambda m, x: m.first(space_to_depth(x)), conv, "subtract"),
    "pixel_unshuffle": (lambda m, x: m.first(F.pixel_unshuffle(x, 2)), lambda: conv(groups=1, bias=False), "subtract"),
    "normalized before": (lambda m, x: m.first(F.pixel_unshuffle((x - 0.3) / m.scale, 2)), conv, "subtract"),
    "normalized behind": (lambda m, x: m.first(space_to_depth(x) * m.scale.repeat(1, 4, 1, 1)), conv, "subtract"),
    "padded before": (
        lambda m, x: m.first(space_to_depth(F.pad(x, (2, 2, 2, 2), value=0.5))),
        lambda: nn.Conv2d(12, 4, 3, **double),
        "subtract",
    ),
    "reflected before": (
        lambda m, x: m.first(space_to_depth(F.pad(x, (2, 2, 2, 2), mode="reflect"))),
        lambda: nn.Conv2d(12, 4, 3, **double),
        "cast",
    ),
    "rows left out": (lambda m, x: m.first(x[:, :, 1:-1, ::3]), lambda: conv(3), "subtract"),
    "rolled": (lambda m, x: m.first(x.roll((1, 2), (2, 3))), lambda: conv(3), "subtract"),
    "mirrored beside": (lambda m, x: m.first(torch.cat([x, x.flip(3)], 1)), lambda: conv(6), "subtract"),
    "halves stacked": (lambda m, x: m.first(torch.stack(x.chunk(2, 2), 2).flatten(1, 2)), lambda: conv(6), "subtract"),
    "windows": (lambda m, x: m.first(windows(x)), lambda: conv(3), "subtract"),
    "a clip of one frame": (
        lambda m, x: m.first(x.unsqueeze(2)),
        lambda: nn.Conv3d(3, 4, (1, 3, 3), padding=(0, 1, 1), **double),
        "subtract",
    ),
    "linear": (lambda m, x: m.first(patches(x)), linear, "cast"),
    "linear without bias": (lambda m, x: m.first(patches(x)), lambda: linear(bias=False), "cast"),
    "matmul": (lambda m, x: patches(x) @ m.matrix, conv, "subtract"),
    "Unfold": (lambda m, x: m.first(F.unfold(x, 2, stride=2).transpose(1, 2)), linear, "cast"),
    "Unfold with a border": (
        lambda m, x: m.first(F.unfold(x, 3, stride=2, padding=1).movedim(1, 2)),
        lambda: nn.Linear(27, 5, **double),
        "subtract",
    ),
    "TNT": (
        lambda m, x: m.first(F.unfold(x, 4, stride=4).transpose(1, 2).reshape(12, 3, 4, 4)),
        lambda: conv(3),
        "subtract",
    ),
    "Tensor.unfold": (lambda m, x: m.first(x.unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 1, 4, 5).flatten(3)), linear, "cast"),
    "unbound": (lambda m, x: m.first(torch.stack(x.unbind(1)[::-1], 1)), lambda: conv(3), "subtract"),
    "flattened": (lambda m, x: m.first(x.flatten(1)), lambda: nn.Linear(3 * SIZE[0] * SIZE[1], 5, **double), "cast"),
    "each pixel alone": (lambda m, x: m.first(x.squeeze().permute(0, 2, 3, 1)), lambda: nn.Linear(3, 5, **double), "cast"),
}


@pytest.mark.parametrize("name", FOLDING)
def test_a_stem_folds_exactly(name):
    before, first, form = FOLDING[name]
    torch.manual_seed(0)
    off, result = error(Stem(before, first()), "BGR")
    assert result.folded, result.reason
    assert off <= 1e-9
    assert result.form == form


COUNTING = {
    "counted": (lambda m, x: m.first(space_to_depth(x)), conv, "GRAY", (0, 0, 0)),
    "in groups": (
        lambda m, x: m.first(F.pixel_unshuffle(x, 2)),
        lambda: nn.Conv2d(12, 12, 3, padding=1, groups=12, **double),
        "BGR",
        (2, 1, 0),
    ),
    "left out": (lambda m, x: m.first(x[:, :2]), lambda: conv(2), "BGR", (2, 1, 0)),
}


@pytest.mark.parametrize("name", COUNTING)
def test_what_is_handled_channel_by_channel_reads_selected_ones(name):
    before, first, color, selected = COUNTING[name]
    torch.manual_seed(0)
    off, result = error(Stem(before, first()), color)
    assert off <= 1e-9
    assert result.selected == selected


REFUSED = {
    "other phases": (
        lambda m, x: m.first(space_to_depth(x) + torch.arange(12.0).reshape(12, 1, 1)),
        conv,
        "RGB",
        "-11, -10, -9, -8, -7, -6, -5, -4, -3, -2, -1, 0 behind the backbone's own channel map",
    ),
    "another axis": (lambda m, x: m.first(x.permute(0, 2, 3, 1).flatten(1, 2)), lambda: nn.Linear(3, 5, **double), "RGB", None),
    "shared by channels": (lambda m, x: m.first(x), lambda: nn.Linear(SIZE[1], 5, **double), "RGB", "does not read the channels on axis 3"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_exact_fold_says_why(name):
    before, first, color, reason = REFUSED[name]
    off, result = error(Stem(before, first()), color)
    assert off <= 1e-9
    assert result.reason is None if reason is None else reason in result.reason


def test_the_negative_control_behind_a_focus_makes_just_the_border_wrong():
    network = Focus(conv())
    model, x = prepend(imagenet(), network), pixels(size=SIZE)
    wrong = copy.deepcopy(network)
    minus = uncorrected_border(wrong, steps.compose(model.pipeline.steps(), 3), torch.zeros(2, 3, *SIZE, **double))
    with torch.no_grad():
        off = (wrong(model.pipeline(x) - torch.from_numpy(minus)[:, None, None]) - model(x)).abs().numpy()
    assert np.abs(off[:, :, 1:-1, 1:-1]).max() < 1e-10
    assert np.abs(off[:, :, 0]).max() > 0.1
