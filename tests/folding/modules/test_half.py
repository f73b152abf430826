"""The fold in half precision, in networks in Python: what it loses of the pixels, inside and on the border, against float64."""

import copy

import pytest
import torch
from torch import nn

import preproc
from preproc.folding.modules import fold
from preproc.layers import ChannelAffine, FromPixels, Model, Normalize, Pipeline, Rescale, Resize, Standardize, prepend

HALF = {torch.float16: 2048, torch.bfloat16: 256}
PIXELS = (115 + 13 * torch.randn((2, 40, 40, 3), generator=torch.Generator().manual_seed(0))).round().to(torch.uint8)
"""As in fog: whatever is lost of the pixels counts twenty times."""
FOG = Normalize(mean=[0.48, 0.456, 0.406], std=[0.05, 0.05, 0.05], unit="0-1")


def convolution(padding=1, stride=1, seed=1, groups=1):
    torch.manual_seed(seed)
    return nn.Conv2d(3, 15, 3, padding=padding, stride=stride, groups=groups, bias=False).eval().requires_grad_(False)


def pipeline(normalize=FOG, **options):
    return Pipeline(FromPixels(layout="NHWC", **options), Rescale(), normalize)


def truth(whole, network, pixels=PIXELS):
    return copy.deepcopy(network).double()(Pipeline.from_steps(whole.steps(), dtype=torch.float64)(pixels))


def errors(got, want):
    """(inside, on the border), RMS over RMS."""
    ring = torch.ones_like(want, dtype=torch.bool)
    ring[..., 1:-1, 1:-1] = False
    share = [((got.double() - want)[part].square().mean() / want[part].square().mean()).sqrt() for part in (~ring, ring)]
    return torch.stack(share)


def exact_sums(model, dtype):
    """What a model answers whose network is narrowed, but for the roundings of its sums: the handling of pixels and weights alone."""
    network = copy.deepcopy(model.backbone).to(dtype).double()
    return network(model.pipeline(PIXELS).to(dtype).double())


def test_weights_that_lie_pixel_beside_pixel_still_do():
    made = fold(prepend(pipeline(), convolution()).to(memory_format=torch.channels_last), example=PIXELS)
    assert made.folded
    assert made.model.backbone.weight.is_contiguous(memory_format=torch.channels_last)
    assert fold(prepend(pipeline(), convolution()), example=PIXELS).model.backbone.weight.is_contiguous()


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize(("padding", "groups"), [(0, 1), (1, 1), (1, 3)])
def test_less_is_lost_than_without_the_fold_inside_and_on_the_border(dtype, padding, groups):
    network, whole = convolution(padding, groups=groups), pipeline()
    want, model = truth(whole, network), prepend(whole, network)
    made = fold(model, example=PIXELS, dtype=dtype)
    assert made.form == ("append" if padding else "subtract")
    assert "whole numbers are exact in half precision" in made.why
    bare, ours = errors(exact_sums(model, dtype), want), errors(exact_sums(made.model, dtype), want)
    assert (ours < 0.8 * bare).all()
    usual = fold(model, example=PIXELS).model
    usual.pipeline.to(dtype)  # x - d: d is no number of half precision
    assert (errors(exact_sums(usual, dtype), want) > 2 * ours).all()


def test_groups_that_no_module_has_do_not_become_one():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.randn(6, 1, 3, 3)), nn.Parameter(torch.zeros(6))

        def forward(self, x):
            return nn.functional.conv2d(x, self.weight, self.bias, padding=1, groups=3)

    made = fold(prepend(pipeline(), Functional()), example=PIXELS, dtype=torch.float16)
    assert "weight is used in groups outside of an nn.Conv2d, and all of them would have to be one" in made.reason


def test_the_rest_in_the_bias_alone_would_show_on_the_border():
    """The mistake that the appended channel is for."""
    network, whole = convolution(), pipeline()
    want, model = truth(whole, network), prepend(whole, network)
    made = fold(model, example=PIXELS, dtype=torch.float16)
    wrong = Model(made.model.pipeline[:-1], copy.deepcopy(made.model.backbone))
    weight = wrong.backbone.weight
    wrong.backbone.bias = nn.Parameter(weight[:, 3].sum(dim=(1, 2)) * made.model.pipeline[-1].constant)
    wrong.backbone.weight = nn.Parameter(weight[:, :3].contiguous())
    inside, border = errors(exact_sums(wrong, torch.float16), want)
    assert inside < 3e-4
    assert border > 3e-3


@pytest.mark.parametrize("dtype", HALF)
def test_what_is_left_at_run_time_is_exact(dtype):
    made = fold(prepend(pipeline(), convolution()), example=PIXELS, dtype=dtype)
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).repeat(1, 1, 1, 3)
    left = made.model.pipeline(levels)
    assert left.dtype == torch.float32
    assert torch.equal(left.to(dtype).float(), left)
    made.model.pipeline.to(dtype)
    assert torch.equal(made.model.pipeline(levels).float(), left)


@pytest.mark.parametrize("dtype", HALF)
def test_a_network_of_ones_own_in_half_precision_folds_as_well(dtype):
    network, whole = convolution(), pipeline()
    want = truth(whole, network)
    model = prepend(whole, network).to(dtype)
    made = preproc.fold(model, example=PIXELS)
    assert made.folded
    assert made.model(PIXELS).dtype == made.model.backbone.weight.dtype == dtype
    assert (errors(made.model(PIXELS), want) < errors(model(PIXELS), want)).all()


def test_sixteen_bit_pixels_are_scaled_for_float16_ends_at_65504():
    whole = Pipeline(FromPixels(layout="NHWC", pixel_dtype="uint16"), Rescale(scale=1 / 65535), FOG)
    pixels = torch.randint(0, 65536, (2, 24, 24, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint16)
    network = convolution()
    want, made = truth(whole, network, pixels), fold(prepend(whole, network), example=pixels, dtype=torch.float16)
    left = made.model.pipeline(pixels)
    assert left.abs().max() < 64
    got = copy.deepcopy(made.model.backbone).half().double()(left.half().double())
    assert (errors(got, want) < 4e-4).all()  # one rounding of the values, one of the weights


@pytest.mark.parametrize(
    ("layer", "form"),
    [(Standardize(), "subtract"), (Resize(size=(24, 24), torch="float32"), "subtract"), (Resize(size=(24, 24)), "append")],
    ids=["its own mean", "a resize in floats", "a resize to levels"],
)
def test_whole_numbers_are_for_whole_levels(layer, form):
    """Other values are rounded by half precision anyhow; the constants then are subtracted in float32."""
    later = (
        [ChannelAffine(matrix=[[0.9, 0, 0], [0, 1.0, 0], [0, 0, 1.1]], offset=[0.1, 0.2, 0.3])]
        if isinstance(layer, Standardize)
        else [Rescale(), FOG]
    )
    whole, network = Pipeline(FromPixels(layout="NHWC"), layer, *later), convolution()
    made = fold(prepend(whole, network), example=PIXELS, dtype=torch.float16)
    assert made.form == form
    want = truth(whole, network)
    assert (errors(exact_sums(made.model, torch.float16), want) < 4.5e-4).all()
