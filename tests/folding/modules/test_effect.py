"""A normalization inside a torch module is seen however it is spelt, and nothing is said of what is none."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from preproc.folding import guard
from preproc.folding.modules import module_effect
from tests.normalizing import IMAGENET, IN_PYTHON, MEAN, NORMALIZED, SPELLINGS, STD, M, Net, S, check


class _Only(nn.Module):
    def __init__(self, apply):
        super().__init__()
        self.apply_to = apply

    def forward(self, x):
        return self.apply_to(x)


@pytest.mark.parametrize("spelling", [*SPELLINGS, *IN_PYTHON])
def test_a_torch_module(spelling):
    check(module_effect(Net((SPELLINGS | IN_PYTHON)[spelling]).eval(), torch.zeros(2, 3, 24, 24)), spelling)


def test_a_focus_without_a_normalization_has_none():
    def focus(x):
        return F.conv2d(torch.cat([x[..., top::2, left::2] for top in (0, 1) for left in (0, 1)], 1), torch.ones(4, 12, 3, 3))

    effect = module_effect(_Only(focus), torch.zeros(2, 3, 24, 24))
    assert guard.normalizes(effect) is False
    assert not effect.stopped
    assert guard.normalizes(module_effect(_Only(lambda x: focus(x.sigmoid())), torch.zeros(2, 3, 24, 24))) is None


KEEPING = {
    "flip": lambda x: x.flip(2),
    "pad": lambda x: F.pad(x, (1, 2, 0, 1)),
    "reshape": lambda x: x.reshape(x.shape[0], 3, -1, 1).reshape(x.shape),
    "transpose": lambda x: x.transpose(2, 3),
    "split": lambda x: torch.cat(x.split(1, 1), 1),
    "stack": lambda x: torch.stack(x.unbind(0), 0),
    "swap": lambda x: x[:, [2, 1, 0]][:, [2, 1, 0]],
    "clone": lambda x: x.clone().add_(0.0),
    "pool": lambda x: F.avg_pool2d(x, 2),
    "crop": lambda x: x[..., 1:, :-1],
    "nan": lambda x: torch.nan_to_num(x),
    "twice": lambda x: (x + x) / 2,
}


@given(st.lists(st.sampled_from(sorted(KEEPING)), max_size=5), st.integers(0, 5), st.sampled_from([1.0, 255.0, 1023.0, 65535.0]))
@settings(max_examples=20)
def test_between_whatever_keeps_channels(names, place, top):
    names.insert(place, "norm")
    steps = KEEPING | {"norm": lambda x: (x - top * M) / (top * S)}

    def before(x):
        for name in names:
            x = steps[name](x)
        return x

    effect = module_effect(Net(before).eval(), torch.zeros(2, 3, 32, 32))
    (found,) = effect.maps
    assert np.allclose(np.sort(top * np.diag(found.matrix)), np.sort(np.diag(IMAGENET.matrix)), rtol=1e-4)
    assert "which is imagenet" in guard.why_not(effect, NORMALIZED)


@pytest.mark.parametrize(
    ("apply", "unit"),
    [
        (lambda x: (x - 127.5) / 255, "0-255"),
        (lambda x: (x - torch.tensor([122.782, 117.001, 104.298]).view(1, 3, 1, 1)) / 256, "0-255"),
        (lambda x: x / 256, "0-255"),
        (lambda x: x / 128 - 1, "0-255"),
        (lambda x: x - 128, "0-255"),
        (lambda x: x - 0.5, "0-1"),
        (lambda x: x - torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1), "0-1"),
        (lambda x: (x - 512) / 512, "0-1023"),
        (lambda x: x / 1023, "0-1023"),
        (lambda x: x / 4095, "0-4095"),
        (lambda x: x * 2 / 4095 - 1, "0-4095"),
        (lambda x: x / 65535, "0-65535"),
        (lambda x: (x - 32768) / 65535, "0-65535"),
        (lambda x: (255 - x) / 255, "0-255"),
        (lambda x: x * 255, "0-1"),
        (lambda x: x * 255 - 128, "0-1"),
        (lambda x: ((x * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True) - 0.45) / 0.22, "0-1"),
    ],
)
def test_whatever_its_constants(apply, unit):
    effect = module_effect(Net(lambda x: apply(x).expand(-1, 3, -1, -1)).eval(), torch.zeros(2, 3, 24, 24))
    assert [guard.expected_unit(first) for first in effect.maps] == [unit]


def test_what_stays_accepted():
    """Learned stems, which are layers; nothing is said of a network that does nothing."""
    example = torch.zeros(2, 3, 32, 32)
    for seed in range(8):
        torch.manual_seed(seed)
        for stem in (nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, groups=3), nn.Conv2d(3, 16, 1)):
            effect = module_effect(Net(nn.Sequential(stem, nn.Conv2d(stem.out_channels, 3, 1))).eval(), example)
            assert (effect.maps, effect.stopped, guard.notes(effect)) == ((), (), [])
    effect = module_effect(nn.Sequential(nn.Flatten(), nn.Linear(3072, 4)).eval(), example)
    assert (effect.maps, guard.normalizes(effect)) == ((), False)


def one_tap(x):
    taps = torch.zeros(3, 1, 3, 3)
    taps[:, 0, 1, 1] = 1 / STD
    return F.conv2d(x, taps, -MEAN / STD, groups=3, padding=1)


def test_a_convolution_that_reads_one_number_is_a_normalization():
    check(module_effect(Net(one_tap).eval(), torch.zeros(2, 3, 24, 24)), "plain")


@pytest.mark.parametrize("before", [lambda x: x / 255 if (x > 1).any() else x, lambda x: torch.where((x > 1).any(), x / 255, x)])
def test_a_network_that_looks_at_its_values_first(before):
    """Behind a normalization, whose values reach 2.6, it would divide once more."""
    effect = module_effect(Net(before).eval(), torch.zeros(2, 3, 24, 24))
    assert effect.stopped == ("what it does to its input, which depends on the values",)
    assert "normalizes its input itself, x / 255" in guard.why_not(effect, NORMALIZED)


def test_learned_layers_of_one_channel_are_no_normalization():
    for seed in range(20):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 3)).eval()
        assert module_effect(net, torch.zeros(2, 1, 16, 16)).maps == ()


@pytest.mark.parametrize("before", [lambda x: x**2.2, torch.sigmoid, torch.log1p, lambda x: (x - x.mean()) / x.std(), nn.InstanceNorm2d(3)])
def test_where_it_cannot_be_followed_nothing_is_said(before):
    effect = module_effect(Net(before).eval(), torch.zeros(2, 3, 24, 24))
    assert guard.normalizes(effect) is None
    assert guard.notes(effect)[-1].startswith("not told whether the network normalizes its input itself: followed no further than aten.")


@pytest.mark.parametrize("leave", [lambda x: x.numpy(), np.asarray, lambda x: x.tolist()], ids=["numpy", "asarray", "tolist"])
@pytest.mark.parametrize("alone", [True, False])
def test_values_that_leave_torch_are_not_followed(leave, alone):
    """Also beside a convolution that reads the picture as it is."""

    def before(x):
        normalized = torch.as_tensor((np.asarray(leave(x), np.float32) - M.numpy()) / S.numpy())
        return normalized if alone else normalized + F.conv2d(x, torch.ones(3, 3, 3, 3), padding=1)

    effect = module_effect(Net(before).eval(), torch.zeros(2, 3, 24, 24))
    assert guard.normalizes(effect) is None
    assert any(name.startswith("Tensor.") for name in effect.stopped)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_in_a_float32_network(dtype):
    """Told as far as its digits go, once."""
    effect = module_effect(Net(lambda x: ((x.to(dtype) - M.to(dtype)) / S.to(dtype)).float()).eval(), torch.zeros(2, 3, 24, 24))
    (found,) = effect.maps
    mean, std = found.mean_and_std()
    np.testing.assert_allclose(mean, MEAN, rtol=1e-2)
    np.testing.assert_allclose(std, STD, rtol=1e-2)
    assert module_effect(Net(lambda x: x.to(dtype).float()).eval(), torch.zeros(2, 3, 24, 24)).maps == ()


def test_a_response_norm_first_is_no_re_mapping():
    """It nearly is the identity of values in 0..1, and nothing of the kind for 0..255."""
    effect = module_effect(Net(nn.LocalResponseNorm(5)).eval(), torch.zeros(2, 3, 24, 24))
    assert effect.maps == ()
    assert guard.normalizes(effect) is None


def test_a_contrast_on_the_way_is_no_re_mapping():
    effect = module_effect(Net(lambda x: (x - x.mean((1, 2, 3), keepdim=True)) / x.std()).eval(), torch.zeros(2, 3, 24, 24))
    assert effect.maps == ()
    luminance = module_effect(
        Net(lambda x: ((x.mean(1, keepdim=True) - 0.5) / 0.5).expand(-1, 3, -1, -1)).eval(), torch.zeros(2, 3, 24, 24)
    )
    assert guard.normalizes(luminance)


def test_a_network_without_layers():
    """What it returns is what it makes of the picture; where nothing was seen to read it, nothing is said."""
    check(module_effect(_Only(lambda x: (x - M) / S), torch.zeros(2, 3, 24, 24)), "plain")
    assert guard.normalizes(module_effect(_Only(lambda x: x), torch.zeros(2, 3, 24, 24))) is False
    unread = module_effect(_Only(lambda x: torch.zeros(len(x), 3)), torch.zeros(2, 3, 24, 24))
    assert guard.notes(unread)[-1].endswith("followed no further than its end, for no layer was seen to read its input")


def test_a_module_that_does_not_run_on_planes():
    def before(_):
        raise ValueError("no plane")

    effect = module_effect(Net(before).eval(), torch.zeros(2, 3, 24, 24))
    assert guard.notes(effect) == [
        "not told whether the network normalizes its input itself: followed no further than a run on flat planes, which raises no plane"
    ]


def test_a_scripted_module():
    class Scripted(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(2 * x - 1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.script is deprecated, and used
        scripted = torch.jit.script(Scripted().eval())
    effect = module_effect(scripted, torch.zeros(2, 3, 24, 24))
    assert [guard.expected_unit(first) for first in effect.maps] == ["0-1"]
