"""Y, U and V through the layer, in every way that people run it."""

import numpy as np
import pytest
import torch
from hypothesis import given

from preproc.errors import PreprocError
from preproc.layers import FromPixels, from_step
from preproc.oracle import reference
from preproc.steps import layouts_of
from tests.layers.ways import WAYS
from tests.yuv import FORMS, KINDS, SAID, drawn, pixels

SHORT = [
    ("NV12", "NHW", "rgb8"),
    ("I420", "NHW", "center"),
    ("UYVY", "NHWC", "left"),
    ("YUV444", "NCHW", "linear"),
    ("NV21", "NHW", "grey"),
    ("YUYV", "NHWC", "luma"),
]
"""One of each way to lie in memory, and of each form."""
CHOSEN = {"eager": KINDS, "traced": KINDS, "compiled": SHORT[:2], "onnx": SHORT[:1] + SHORT[2:3]}
"""Where that takes seconds, fewer."""


@pytest.mark.filterwarnings(r"ignore:`torch\.jit\.")
@pytest.mark.parametrize(("way", "kind"), [(way, kind) for way in WAYS for kind in CHOSEN.get(way, SHORT)])
def test_equals_the_oracle_at_two_sizes(way, kind):
    color, layout, form = kind
    layer = FromPixels(layout=layout, color=color, **FORMS[form])
    run = WAYS[way](layer, torch.from_numpy(pixels(color, layout, (8, 6))), color, layout)
    for size, batch in (((8, 6), 2), ((6, 12), 3)):
        x = pixels(color, layout, size, batch=batch, seed=5)
        want, got = reference.apply([layer.step], x), run(torch.from_numpy(x)).numpy()
        assert got.shape == want.shape == (batch, 1 if form in ("grey", "luma") else 3, *size)
        np.testing.assert_allclose(got, want, rtol=0, atol=0 if layer.step.rounds else 2e-4)


@given(drawn())
def test_any_step_equals_the_oracle(case):
    step, x = case
    got = from_step(step, dtype=torch.float64)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(got, reference.apply([step], x), rtol=0, atol=0 if step.rounds else 1e-10)


@pytest.mark.parametrize(
    ("color", "shape", "told"),
    [
        ("NV12", (1, 481, 640), r"expected \(N, 3H/2, W\) of an even height H and width W, the chroma below the luma, got \[1, 481, 640\]"),
        ("I420", (1, 480, 641), r"expected \(N, 3H/2, W\)"),
        ("YUYV", (1, 480, 641, 2), r"expected \(N, H, W, 2\) of an even width W"),
        ("YUYV", (1, 480, 640, 3), r"expected \(N, H, W, 2\)"),
        ("YUV444", (1, 480, 640, 2), "expected Y, U and V, 3 channels in axis 3"),
        ("NV12", (480, 640), "3 dimensions, got 2"),
        ("NV12", (1, 480, 640, 1), r"of NV12 pixels, \(N, 3H/2, W\), got \[1, 480, 640, 1\]"),
    ],
)
def test_other_shapes_are_refused(color, shape, told):
    layer = FromPixels(layout=layouts_of(color)[0], color=color, **SAID)
    with pytest.raises(PreprocError, match=told):
        layer(torch.zeros(shape, dtype=torch.uint8))


def test_floats_and_other_integers_are_refused():
    layer = FromPixels(layout="NHW", color="NV12", **SAID)
    for dtype in (torch.float32, torch.int64):
        with pytest.raises(PreprocError, match="expected integer pixels"):
            layer(torch.zeros((1, 6, 4), dtype=dtype))


def test_a_batch_of_none_stays_one():
    for color in ("NV12", "I420", "YUYV", "YUV444"):
        layout = layouts_of(color)[0]
        layer = FromPixels(layout=layout, color=color, **SAID)
        assert layer(torch.from_numpy(pixels(color, layout, (4, 6), batch=0))).shape == (0, 3, 4, 6)


def test_dtype_and_state():
    layer = FromPixels(layout="NHW", color="NV12", **SAID)
    x = torch.from_numpy(pixels("NV12", "NHW", (4, 6)))
    assert not layer.state_dict()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype == torch.float32
    assert layer.double()(x).dtype == torch.float64
    assert FromPixels(layout="NHW", color="NV12", conversion="rgb8", **SAID).half()(x).dtype == torch.float16
