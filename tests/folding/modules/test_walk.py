"""Which convolutions of a torch module read its input, through whatever keeps the channels; what is in the way is told."""

import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from preproc.errors import NotFoldableError
from preproc.folding.modules import fold, why_not_foldable
from preproc.folding.modules.walk import first_convolutions
from preproc.layers import prepend
from tests.folding.modules.networks import Stem, double, imagenet, pixels


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
        first_convolutions(stem, torch.zeros(2, 3, 13, 11, **double))(3)
    assert torch.equal(stem.scale, kept)  # looking at it does not write into the user's network


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return self.conv(self.conv(x))


class Standardized(nn.Conv2d):
    def forward(self, x):
        return F.conv2d(x, self.weight - self.weight.mean(), self.bias)


REFUSED = {
    "tied": (lambda: Tied().double(), "is used by another operation too"),
    "standardized": (lambda: Standardized(3, 4, 3, **double), "computed in the network's own forward"),
    "division by 0": (lambda: Stem(lambda m, x: m.conv(x / 0)), "no finite number, such as 1 / 0"),
    "another reader": (lambda: Stem(lambda m, x: m.conv(x) + x.mean()), "aten.mean.* reads the input"),
    "nonlinear": (lambda: Stem(lambda m, x: m.conv(x.relu())), "aten.relu.* reads the input"),
    "itself": (lambda: Stem(lambda m, x: m.conv(x * x)), "combined with itself"),
    "computed": (lambda: Stem(lambda m, x: m.conv(x * torch.rand(1, dtype=torch.float64))), "computed value"),
    "spatial constant": (lambda: Stem(lambda m, x: m.conv(x + m.field.cumsum(0))), "not one number per channel"),
    "cast": (lambda: Stem(lambda m, x: m.conv(x.half().double())), "cast to torch.float16"),
    "returned in pieces": (lambda: Stem(lambda _, x: F.pixel_unshuffle(x[:, :, :12, :10], 2)), "returns its input"),
    "pad then scale": (lambda: Stem(lambda m, x: m.conv(F.pad(x, (1, 1)) - m.scale)), "0, 0.5, 2, 3 behind the backbone's own channel map"),
    "pad of channels": (
        lambda: Stem(lambda m, x: m.conv(F.pad(x.permute(0, 2, 3, 1), (1, 0))[..., :3].permute(0, 3, 1, 2))),
        "channels are padded",
    ),
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
    if name not in ("data dependent", "computed", "division by 0"):
        with torch.no_grad():
            torch.testing.assert_close(result.model(x), model(x), rtol=1e-11, atol=1e-11)
    assert [step.name for step in result.model.pipeline.steps()] == ["from_pixels", "channel_affine"]


def test_readers_are_named_as_in_the_state_dict():
    (reader,) = first_convolutions(Stem(TRANSPARENT["transform_input"]).eval(), torch.zeros(1, 3, 8, 8, **double))(3)
    assert (reader.weight, reader.bias, reader.pads) == ("conv.weight", "conv.bias", (0.0,))
