"""Colours of Y, U and V: their places in memory, their matrices, and what is refused."""

from fractions import Fraction

import numpy as np
import pytest

from preproc.errors import PreprocError
from preproc.steps import (
    COLORS,
    LUMA,
    UNCONVERTED,
    WEIGHTS,
    YUV,
    CenterCrop,
    ChannelAffine,
    FromPixels,
    Normalize,
    Rescale,
    Resize,
    are_whole,
    check,
    collapse_steps,
    compose,
    layouts_of,
    mistaken,
    parse,
    phases,
    split_affine_end,
    to_rgb_in_integers,
)
from preproc.steps.yuv import RANGES, swapped, to_rgb

SAID = {"matrix": "bt709", "range": "limited"}


def nv12(**other):
    return FromPixels(**{"layout": "NHW", "color": "NV12", **SAID, **other})


@pytest.mark.parametrize(
    ("matrix", "range_", "rows"),
    [
        # JFIF 1.02: R = Y + 1.402 (Cr - 128), G = Y - 0.34414 (Cb - 128) - 0.71414 (Cr - 128), B = Y + 1.772 (Cb - 128)
        ("bt601", "full", [[1, 0, 1.402], [1, -0.34414, -0.71414], [1, 1.772, 0]]),
        # what Microsoft and OpenVINO print of BT.601 and BT.709 in limited range
        ("bt601", "limited", [[1.164, 0, 1.596], [1.164, -0.392, -0.813], [1.164, 2.017, 0]]),
        ("bt709", "limited", [[1.164, 0, 1.793], [1.164, -0.213, -0.533], [1.164, 2.112, 0]]),
        ("bt2020", "full", [[1, 0, 1.4746], [1, -0.16455, -0.57135], [1, 1.8814, 0]]),
    ],
)
def test_the_matrices_are_the_published_ones(matrix, range_, rows):
    np.testing.assert_allclose(to_rgb(matrix, range_).matrix, rows, atol=6e-4)


@pytest.mark.parametrize("range_", RANGES)
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_black_white_and_the_primaries_arrive_where_the_standard_puts_them(matrix, range_):
    """Forwards as the standards write it: Y from R, G and B, then U and V from the differences, in exact numbers."""
    red, blue = WEIGHTS[matrix]
    (low, high), levels = ((16, 235), 224) if range_ == "limited" else ((0, 255), 255)
    for rgb in ((0, 0, 0), (1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1), (Fraction(1, 3), Fraction(1, 7), Fraction(4, 5))):
        y = red * rgb[0] + (1 - red - blue) * rgb[1] + blue * rgb[2]
        u, v = (rgb[2] - y) / (2 * (1 - blue)), (rgb[0] - y) / (2 * (1 - red))
        yuv = np.array([float(low + (high - low) * y), float(128 + levels * u), float(128 + levels * v)])
        np.testing.assert_allclose(to_rgb(matrix, range_)(yuv), [255 * float(value) for value in rgb], atol=1e-11)


@pytest.mark.parametrize("range_", RANGES)
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_the_integers_are_the_matrix_in_units_of_two_to_the_minus_twenty_and_stay_in_32_bits(matrix, range_):
    rows, zeros = to_rgb_in_integers(matrix, range_)
    off = np.abs(np.array(rows) / 2**20 - to_rgb(matrix, range_).matrix).max()
    assert off < (1e-3 if (matrix, range_) == ("bt601", "limited") else 2**-20)
    most = max(sum(abs(value) * reach for value, reach in zip(row, (255 - zeros[0], 128, 128), strict=True)) for row in rows)
    assert most + 2**19 < 2**31


def test_values_leave_the_interval_that_is_checked_as_far_as_is_said():
    corners = [to_rgb(matrix, range_)(np.array(yuv)) for matrix in WEIGHTS for range_ in RANGES for yuv in np.ndindex(2, 2, 2)]
    reach = [to_rgb(matrix, range_)(255.0 * np.array(yuv)) for matrix in WEIGHTS for range_ in RANGES for yuv in np.ndindex(2, 2, 2)]
    assert len(corners) == len(reach) == 48
    assert (np.floor(np.min(reach)), np.ceil(np.max(reach))) == (-293, 551)
    assert "to -293 and 551" in FromPixels.value_range.__doc__


@pytest.mark.parametrize("color", YUV)
def test_every_colour_has_every_byte_once_and_a_partner_with_u_and_v_exchanged(color):
    known = YUV[color]
    for layout, planes in known.planes.items():
        assert np.prod(known.shape(layout, (4, 6))) == 24 * known.values
        assert known.size(layout, known.shape(layout, (4, 6))) == (4, 6)
        assert set("".join(planes)) == set("YUV")
    assert swapped(swapped(color)) == color != swapped(color)


@pytest.mark.parametrize(
    ("color", "layout", "shape", "told"),
    [
        ("NV12", "NHW", (7, 6), r"expected \(3H/2, W\) of an even height H, got \(7, 6\)"),
        ("NV12", "NHW", (6, 5), r"multiples of 2 and 2, whose pixels share a U and a V, got 4x5; the next smaller is 4x4$"),
        ("NV12", "NHW", (8, 8, 3), r"expected \(3H/2, W\), got \(8, 8, 3\), as pixels with channels lie"),
        ("I420", "NHW", (4, 6), r"expected \(3H/2, W\)"),
        ("YUYV", "NHWC", (3, 5, 2), r"multiples of 1 and 2, .* got 3x5"),
        ("YUYV", "NHWC", (3, 4, 3), r"expected \(H, W, 2\), got \(3, 4, 3\)"),
        ("YUV444", "NCHW", (2, 3, 4), r"expected \(3, H, W\), got \(2, 3, 4\)"),
    ],
)
def test_shapes_that_no_picture_has_are_refused_in_one_line(color, layout, shape, told):
    with pytest.raises(PreprocError, match=told) as caught:
        YUV[color].size(layout, shape)
    assert caught.value.name == "shape-mismatch"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["matrix", "range"])
def test_matrix_and_range_have_no_default_and_the_refusal_says_how_to_find_out(missing):
    with pytest.raises(PreprocError, match=rf"expected {missing} = one of .*ffprobe.*color_space,color_range") as caught:
        nv12(**{missing: None})
    assert caught.value.name == "yuv-unspecified"


@pytest.mark.parametrize(
    ("changes", "told", "name"),
    [
        ({"matrix": "smpte170m"}, "bt601, which FFmpeg calls smpte170m", "unknown-choice"),
        ({"range": "tv"}, "limited, which FFmpeg calls tv", "unknown-choice"),
        ({"matrix": "bt709x"}, "did you mean 'bt709'", "unknown-choice"),
        ({"conversion": "rgb"}, "expected conversion to be one of linear, rgb8", "unknown-choice"),
        ({"layout": "NHWC"}, "expected layout to be one of NHW, got 'NHWC'", "unknown-choice"),
        ({"color": "NV21x"}, "did you mean 'NV21'", "unknown-choice"),
        ({"to": "RGBA"}, "expected RGB, BGR or GRAY of NV12 pixels", "color-mismatch"),
        ({"to": "GRAY", "conversion": "rgb8"}, 'expected conversion = "linear" for a grey network, got "rgb8"', "conflicting-options"),
        (
            {"to": "GRAY", "chroma": "replicate"},
            "chroma: expected beside colours that U and V are read for, got it with GRAY",
            "option-without-effect",
        ),
        ({"to": "GRAY", "siting": "left"}, "siting: expected beside colours", "option-without-effect"),
        ({"to": "GRAY", "matrix": None}, "expected matrix = one of", "yuv-unspecified"),
        ({"to": LUMA}, "matrix: expected beside a conversion to RGB, BGR or GRAY", "option-without-effect"),
        ({"pixel_dtype": "uint16"}, "expected uint8 for NV12 pixels", "pixel-dtype"),
        ({"siting": "left"}, 'siting: expected beside chroma = "bilinear", got it with replicate', "option-without-effect"),
        ({"chroma": "bilinear"}, "expected siting = one of left, center", "yuv-unspecified"),
        ({"chroma": "bilinear", "siting": "top"}, "expected siting to be one of left, center", "unknown-choice"),
        ({"chroma": "bilinear", "siting": "left", "conversion": "rgb8"}, 'expected chroma = "replicate"', "conflicting-options"),
        ({"to": UNCONVERTED}, "matrix: expected beside a conversion to RGB, BGR or GRAY", "option-without-effect"),
        ({"color": "YUV444", "layout": "NCHW", "chroma": "replicate"}, "pixels that share their U and V", "option-without-effect"),
        ({"color": "RGB", "layout": "NHWC"}, "matrix: expected beside a colour of Y, U and V", "option-without-effect"),
    ],
)
def test_what_is_refused(changes, told, name):
    with pytest.raises(PreprocError, match=told) as caught:
        nv12(**changes)
    assert caught.value.name == name


def test_a_network_is_trained_on_none_of_them():
    with pytest.raises(PreprocError, match="expected to to be one of"):
        FromPixels(layout="NHWC", to="NV12")
    assert not set(YUV) & set(COLORS)


@pytest.mark.parametrize("color", YUV)
def test_a_step_is_itself_behind_its_table(color):
    for layout in layouts_of(color):
        for other in ({}, {"conversion": "rgb8"}, {"to": "BGR"}):
            step = FromPixels(layout=layout, color=color, **SAID, **other)
            assert parse(step.spec()) == step
            assert step.spec()["conversion"] == other.get("conversion", "linear")
    plain = FromPixels(layout="NHWC").spec()
    assert plain == {"step": "from_pixels", "layout": "NHWC", "color": "RGB", "to": "RGB", "pixel_dtype": "uint8"}


def test_the_linear_form_is_affine_and_gives_its_matrix_to_what_follows():
    steps = [nv12(to="BGR"), Rescale(), Normalize(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4), unit="0-1")]
    plain, affine = collapse_steps(steps, 3)
    assert plain == FromPixels(layout="NHW", color="NV12", to=UNCONVERTED)
    assert plain.rounds
    assert isinstance(affine, ChannelAffine)
    yuv = np.array([60.0, 100.0, 200.0])
    bgr = to_rgb("bt709", "limited")(yuv)[::-1] / 255
    np.testing.assert_allclose(affine.affine(3)(yuv), (bgr - [0.4, 0.5, 0.6]) / [0.2, 0.3, 0.4])
    np.testing.assert_allclose(compose(steps, 3)(yuv), affine.affine(3)(yuv))
    assert split_affine_end(steps, channels=3)[0] == [plain]


@pytest.mark.parametrize("range_", RANGES)
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_grey_is_the_luma_of_the_colours_and_leaves_its_map_to_what_follows(matrix, range_):
    """Kr R + Kg G + Kb B of whatever U and V make."""
    red, blue = map(float, WEIGHTS[matrix])
    steps = [nv12(to="GRAY", matrix=matrix, range=range_), Rescale()]
    plain, affine = collapse_steps(steps, 1)
    assert plain == FromPixels(layout="NHW", color="NV12", to=LUMA)
    assert plain.rounds
    assert not steps[0].rounds
    assert {step.channels() for step in (plain, steps[0])} == {1}
    for yuv in ([16.0, 128.0, 128.0], [60.0, 100.0, 200.0], [235.0, 3.0, 90.0]):
        rgb = to_rgb(matrix, range_)(np.array(yuv))
        np.testing.assert_allclose(affine.affine(1)(np.array(yuv[:1])) * 255, rgb @ [red, 1 - red - blue, blue], atol=1e-10)
    assert mistaken(steps[0]) == {name: step for name, step in mistaken(steps[0]).items() if step.range != range_}
    assert len(mistaken(steps[0])) == 1
    assert mistaken(plain) == {}


def test_the_rounding_form_is_not_and_gives_the_order_of_its_colours():
    steps = [nv12(to="BGR", conversion="rgb8"), Rescale()]
    plain, affine = collapse_steps(steps, 3)
    assert plain == nv12(conversion="rgb8")
    assert plain.affine(3) is compose(steps, 3) is None
    np.testing.assert_allclose(affine.affine(3)(np.array([1.0, 2.0, 3.0])) * 255, [3, 2, 1])


def test_what_is_checked_behind_them_are_grey_levels():
    assert str(check([nv12()])) == "0..255"
    check([nv12(), Rescale(), Normalize.preset("imagenet")])
    with pytest.raises(PreprocError, match=r"got values in 0\.\.255"):
        check([nv12(), Normalize.preset("imagenet")])


def test_pictures_are_resized_where_levels_are_whole():
    check([nv12(conversion="rgb8"), Resize(size=8), CenterCrop(size=(8, 8)), Rescale()])
    check([nv12(), Resize(size=8), CenterCrop(size=(8, 8)), Rescale()])  # of planes
    assert are_whole([nv12(conversion="rgb8")])
    assert are_whole([FromPixels(layout="NHW", color="NV12", to=UNCONVERTED)])
    assert not are_whole([nv12()])
    assert not are_whole([FromPixels(layout="NHW", color="NV12", to=UNCONVERTED, chroma="bilinear", siting="left")])


def test_a_pixels_chroma_is_a_mean_whose_weights_sum_to_one():
    for chroma, siting in (("replicate", None), ("bilinear", "left"), ("bilinear", "center")):
        for block in ((1, 1), (1, 2), (2, 2)):
            for count, along in zip(block, phases(block, chroma, siting), strict=True):
                assert [sum(weights) for weights in along] == [1.0] * count
    down, across = phases((2, 2), "bilinear", "left")
    assert across[0] == (0, 1, 0)  # on the first pixel
    assert down == phases((2, 2), "bilinear", "center")[1]


def test_the_known_mistakes_are_steps_of_their_own():
    found = mistaken(nv12())
    assert {name: other for name, other in found.items() if other.color != "NV12"} == {"U and V exchanged": nv12(color="NV21")}
    assert [other.matrix for name, other in found.items() if name.startswith("matrix")] == ["bt601", "bt2020"]
    assert found["range full for limited"] == nv12(range="full")
    assert found["chroma half a pixel aside"] == nv12(chroma="bilinear", siting="left")
    assert found["clipped and rounded to 8 bits"] == nv12(conversion="rgb8")
    assert mistaken(nv12(conversion="rgb8"))["neither clipped nor rounded"] == nv12()
    center = nv12(chroma="bilinear", siting="center")
    assert mistaken(center)["chroma half a pixel aside"] == nv12(chroma="bilinear", siting="left")
    assert all("chroma" not in name for name in mistaken(FromPixels(layout="NHWC", color="YUV444", **SAID)))
    assert mistaken(FromPixels(layout="NHWC")) == {}
    assert list(mistaken(FromPixels(layout="NHW", color="NV12", to=UNCONVERTED))) == ["U and V exchanged", "chroma half a pixel aside"]
