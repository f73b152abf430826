"""Planes of Y, U and V, resized and cropped, in every way that people run them."""

import re

import numpy as np
import pytest
import torch

from preproc.errors import PreprocError
from preproc.layers import Pipeline
from preproc.layers.early import OfPlanes
from preproc.oracle import reference
from preproc.steps import CenterCrop, FromPixels, Normalize, Rescale, Resize, chroma_moves
from tests.layers.ways import WAYS
from tests.yuv import SAID, pixels

VALUES = (Rescale(), Normalize.preset("imagenet"))
MOVES = {
    "resize": [Resize(size=(20, 28))],
    "shorter side and crop": [Resize(size=20, interpolation="bicubic"), CenterCrop(size=16)],
    "crop": [CenterCrop(size=(16, 20))],
    "floats": [Resize(size=(20, 28), torch="float32"), CenterCrop(size=(16, 20))],
    "OpenCV": [Resize(size=(20, 28), antialias=False), Resize(size=(8, 10), interpolation="nearest")],
}
KINDS = [("NV12", "NHW"), ("YV12", "NHW"), ("UYVY", "NHWC"), ("YUV444", "NCHW")]


def pipeline(color, layout, moves, **other):
    return Pipeline.from_steps([FromPixels(layout=layout, color=color, **SAID, **other), *moves, *VALUES])


@pytest.mark.parametrize("moves", MOVES)
@pytest.mark.parametrize(("color", "layout"), KINDS)
def test_equals_the_oracle(color, layout, moves):
    layers = pipeline(color, layout, MOVES[moves], to="BGR")
    assert isinstance(layers.layers, OfPlanes)
    for size in ((40, 48), (48, 40)):
        x = pixels(color, layout, size, batch=2)
        want = reference.apply(layers.steps(), x)
        for run in (layers, layers.collapse()):
            np.testing.assert_allclose(run(torch.from_numpy(x)).numpy(), want, rtol=0, atol=5e-6)


@pytest.mark.filterwarnings(r"ignore:`torch\.jit\.")
@pytest.mark.parametrize("way", [way for way in WAYS if way != "eager"])
def test_in_every_way_at_two_sizes(way):
    layers = pipeline("NV12", "NHW", MOVES["resize"])
    run = WAYS[way](layers, torch.from_numpy(pixels("NV12", "NHW", (40, 48))), "NV12", "NHW")
    for size in ((40, 48), (36, 56)):
        x = pixels("NV12", "NHW", size, batch=2, seed=3)
        got, want = run(torch.from_numpy(x)).numpy(), reference.apply(layers.steps(), x)
        assert (np.abs(got - want) > 2e-5).mean() <= (0.05 if way == "onnx" else 0)  # whose Resize rounds otherwise here and there


@pytest.mark.filterwarnings(r"ignore:`torch\.jit\.")
def test_what_would_cut_a_block_is_refused_in_scripts_too():
    for moves, size, told in (
        ([Resize(size=20)], (40, 42), "multiples of 2 and 2, .* got 20x21"),
        ([CenterCrop(size=20)], (22, 24), "cut whole blocks of 2x2 pixels, .* got 22x24 to crop to 20x20"),
        ([CenterCrop(size=20)], (16, 24), "center_crop: expected pictures of at least 20x20 pixels, .* would need a border"),
    ):
        layers, x = pipeline("NV12", "NHW", moves), torch.from_numpy(pixels("NV12", "NHW", size))
        with pytest.raises(PreprocError, match=told) as caught:
            layers(x)
        assert caught.value.name == "shape-mismatch"
        first, *steps = layers.steps()[:2]
        with pytest.raises(PreprocError, match=re.escape(str(caught.value))):
            chroma_moves(first, steps, size)
        with pytest.raises(torch.jit.Error, match=re.escape(str(caught.value))):
            torch.jit.script(layers)(x)


def test_a_slice_of_it_is_layers_one_behind_the_other():
    layers = pipeline("NV12", "NHW", MOVES["resize"])
    x = torch.from_numpy(pixels("NV12", "NHW", (40, 48), batch=1))
    assert layers.layers[:1](x).shape == (1, 3, 40, 48)
    np.testing.assert_allclose(layers.layers[:2](x).numpy(), reference.apply(layers.steps()[:2], x.numpy()), rtol=0, atol=2e-4)
    assert [type(layer).__name__ for layer in layers.layers[2:]] == ["Rescale", "Normalize"]
