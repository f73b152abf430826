"""Y, U and V in the oracle: against OpenCV, number by number, and against the formulas, written once more."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preproc.errors import PreprocError
from preproc.oracle import reference
from preproc.steps import RANGES, UNCONVERTED, WEIGHTS, YUV, FromPixels, layouts_of
from tests.yuv import drawn, pixels, plain_loop

CODES = {"NV12", "NV21", "I420", "YV12", "YUYV", "YVYU", "UYVY"}
"""Of which OpenCV makes RGB."""


@given(st.sampled_from(sorted(CODES)), st.sampled_from(["RGB", "BGR"]), st.integers(1, 9), st.integers(1, 20), st.integers(0, 99))
def test_the_rounding_form_of_bt601_limited_is_opencvs_to_the_last_bit(color, to, rows, columns, seed):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is an extra")
    (layout,) = layouts_of(color)
    x = pixels(color, layout, (2 * rows, 2 * columns), seed=seed, batch=1)
    theirs = cv2.cvtColor(x[0], getattr(cv2, f"COLOR_YUV2{to}_{color}"))
    step = FromPixels(layout=layout, color=color, to=to, matrix="bt601", range="limited", conversion="rgb8")
    np.testing.assert_array_equal(reference.apply([step], x)[0], np.moveaxis(theirs, 2, 0))


@given(drawn())
def test_both_forms_are_the_formulas_pixel_by_pixel(case):
    step, x = case
    np.testing.assert_allclose(reference.apply([step], x), plain_loop(step, x), rtol=0, atol=0 if step.conversion == "rgb8" else 1e-10)


@pytest.mark.parametrize("range_", RANGES)
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_the_forms_differ_by_rounding_where_nothing_clips(matrix, range_):
    """Half a level, and of BT.601 in limited range, whose coefficients OpenCV has in three digits, a tenth more."""
    said = {"layout": "NHWC", "color": "YUV444", "matrix": matrix, "range": range_}
    x = np.stack(np.meshgrid(np.arange(16, 236, 3), np.arange(16, 241, 7), np.arange(16, 241, 7)), axis=-1).astype(np.uint8)
    x = x.reshape(1, 1, -1, 3)
    linear, rounded = (reference.apply([FromPixels(conversion=form, **said)], x) for form in ("linear", "rgb8"))
    inside = ((linear >= 0) & (linear <= 255)).all(axis=1)
    assert 0.2 < inside.mean() < 0.5
    assert np.abs(linear - rounded).transpose(0, 2, 3, 1)[inside].max() < (0.7 if (matrix, range_) == ("bt601", "limited") else 0.501)
    assert rounded.min() == 0
    assert rounded.max() == 255
    assert linear.min() < -100
    assert linear.max() > 355


def test_a_flat_colour_stays_flat_whatever_is_done_to_its_chroma():
    x = np.empty((1, 6, 6), np.uint8)
    x[:, :4], x[:, 4:, ::2], x[:, 4:, 1::2] = 90, 70, 200
    for other in ({}, {"chroma": "bilinear", "siting": "left"}, {"chroma": "bilinear", "siting": "center"}):
        found = reference.apply([FromPixels(layout="NHW", color="NV12", to=UNCONVERTED, **other)], x)
        np.testing.assert_array_equal(found, np.broadcast_to(np.array([90, 70, 200])[:, None, None], (1, 3, 4, 6)))


@pytest.mark.parametrize(("siting", "across"), [("left", [10, 20, 30, 40, 50, 50]), ("center", [10, 15, 25, 35, 45, 50])])
def test_where_chroma_lies(siting, across):
    """Columns of chroma 10, 30 and 50: on the first of their two pixels, or between them. Rows are between them in either."""
    x, down = np.full((1, 6, 6), 99, np.uint8), [0, 10, 30, 40]
    x[0, 4], x[0, 5] = [10, 0, 30, 0, 50, 0], [50, 0, 70, 0, 90, 0]
    found = reference.apply([FromPixels(layout="NHW", color="NV12", to=UNCONVERTED, chroma="bilinear", siting=siting)], x)
    np.testing.assert_array_equal(found[0, 1], np.array(across) + np.array(down)[:, None])


def test_another_shape_is_refused():
    with pytest.raises(PreprocError, match="expected") as caught:
        reference.apply([FromPixels(layout="NHW", color="NV12", to=UNCONVERTED)], np.zeros((1, 480, 641), np.uint8))
    assert caught.value.name == "shape-mismatch"
    assert set(YUV) >= CODES
