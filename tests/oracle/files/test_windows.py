"""Convolutions, pools and resizes of any geometry, against ONNX Runtime."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from preproc.oracle.files import windows
from tests.oracle.files.operators import check, doubled, model

FEW = settings(max_examples=20, deadline=None, derandomize=True, database=None)
SIDE = st.integers(1, 3)


def values(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@st.composite
def geometries(draw, *, dilated=True, most_pad=2):
    """Of two axes: kernel, strides, dilations, pads or auto_pad."""
    kernel, strides = [draw(SIDE), draw(SIDE)], [draw(SIDE), draw(SIDE)]
    told = {"kernel_shape": kernel, "strides": strides}
    if dilated:
        told["dilations"] = [draw(st.integers(1, 2)), draw(st.integers(1, 2))]
    if draw(st.booleans()) and told.get("dilations", [1, 1]) == [1, 1]:
        told["auto_pad"] = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))
        told["strides"] = [min(step, size) for step, size in zip(strides, kernel, strict=True)]  # else ONNX Runtime pads by less than 0
    else:
        told["pads"] = [draw(st.integers(0, min(most_pad, kernel[axis % 2] - 1))) for axis in range(4)]
    return told


@FEW
@given(
    told=geometries(), groups=st.sampled_from([1, 2, 4]), more=st.integers(1, 2), bias=st.booleans(), block=st.sampled_from([1, 1 << 22])
)
def test_convolutions(told, groups, more, bias, block, tmp_path_factory):
    """In one block and row by row."""
    made = groups * more
    inputs = [values(2, 4, 7, 6), values(made, 4 // groups, *told["kernel_shape"], seed=1), *([values(made)] if bias else [])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "BLOCK", block)
        check("Conv", inputs, tmp_path_factory.mktemp("conv"), group=groups, **told)


@pytest.mark.parametrize("shape", [(2, 3, 9), (1, 2, 5, 4, 6)])
def test_convolutions_of_other_ranks(shape, tmp_path):
    n = len(shape) - 2
    check("Conv", [values(*shape), values(4, shape[1], *[2] * n, seed=1)], tmp_path, strides=[2] * n)


def test_a_convolution_has_the_digits_of_float64(tmp_path):
    x, w = (values(*shape).astype(np.float64) * (1 + 1e-9) for shape in ((1, 3, 8, 7), (4, 3, 3, 3)))
    proto, feeds, names = model("Conv", [x, w], pads=[1] * 4)
    (there,) = ReferenceEvaluator(proto).run(None, feeds)
    np.testing.assert_allclose(doubled(proto, feeds, names, tmp_path)["y0"], there, rtol=0, atol=1e-13)


@FEW
@given(told=geometries(dilated=True), groups=st.sampled_from([1, 2]), more=st.booleans())
def test_transposed_convolutions(told, groups, more, tmp_path_factory):
    if more:
        told["output_padding"] = [step - 1 for step in told["strides"]]
    if told.get("auto_pad", "").startswith("SAME") or any(sum(told.get("pads", [0])[at::2]) > 2 for at in (0, 1)):
        told = {key: value for key, value in told.items() if key not in ("auto_pad", "pads")}
    inputs = [values(2, 4, 4, 5), values(4, 3, *told["kernel_shape"], seed=1), values(3 * groups)]
    check("ConvTranspose", inputs, tmp_path_factory.mktemp("transposed"), group=groups, **told)


def test_a_transposed_convolution_of_an_asked_size(tmp_path):
    inputs = [values(1, 2, 4, 5), values(2, 3, 3, 3, seed=1)]
    for told in ({"output_shape": [9, 10]}, {"output_shape": [10, 11]}, {"output_shape": [8, 10], "auto_pad": "SAME_UPPER"}):
        check("ConvTranspose", inputs, tmp_path, strides=[2, 2], **told)


@FEW
@given(told=geometries(dilated=False), ceil=st.booleans())
def test_max_pools(told, ceil, tmp_path_factory):
    extra = {"ceil_mode": 1} if ceil and "auto_pad" not in told else {}
    check("MaxPool", [values(2, 3, 7, 6)], tmp_path_factory.mktemp("most"), **told, **extra)


@FEW
@given(told=geometries(dilated=False), ceil=st.booleans(), counted=st.booleans())
def test_average_pools(told, ceil, counted, tmp_path_factory):
    x, folder, whole = values(2, 3, 7, 6), tmp_path_factory.mktemp("mean"), ceil and "auto_pad" not in told
    if not (whole and counted):
        check("AveragePool", [x], folder, count_include_pad=int(counted), **told, **({"ceil_mode": 1} if whole else {}))
        return
    proto, feeds, names = model("AveragePool", [x], count_include_pad=1, ceil_mode=1, **told)
    np.testing.assert_allclose(doubled(proto, feeds, names, folder)["y0"], averages(x, **told), rtol=0, atol=1e-13)


def averages(x, *, kernel_shape, strides, pads):
    """By hand, for ONNX Runtime divided the last windows otherwise up to 1.24: the zeros of the padding count, what is behind them does
    not, and no window starts behind the picture."""
    (height, width), top, left = x.shape[2:], pads[0], pads[1]
    ends = height + pads[2], width + pads[3]
    starts = [
        [start for start in range(-pads[at], side, strides[at]) if start - strides[at] + kernel_shape[at] < ends[at] or start == -pads[at]]
        for at, side in enumerate((height, width))
    ]
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), (top, pads[2]), (left, pads[3])])
    parts = [
        [padded[:, :, row + top : row + top + kernel_shape[0], column + left : column + left + kernel_shape[1]] for column in starts[1]]
        for row in starts[0]
    ]
    return np.stack([np.stack([part.mean(axis=(2, 3)) for part in line], axis=-1) for line in parts], axis=-2)


def test_a_pool_of_integers(tmp_path):
    check("MaxPool", [np.arange(60, dtype=np.int8).reshape(1, 2, 5, 6) - 30], tmp_path, kernel_shape=[2, 2], pads=[1, 1, 0, 0])


SIZES = st.sampled_from([(3, 4), (5, 7), (10, 8), (13, 17)])
SOFT = st.sampled_from(["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"])


def resized(x, size, folder, **told):
    return check("Resize", [x, None, None, np.array([*x.shape[:2], *size], np.int64)], folder, opset=18, **told)


@FEW
@given(size=SIZES, mode=st.sampled_from(["linear", "cubic"]), place=SOFT, outside=st.booleans(), antialias=st.booleans())
def test_smooth_resizes(size, mode, place, outside, antialias, tmp_path_factory):
    told = {"exclude_outside": 1} if outside and mode == "cubic" else {}
    if antialias and place != "align_corners":
        told = {"antialias": 1}
    resized(values(1, 2, 5, 7), size, tmp_path_factory.mktemp("smooth"), mode=mode, coordinate_transformation_mode=place, **told)


@FEW
@given(size=SIZES, place=SOFT, rounding=st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]))
def test_nearest_resizes(size, place, rounding, tmp_path_factory):
    """Of 8 x 16, whose shares of these sizes round alike in float32 but for those that lie on a tie by a third."""
    if place == "align_corners" or size == (3, 4):
        size = (4, 8)
    if size in ((5, 7), (10, 8), (13, 17)):
        size = (16, 32)
    folder = tmp_path_factory.mktemp("nearest")
    resized(values(1, 2, 8, 16), size, folder, mode="nearest", coordinate_transformation_mode=place, nearest_mode=rounding)


def test_resizes_by_scales_and_of_older_opsets(tmp_path):
    x, scales = values(1, 2, 4, 5), np.array([1, 1, 2, 1.5], np.float32)
    check("Resize", [x, np.zeros(0, np.float32), scales], tmp_path, opset=13, mode="linear")
    check("Resize", [x, scales], tmp_path, opset=10, mode="linear")
    check("Resize", [x, scales], tmp_path, opset=10, mode="nearest")
    check("Upsample", [x, scales], tmp_path, opset=9, mode="nearest")
    check("Upsample", [x], tmp_path, opset=7, mode="linear", scales=[1.0, 1.0, 2.0, 2.0])
    sides = {"axes": [2, 3], "keep_aspect_ratio_policy": "not_larger", "mode": "linear", "opset": 18}
    check("Resize", [x, None, None, np.array([6, 6], np.int64)], tmp_path, **sides)


def test_a_shifted_window_is_seen(tmp_path, monkeypatch):
    right = windows._Window.seen
    monkeypatch.setattr(windows._Window, "seen", lambda self, tap, outputs: right(self, tap[::-1], outputs))
    with pytest.raises(AssertionError):
        check("Conv", [values(1, 2, 6, 6), values(2, 2, 3, 3, seed=1)], tmp_path)
