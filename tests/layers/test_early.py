"""A resize behind FromPixels reads the pixels themselves; what comes out is what the layers make one after the other."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from preproc import layers
from preproc.errors import PreprocError
from preproc.layers import FromPixels, Letterbox, Pad, Pipeline, Rescale, Resize
from preproc.oracle import reference
from preproc.steps import Resize as Step
from tests.geometry import SMOOTH

RESIZES = [
    *(Resize(size=(17, 30), pillow=pillow) for pillow in (12, 13)),
    Resize(size=9, interpolation="bicubic"),
    Resize(size=(17, 30), interpolation="lanczos", torch="uint8"),
    Resize(size=(17, 30), interpolation="nearest"),
    Resize(size=(17, 30), antialias=False),
    Letterbox(size=20),
    Letterbox(size=20, antialias=True),
]
PIXELS = [("NHWC", "RGB", 3), ("NCHW", "BGR", 3), ("NHWC", "RGBA", 4), ("NHWC", "GRAY", 1)]


def pixels(layout, channels, size=(40, 28), batch=2):
    x = np.random.default_rng(5).integers(0, 256, (batch, *size, channels), dtype=np.uint8)
    return torch.from_numpy(x if layout == "NHWC" else np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


@pytest.mark.parametrize("resize", RESIZES, ids=str)
@pytest.mark.parametrize(("layout", "color", "channels"), PIXELS)
def test_the_pixels_are_resized_before_they_are_cast(resize, layout, color, channels):
    for dtype in (torch.float32, torch.float64):
        pipeline = Pipeline(FromPixels(layout=layout, color=color, to="RGB", dtype=dtype), resize, Rescale(dtype=dtype))
        one_by_one = pipeline.layers[:]
        assert type(one_by_one) is nn.Sequential
        assert [*one_by_one] == [*pipeline.layers]
        x = pixels(layout, channels)
        expected = one_by_one(x)
        assert expected.dtype == dtype
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated, and a trace warns of what is no danger here
            forms = pipeline, torch.jit.script(pipeline), torch.jit.trace(pipeline, x, check_trace=False)
        for form in forms:
            got = form(x)
            assert got.dtype == dtype
            assert torch.equal(got, expected)
        assert pipeline(x[:0]).shape == (0, *expected.shape[1:])


def test_a_resize_that_does_not_round_gets_floats():
    first = FromPixels(layout="NHWC", dtype=torch.float64)
    pipeline, x = Pipeline(first, Resize(size=(17, 30), torch="float32")), pixels("NHWC", 3)
    assert torch.equal(pipeline(x), pipeline.layers[1](first(x)))
    assert pipeline(x).dtype == torch.float64


def test_no_other_layer_takes_integers():
    first, x = FromPixels(layout="NHWC"), pixels("NHWC", 3)
    for second in (Pad(padding=1), Rescale()):
        assert torch.equal(Pipeline(first, second)(x), second(first(x)))
    with pytest.raises(PreprocError, match="got integers; put FromPixels first"):
        Resize(size=8)(x)


@given(st.sampled_from(SMOOTH), st.tuples(*[st.integers(1, 90)] * 4), st.integers(0, 2**32 - 1), st.booleans())
def test_sums_of_floats_are_whole(interpolation, sides, seed, hard):
    """In blocks of a picture, whose last one is smaller; black and white make the largest sums."""
    height, width, *new = sides
    step = Step(size=tuple(new), interpolation=interpolation)
    layer, x = layers.from_step(step), np.random.default_rng(seed).integers(0, 256, (2, 3, height, width))
    x = x // 128 * 255 if hard else x
    layer.resample.block = 1  # 16 rows at a time, of which these pictures have several
    assert np.array_equal(layer(torch.from_numpy(x).float()).numpy(), reference.apply([step], x))


@pytest.mark.parametrize("size", [(9000, 3), (3, 40000)])
@pytest.mark.parametrize("interpolation", ["bilinear", "lanczos"])
def test_sides_too_far_apart_for_float32(size, interpolation):
    step = Step(size=(2, 2), interpolation=interpolation)
    x = np.random.default_rng(3).integers(0, 2, (1, 1, *size)) * 255
    assert np.array_equal(layers.from_step(step)(torch.from_numpy(x).float()).numpy(), reference.apply([step], x))
