"""What cameras give, folded in torch: planes of Y, U and V through a network against the oracle's picture through the network as it was."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from preproc.folding import FOLDED
from preproc.folding.modules import fold, why_not_foldable
from preproc.folding.modules.cells import CellsConv2d
from preproc.layers import CenterCrop, FromPixels, Normalize, Pipeline, Rescale, Resize, prepend
from preproc.layers.early import OfPlanes
from preproc.oracle import reference
from preproc.steps import YUV, layouts_of
from tests import yuv

SHARING = sorted(color for color in YUV if YUV[color].block != (1, 1))
SAID = {"matrix": "bt709", "range": "limited"}
MOVES = (Resize(size=(16, 20)), CenterCrop(size=(12, 16)))


def pipeline(color, dtype=torch.float64, moves=(), **said):
    (layout, *_), said = layouts_of(color), SAID | said
    first = FromPixels(layout=layout, color=color, dtype=dtype, **said)
    return Pipeline(first, *moves, Rescale(dtype=dtype), Normalize.preset("imagenet", dtype=dtype))


def pixels(color, size=(12, 16), **options):
    return torch.from_numpy(yuv.pixels(color, layouts_of(color)[0], size, **options))


def truth(front, network, x):
    with torch.no_grad():
        return copy.deepcopy(network).double()(torch.from_numpy(reference.apply(front.steps(), x.numpy())))


def off(got, want):
    return float((got.double() - want).abs().max() / want.abs().max())


def answered(front, network, x, **options):
    """The fold's result, and how far its model is from the truth."""
    result = fold(prepend(front, network), example=x, **options)
    assert result.folded, result.reason
    with torch.no_grad():
        return result, off(result.model(x), truth(front, network, x))


class Net(nn.Module):
    """What a network may do with a picture: read it, and ask how large it is."""

    def __init__(self, *convolutions, answer=None):
        super().__init__()
        self.convolutions, self.answer = nn.ModuleList(convolutions), answer or (lambda made, _: made)
        self.double()

    def forward(self, x):
        return self.answer(sum(convolution(x) for convolution in self.convolutions), x)


def of_its_size(made, x):
    """As a network for segmentation does."""
    return functional.interpolate(made, size=x.shape[-2:], mode="bilinear")


def test_hooks_of_the_convolution_stay():
    torch.manual_seed(0)
    network, met = Net(nn.Conv2d(3, 4, 3, 2, 1)), []
    (convolution,) = network.convolutions
    convolution.register_forward_pre_hook(lambda module, _: met.append(type(module)))
    convolution.register_forward_hook(lambda _, __, made: 2 * made)
    result, error = answered(pipeline("NV12"), network, pixels("NV12"))
    assert (result.chroma, error <= 1e-12) == (FOLDED, True)
    assert {nn.Conv2d, CellsConv2d} == set(met)


@pytest.mark.parametrize("asks", [lambda x: x.shape[1], lambda x: x.numel(), lambda x: x[0].numel() ** 0.5, lambda x: x.shape[1] == 3])
def test_networks_that_count_channels_or_values_get_a_picture(asks):
    """Of three channels, where the planes are carried in two."""
    torch.manual_seed(0)
    network = Net(nn.Conv2d(3, 4, 3, 2, 1), answer=lambda made, x: made * asks(x))
    result, error = answered(pipeline("NV12"), network, pixels("NV12"))
    assert "the backbone answers something else on what the fold leaves, by " in result.chroma
    assert error <= 1e-12


sides = st.fixed_dictionaries(
    {"kernel": st.integers(1, 5), "stride": st.sampled_from([2, 4]), "padding": st.integers(0, 3), "dilation": st.integers(1, 3)}
)


@settings(max_examples=30)
@given(
    st.sampled_from(SHARING),
    sides,
    sides,
    st.booleans(),
    st.sampled_from([1, 1, 1, 3]),
    st.sampled_from(["RGB", "BGR"]),
    st.integers(0, 1000),
)
def test_folded_equals_the_oracle_and_the_network_as_it_was(color, rows, columns, bias, groups, to, seed):
    torch.manual_seed(seed)
    options = [(rows[name], columns[name]) for name in ("kernel", "stride", "padding", "dilation")]
    network, front, x = Net(nn.Conv2d(3, 6, *options, groups=groups, bias=bias)), pipeline(color, to=to), pixels(color, (16, 20), seed=seed)
    result = fold(prepend(front, network), example=x)
    (convolution,) = result.model.backbone.convolutions
    if groups == 1:
        assert (result.chroma, type(convolution)) == (FOLDED, CellsConv2d)
    else:  # the matrix mixes what they keep apart
        assert (result.folded, type(convolution), convolution.groups) == (False, nn.Conv2d, groups)
    with torch.no_grad():
        assert off(result.model(x), truth(front, network, x)) <= 1e-12


@settings(max_examples=20)
@given(
    st.sampled_from(SHARING),
    sides,
    sides,
    st.sampled_from(["bilinear", "bicubic", "nearest"]),
    st.tuples(st.integers(2, 10), st.integers(2, 10)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(0, 1000),
)
def test_planes_that_are_resized_and_cropped_fold_as_well(color, rows, columns, interpolation, blocks, less, seed):
    """Whatever the size that they are resized to, and however many blocks are cut off each side."""
    torch.manual_seed(seed)
    options = [(rows[name], columns[name]) for name in ("kernel", "stride", "padding", "dilation")]
    network, size = Net(nn.Conv2d(3, 4, *options)), tuple(2 * count + 12 for count in blocks)
    crop = tuple(side - 4 * count for side, count in zip(size, less, strict=True))
    front = pipeline(color, moves=[Resize(size=size, interpolation=interpolation), CenterCrop(size=crop)])
    result, error = answered(front, network, pixels(color, (16, 20), seed=seed))
    assert result.chroma == FOLDED
    assert isinstance(result.model.pipeline, OfPlanes)
    assert error <= 1e-12


@pytest.mark.parametrize(
    ("network", "form"),
    [
        (Net(nn.Conv2d(3, 4, 7, 2, 3), nn.Conv2d(3, 4, 1, 2)), "subtract"),
        (Net(nn.Conv2d(3, 4, 3, 2, 1), answer=of_its_size), "subtract"),
        (Net(nn.Conv2d(3, 4, 4, 4)), "cast"),
        (Net(nn.Conv2d(3, 4, 3, 2, "valid")), "cast"),
    ],
    ids=["two-read", "asks-for-the-size", "patches", "valid"],
)
def test_networks_that_read_a_picture_in_other_ways(network, form):
    result, error = answered(pipeline("NV12"), network, pixels("NV12"))
    assert (result.form, result.chroma) == (form, FOLDED)
    assert error <= 1e-12
    assert why_not_foldable(prepend(pipeline("NV12"), network), example=pixels("NV12")) is None
    result, error = answered(pipeline("NV12", moves=MOVES), network, pixels("NV12", (20, 32)))
    assert (result.form, result.chroma) == (form, FOLDED)
    assert error <= 1e-12


class Outside(nn.Module):
    """A convolution whose weight is no nn.Conv2d's."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 3, 3, dtype=torch.float64))

    def forward(self, x):
        return functional.conv2d(x, self.weight, stride=2)


SPACE_TO_DEPTH = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 4, 3, padding=1)).double()
STRIDE_1 = Net(nn.Conv2d(3, 4, 3, padding=1))


@pytest.mark.parametrize(
    ("network", "said", "reason"),
    [
        (STRIDE_1, {}, "the first convolution has the stride 1 down, and 2 pixels share one chroma value"),
        (Net(nn.Conv2d(3, 4, 3, (2, 3))), {}, "the stride 3 across"),
        (Net(nn.Conv2d(3, 4, 3, 2, 1, padding_mode="reflect")), {}, "it is moved, padded or mapped in front"),
        (SPACE_TO_DEPTH, {}, "it is moved, padded or mapped in front"),
        (Outside(), {}, "weight is used outside of an nn.Conv2d"),
        (Net(nn.Conv2d(3, 4, 4, 4)), {"chroma": "bilinear", "siting": "left"}, "gives each pixel a chroma of its own"),
    ],
    ids=["stride-1", "stride-3", "reflect", "space-to-depth", "outside", "bilinear"],
)
def test_else_each_pixel_gets_its_chroma_in_front_and_the_matrix_folds(network, said, reason):
    for moves in ((), () if said else MOVES):
        front, x = pipeline("NV12", moves=moves, **said), pixels("NV12", (20, 32))
        result, error = answered(front, network, x)
        assert reason in result.chroma
        assert reason in why_not_foldable(prepend(front, network), example=x)
        assert not any(isinstance(module, CellsConv2d) for module in result.model.modules())
        assert {type(step.step).__name__ for step in result.model.pipeline} <= {"FromPixels", "Resize", "CenterCrop", "ChannelAffine"}
        assert result.model.pipeline[0].step.conversion is None
        assert error <= 1e-12


def test_what_is_rounded_to_rgb_folds_as_rgb_does():
    front, x = pipeline("NV12", conversion="rgb8"), pixels("NV12")
    result, error = answered(front, STRIDE_1, x)
    assert result.chroma == why_not_foldable(prepend(front, STRIDE_1), example=x)
    assert result.chroma == 'conversion = "rgb8" clips and rounds R, G and B, which no weights do'
    assert result.model.pipeline[0].step.conversion == "rgb8"
    assert error <= 1e-12


def test_groups_that_the_matrix_mixes_keep_all_in_front():
    network, x = Net(nn.Conv2d(3, 6, 3, 2, 1, groups=3)), pixels("NV12")
    result = fold(prepend(pipeline("NV12"), network), example=x)
    assert not result.folded
    assert "3 groups and the pipeline mixes" in result.reason
    with torch.no_grad():
        assert off(result.model(x), truth(pipeline("NV12"), network, x)) <= 1e-12


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("color", "moves"), [("NV12", ()), ("UYVY", ()), ("NV12", (Resize(size=(20, 24)),))])
def test_in_half_precision_whole_numbers_are_subtracted_and_the_border_is_right(color, moves, dtype):
    """Whose weights alone are rounded here: what they lose is a share of what the picture loses that is rounded. In float16 they take a
    power of two from the pixels."""
    torch.manual_seed(0)
    network, front, x = Net(nn.Conv2d(3, 8, 7, 2, 3)), pipeline(color, torch.float32, moves), pixels(color, (24, 24))
    result = fold(prepend(front, network.float()), example=x, dtype=dtype)
    assert (result.form, result.chroma) == ("append", FOLDED)
    want = truth(front, network, x)
    assert (result.model.pipeline[0].read.unit < 1) is (dtype == torch.float16)
    with torch.no_grad():
        planes = result.model.pipeline(x)
        assert (planes.to(dtype) == planes).all()
        got = copy.deepcopy(result.model.backbone).to(dtype).double()(planes.double())
        bare = copy.deepcopy(network).to(dtype).double()(front(x).to(dtype).double())
    ring = torch.ones_like(want, dtype=torch.bool)
    ring[..., 1:-1, 1:-1] = False
    for part in (ring, ~ring):
        lost = [float((each[part] - want[part]).square().mean().sqrt()) for each in (got, bare)]
        assert lost[0] < 1.1 * lost[1]


@pytest.mark.filterwarnings(r"ignore:`torch\.jit\.")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize(("color", "moves"), [("NV12", ()), ("UYVY", ()), ("NV12", MOVES)])
def test_scripted_traced_and_exported_it_does_the_same_to_other_sizes(color, moves):
    front, network, x = pipeline(color, moves=moves), Net(nn.Conv2d(3, 4, 7, 2, 3)), pixels(color)
    model = fold(prepend(front, network), example=x).model
    other = pixels(color, (20, 8), batch=3, seed=1)
    want = truth(front, network, other)
    with torch.no_grad():
        traced = torch.jit.trace(model.backbone, model.pipeline(x), check_trace=False)
        assert off(traced(torch.jit.script(model.pipeline)(other)), want) <= 1e-12
        half = {name: torch.export.Dim(f"half_{name}", min=2) for name in ("height", "width")}
        sides = {1: 3 * half["height"], 2: 2 * half["width"]} if color != "UYVY" else {1: 2 * half["height"], 2: 2 * half["width"]}
        program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("batch")} | sides,), strict=False)
        assert off(program.module()(other), want) <= 1e-12


@pytest.mark.parametrize("mistake", ["none", *("another matrix", "the other range", "U and V exchanged", "one weight")])
@pytest.mark.parametrize("moves", [(), MOVES], ids=["as they are", "moved"])
def test_mistakes_in_the_planes_show(mistake, moves):
    torch.manual_seed(0)
    network, x = Net(nn.Conv2d(3, 4, 3, 2, 1)), pixels("NV12")
    said = {"another matrix": {"matrix": "bt601"}, "the other range": {"range": "full"}}.get(mistake, {})
    color = "NV21" if mistake == "U and V exchanged" else "NV12"
    model = fold(prepend(pipeline(color, moves=moves, **said), network), example=x).model
    if mistake == "one weight":
        with torch.no_grad():
            model.backbone.convolutions[0].shared.weight[0, 1, 1, 1] *= 1.5
    with torch.no_grad():
        error = off(model(x), truth(pipeline("NV12", moves=moves), network, x))
    assert error <= 1e-12 if mistake == "none" else error > 1e-3


def test_what_was_handed_in_stays_as_it_was():
    network = Net(nn.Conv2d(3, 4, 3, 2, 1))
    before, model = copy.deepcopy(network.state_dict()), prepend(pipeline("NV12"), network)
    fold(model, example=pixels("NV12"))
    assert type(network.convolutions[0]) is nn.Conv2d
    assert all(np.array_equal(before[name], value) for name, value in network.state_dict().items())
