"""What a network first does to its input: a normalization of raw pixels, or a re-mapping of normalized values."""

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn
from torchvision.models import googlenet

from preproc.folding import InputEffect, guard
from preproc.folding.modules import module_effect
from preproc.steps import Affine, ValueRange

UNIT, LEVELS = ValueRange((0.0,) * 3, (1.0,) * 3), ValueRange((0.0,) * 3, (255.0,) * 3)
NORMALIZED = ValueRange((-2.118, -2.036, -1.804), (2.249, 2.429, 2.64))


def normalize(mean, std):
    scale = 1 / np.broadcast_to(np.float64(std), 3)
    return Affine.diagonal(scale, -np.broadcast_to(np.float64(mean), 3) * scale)


@pytest.mark.parametrize(
    ("first", "unit"),
    [
        (normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), "0-1"),
        (normalize(0.5, 0.5), "0-1"),
        (normalize([103.939, 116.779, 123.68], 1.0), "0-255"),
        (normalize(127.5, 127.5), "0-255"),
        (normalize(0.0, 255.0), "0-255"),
        (normalize(0.0, 65535.0), "0-65535"),
        (normalize(32768.0, 10000.0), "0-65535"),
        (Affine.diagonal([0.229 / 0.5, 0.224 / 0.5, 0.225 / 0.5], [-0.03, -0.088, -0.188]), None),  # GoogLeNet
        (Affine.diagonal([1.02, 0.99, 1.01], [-0.07, -0.12, -0.2]), None),  # a BatchNorm behind a normalization, told as Mul and Add
        (Affine.identity(3), None),
        (normalize(0.0, 0.229), None),
        (Affine(np.full((3, 3), 1 / 3), np.zeros(3)), None),
        (Affine.diagonal([0.0, 1.0, 1.0], np.zeros(3)), None),
    ],
)
def test_the_unit_that_a_network_expects(first, unit):
    assert guard.expected_unit(first) == unit


def test_values_in_the_expected_unit_are_no_second_normalization():
    imagenet, caffe = normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), normalize([103.939, 116.779, 123.68], 1.0)
    assert guard.why_not(InputEffect((imagenet,)), UNIT) is None
    assert guard.why_not(InputEffect((caffe,)), LEVELS) is None
    assert guard.why_not(InputEffect(()), NORMALIZED) is None
    assert "which is imagenet, of RGB values in 0-1, and the steps hand it values in -2.118..2.64" in guard.why_not(
        InputEffect((imagenet,)), NORMALIZED
    )
    assert "which is caffe, of BGR values in 0-255, and the steps hand it values in 0..1" in guard.why_not(InputEffect((caffe,)), UNIT)
    assert "of values in 0-1, and the steps hand it values in 0..255" in guard.why_not(
        InputEffect((Affine.identity(3), normalize(0.5, 0.4))), LEVELS
    )


class Before(nn.Module):
    def __init__(self, before):
        super().__init__()
        self.before, self.conv = before, nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.conv(self.before(x))


def why(module, size=64):
    return guard.why_not(module_effect(module.eval(), torch.zeros(2, 3, size, size)), NORMALIZED)


def test_it_is_found_wherever_it_stands():
    assert "0-1" in why(Before(lambda x: 2 * x - 1))
    assert "0-1" in why(Before(lambda x: (2 * x - 1).unfold(2, 3, 3).flatten(3)))  # no convolution reads it, and it is seen all the same
    assert "0-255" in why(Before(lambda x: x / 255))
    norm = nn.BatchNorm2d(3)
    norm.running_mean, norm.running_var = torch.tensor([0.485, 0.456, 0.426]), torch.tensor([0.229, 0.224, 0.225]) ** 2
    assert why(Before(norm.eval())) is None  # learned from whatever came in: no proof that raw pixels did
    assert "0-255" in why(Before(lambda x: norm(x / 255)))
    imagenet = torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert "which is imagenet" in why(Before(imagenet))  # torch.export cannot read it
    assert "of channels [2, 1, 0] of values in 0-1" in why(Before(lambda x: 2 * x[:, [2, 1, 0]] - 1))
    assert "of channels [2, 1, 0] of values in 0-1" in why(Before(lambda x: 2 * x.flip(1) - 1))
    assert "0-1" in why(Before(lambda x: 2 * nn.functional.interpolate(x, size=32, mode="bilinear").clamp(0, 1) - 1))
    assert "0-1" in why(Before(lambda x: torch.addcmul(torch.tensor(-1.0), x, torch.tensor(2.0))))
    assert why(Before(lambda x: x)) is None
    assert why(Before(lambda x: x.relu())) is None


def of_timm(name, **arguments):
    if not timm.is_model(name):
        pytest.skip(f"timm {timm.__version__} has no {name}")
    return timm.create_model(name, **arguments)


def test_a_zoo_model_that_normalizes_inside():
    """timm's gemma4 says 2 * (x - 0.5) itself."""
    gemma = of_timm("gemma4_vit_167m", depth=1, embed_dim=64, num_heads=1, head_dim=64, intermediate_size=64, img_size=96)
    assert "normalizes its input itself, (x - 0.5) / 0.5, which is inception or siglip, of values in 0-1" in why(gemma, 96)


def test_zoo_models_that_re_map_are_not_refused():
    """GoogLeNet re-maps ImageNet's normalization, csatv2 undoes it."""
    assert why(googlenet(weights=None, transform_input=True, init_weights=False)) is None
    assert why(of_timm("csatv2"), 256) is None


def test_a_network_that_casts_to_raw_pixels_first():
    assert "casts its input to raw pixels of 0-255, and the steps hand it values in -2.118" in why(
        Before(lambda x: x.to(torch.uint8).float())
    )
    effect = module_effect(Before(lambda x: x.to(torch.uint8).float()).eval(), torch.zeros(2, 3, 8, 8))
    assert guard.why_not(effect, LEVELS) is None


def test_what_is_no_second_normalization_is_a_note():
    effect = module_effect(googlenet(weights=None, transform_input=True, init_weights=False).eval(), torch.zeros(2, 3, 64, 64))
    assert len(guard.notes(effect)) == 1
    assert "the network re-maps its input, (x - [0.0655, " in guard.notes(effect)[0]
    effect = module_effect(Before(nn.BatchNorm2d(3)).eval(), torch.zeros(2, 3, 8, 8))
    assert guard.notes(effect) == ["the network starts with a BatchNorm"]
    assert guard.notes(module_effect(Before(lambda x: x).eval(), torch.zeros(2, 3, 8, 8))) == []
