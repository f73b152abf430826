"""The columns of tests/survey/yuv.md: conversions are found to be what they are, and what damage shows where."""

import numpy as np
import pytest

for name in ("av", "cv2", "openvino", "skimage"):
    pytest.importorskip(name, reason="other libraries' conversions are compared")

from tests import survey_yuv  # noqa: E402
from tests.survey.yuv.float64 import Definition, decoded, encoded, in_memory  # noqa: E402
from tests.survey.yuv.measuring import measured, photographs  # noqa: E402
from tests.survey.yuv.peers import EXACTLY, Peer, peers  # noqa: E402

PEERS = {(peer.call, peer.named): peer for peer in peers()}
OPENCV = PEERS["cvtColor(x, COLOR_YUV2RGB_NV12)", None]


@pytest.fixture(scope="module")
def pictures():
    return photographs((32, 48))[:2]


def planes_of(x, color):
    if color == "YUV444":
        return tuple(np.moveaxis(x, 2, 0))
    if color == "YUYV":
        return x[..., 0], x[:, ::2, 1], x[:, 1::2, 1]
    rows = len(x) * 2 // 3
    return x[:rows], x[rows:, ::2], x[rows:, 1::2]


@pytest.mark.parametrize(
    ("definition", "color", "chroma"),
    [
        (Definition("bt709", "limited"), "NV12", "replicated"),
        (Definition("bt601", "full", "middle", "first"), "NV12", "interpolated, left"),
        (Definition("bt2020", "limited", "middle", "middle"), "NV12", "interpolated, center"),
        (Definition("bt601", "limited", "replicated", "first"), "YUYV", "down replicated, across interpolated (first)"),
        (Definition("bt709", "full"), "YUV444", "replicated"),
    ],
)
def test_float64_is_found_to_be_itself(definition, color, chroma, pictures):
    found = measured(lambda x: decoded(planes_of(x, color), definition), color, pictures)
    assert (found.nearest, found.nearest.chroma) == (definition, chroma)
    assert found.decided
    assert found.ratio < 1e-6
    assert found.own.largest == found.any_bytes.largest == 0
    if chroma == "replicated":
        assert found.linear.largest < 1e-9


def test_a_picture_comes_back(pictures):
    """Where no pixels share their chroma: within what rounding Y, U and V costs."""
    for each in (("bt709", "limited"), ("bt2020", "full")):
        planes = encoded(pictures[0], *each, (1, 1))
        assert np.array_equal(planes_of(in_memory(planes, "YUV444"), "YUV444"), planes)
        assert np.abs(decoded(planes, Definition(*each)) - pictures[0]).max() < 2.1


@pytest.mark.parametrize(
    ("call", "named", "what", "largest"),
    [
        ("opset8.nv12_to_rgb, float32", None, "bt601 limited", 0.2),
        ("opset8.i420_to_rgb, uint8", None, "bt601 limited", 0.7),
        ("cvtColor(x, COLOR_YUV2RGB_YUYV)", None, "bt601 limited", 0.7),
        ("cvtColor(x, COLOR_YUV2RGB)", None, "none of the six; nearest bt601 full", 30),
        ("cvtColor(y_cr_cb, COLOR_YCrCb2RGB)", None, "bt601 full", 1.1),
        ("to_ndarray of yuv420p, of a frame that says what it is", ("bt709", "limited"), "bt709 limited", 5),
        (EXACTLY, ("bt2020", "full"), "bt2020 full", 1.1),
        ('convert("RGB") of "YCbCr"', None, "bt601 full", 1.1),
        ("ycbcr2rgb of floats 0..255", None, "bt601 limited", 1e-2),
    ],
)
def test_libraries_are_what_the_page_says(call, named, what, largest, pictures):
    peer = PEERS[call, named]
    found = measured(peer.run, peer.color, pictures)
    assert survey_yuv.what(found) == what
    assert found.own.largest < largest


def test_opencvs_is_rgb8(pictures):
    assert measured(OPENCV.run, "NV12", pictures).rgb8.largest == 0


def test_why_some_are_none_of_the_six(pictures):
    """survey_yuv.REASONS."""
    y, u, v = (plane.astype(float) for plane in encoded(pictures[0], "bt601", "full", (1, 1)))
    for call in ("cvtColor(x, COLOR_YUV2RGB)", "yuv2rgb of (y, u - 128, v - 128) / 255"):
        made = PEERS[call, None].run(in_memory(encoded(pictures[0], "bt601", "full", (1, 1)), "YUV444")).astype(float)
        inside = ((made > 0) & (made < 255)).all(axis=2)
        assert np.abs(made[..., 2] - y - 2.03 * (u - 128))[inside].max() < 1
        assert np.abs(made[..., 0] - y - 1.14 * (v - 128))[inside].max() < 1
    x, zeros = np.stack([y, u, v], axis=-1), np.array([16, 128, 128])
    floats, of_bytes = (PEERS[f"ycbcr2rgb of {kind}", None].run for kind in ("floats 0..255", "uint8"))
    np.testing.assert_allclose(of_bytes(x.astype(np.uint8)), floats((x - zeros) % 256 / 255 + zeros), rtol=0, atol=1e-9)


def exchanged(x):
    rows = len(x) * 2 // 3
    return np.concatenate([x[:rows], x[rows:].reshape(rows // 2, -1, 2)[..., ::-1].reshape(rows // 2, -1)])


def aside(x):
    rows = len(x) * 2 // 3
    return np.concatenate([x[:rows], np.roll(x[rows:], 2, axis=1)])


@pytest.mark.parametrize("change", [exchanged, aside], ids=["U and V exchanged", "chroma a block aside"])
def test_chroma_in_the_wrong_place_shows(change, pictures):
    right, wrong = (measured(run, "NV12", pictures) for run in (OPENCV.run, lambda x: OPENCV.run(change(x))))
    assert right.decided
    assert not wrong.decided
    assert wrong.own.mean > 5 * right.own.mean


def test_other_levels_show_and_are_no_other_matrix(pictures):
    right, wrong = (measured(run, "NV12", pictures) for run in (OPENCV.run, lambda x: OPENCV.run(x).astype(float) - 3))
    assert wrong.decided
    assert wrong.nearest == right.nearest
    assert wrong.own.bias - right.own.bias == pytest.approx(-3, abs=0.2)  # a little less, for black stays black
    assert wrong.own.over_one > 0.9
    assert right.own.over_one == 0


def test_a_tenth_more_of_one_difference_shows(pictures):
    def run(x):
        y, u, v = (plane.astype(float) for plane in planes_of(x, "YUV444"))
        return decoded((y, u, 128 + 1.1 * (v - 128)), Definition("bt709", "limited"))

    found = measured(run, "YUV444", pictures)
    assert found.ratio > 0.1
    assert found.own.largest > 2


def test_a_call_that_is_not_what_it_is_told_is_in_the_page(pictures):
    rows = [
        (Peer("A", "call", "NV12", OPENCV.run, named), measured(OPENCV.run, "NV12", pictures))
        for named in (("bt601", "limited"), ("bt709", "limited"))
    ]
    ((library, call, cells),) = survey_yuv.together(rows)
    assert (library, call) == ("A", "call")
    assert cells.startswith("bt601 limited | replicated | ")
    assert [survey_yuv.is_told(*row) for row in rows] == [True, False]
    ((_, _, cells),) = survey_yuv.together(rows[:1])
    assert cells.startswith("as it is told | replicated | ")


def test_what_bytes_cost_that_are_something_else(pictures):
    found = measured(OPENCV.run, "NV12", pictures)
    assert found.taken["bt601", "limited"] == found.own
    assert found.taken["bt709", "limited"].mean > 5 * found.own.mean
    assert found.taken["bt601", "full"].mean > 5 * found.own.mean


def test_calls_of_a_library_with_the_same_numbers_are_one_row():
    lines = list(survey_yuv.merged([("A", "x", "1 | 2"), ("B", "y", "1 | 2"), ("A", "z", "1 | 2"), ("A", "w", "3 | 4")]))
    assert lines == ["| A | x; z | 1 | 2 |", "| B | y | 1 | 2 |", "| A | w | 3 | 4 |"]
