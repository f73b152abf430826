"""Nodes that resize and crop Y, U and V each by itself, at sizes that are fixed and that are free, and what they leave to fold."""

import numpy as np
import onnx_ir as ir
import pytest

from preproc.errors import PreprocError
from preproc.oracle import reference
from preproc.steps import CenterCrop, FromPixels, Normalize, Rescale, Resize, collapse_steps
from tests.onnx_files import alone, in_one_thread
from tests.yuv import SAID, pixels

VALUES = (Rescale(), Normalize.preset("imagenet"))
KINDS = [("NV12", "NHW"), ("YV12", "NHW"), ("UYVY", "NHWC"), ("YUV444", "NCHW")]
EXACT = {
    "shorter side and crop": [Resize(size=20, interpolation="bicubic", form="exact"), CenterCrop(size=16)],
    "crop": [CenterCrop(size=(16, 20))],
    "OpenCV": [Resize(size=(20, 28), antialias=False), Resize(size=(8, 10), interpolation="nearest")],
}


def steps(color, layout, moves):
    return [FromPixels(layout=layout, color=color, to="BGR", **SAID), *moves, *VALUES]


@pytest.mark.parametrize("moves", EXACT)
@pytest.mark.parametrize(("color", "layout"), KINDS)
def test_nodes_equal_the_oracle_at_a_fixed_size(color, layout, moves):
    sequence, x = steps(color, layout, EXACT[moves]), pixels(color, layout, (40, 48), batch=2)
    for made in (sequence, collapse_steps(sequence, 3)):
        (got,) = in_one_thread(alone(made, size=(40, 48))).run(None, {"pixels": x})
        np.testing.assert_allclose(got, reference.apply(sequence, x), rtol=0, atol=5e-6)


@pytest.mark.parametrize(("color", "layout"), KINDS)
def test_and_where_sizes_are_free(color, layout):
    sequence = steps(color, layout, [Resize(size=(20, 28), torch="float32"), CenterCrop(size=(16, 20))])
    session = in_one_thread(alone(sequence))
    for size in ((40, 48), (12, 56)):
        x = pixels(color, layout, size, batch=2)
        (got,) = session.run(None, {"pixels": x})
        np.testing.assert_allclose(got, reference.apply(sequence, x), rtol=0, atol=3e-5)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_the_fast_form_rounds_a_plane_otherwise_here_and_there(interpolation):
    first = FromPixels(layout="NHW", color="NV12", to="YUV444")
    sequence, x = [first, Resize(size=(20, 28), interpolation=interpolation)], pixels("NV12", "NHW", (40, 48), batch=2)
    (got,) = in_one_thread(alone(sequence)).run(None, {"pixels": x})
    off = np.abs(got - reference.apply(sequence, x))
    assert off.max() <= 1
    assert (off > 0).mean() < 0.02


def test_in_half_precision_levels_are_whole():
    sequence = [FromPixels(layout="NHW", color="NV12", to="YUV444"), Resize(size=(20, 28), interpolation="nearest")]
    x = pixels("NV12", "NHW", (40, 48))
    (got,) = in_one_thread(alone(sequence, dtype=ir.DataType.FLOAT16)).run(None, {"pixels": x})
    assert got.dtype == np.float16
    np.testing.assert_array_equal(got, reference.apply(sequence, x))


def test_a_size_that_might_cut_a_block_is_refused_before_a_file_is_made():
    for moves, size, told in (
        ([Resize(size=20)], (None, None), "resize: expected pixels of a fixed size"),
        ([Resize(size=20)], (40, 42), "multiples of 2 and 2, .* got 20x21"),
        ([CenterCrop(size=20)], (22, 24), "cut whole blocks of 2x2 pixels"),
    ):
        with pytest.raises(PreprocError, match=told):
            alone(steps("NV12", "NHW", moves), size=size)
