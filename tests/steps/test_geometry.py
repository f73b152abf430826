"""Which resizes, crops and pads there are, where they may stand, and the sizes that they make."""

import pytest

from preproc.errors import PreprocError
from preproc.steps import (
    CenterCrop,
    FromPixels,
    Letterbox,
    Pad,
    Rescale,
    Resize,
    check,
    output_size,
    parse,
)
from tests.geometry import LAYERS


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"step": "resize", "size": 0}, "1 to 32768, got 0"),
        ({"step": "resize", "size": [3, 0]}, r"\[height, width\]"),
        ({"step": "resize", "size": True}, r"\[height, width\]"),
        ({"step": "resize", "size": "256"}, r"\[height, width\]"),
        (
            {"step": "resize", "size": 32, "interpolation": "lanczos3"},
            "one of bilinear, bicubic, nearest, lanczos, box, hamming, got 'lanczos3'",
        ),
        ({"step": "resize", "size": 32, "interpolation": "biliner"}, "did you mean 'bilinear'"),
        ({"step": "resize", "size": 32, "max_size": 32}, "max_size with a size of one number below it"),
        ({"step": "resize", "size": [3, 4], "max_size": 32}, "max_size with a size of one number"),
        ({"step": "resize", "size": 32, "interpolation": "bicubic", "antialias": False}, "antialias = true for bicubic"),
        ({"step": "resize", "size": 32, "interpolation": "lanczos", "antialias": False}, "antialias = true for lanczos"),
        ({"step": "resize", "size": 32, "antialias": 1}, "true or false"),
        ({"step": "resize", "size": 32, "form": "exakt"}, "did you mean 'exact'"),
        ({"step": "resize", "size": 32, "pillow": 11}, "resize: pillow: expected 12 or 13, got 11; 12 stands for every older Pillow"),
        ({"step": "resize", "size": 32, "pillow": 12.0}, "expected 12 or 13, got 12.0"),
        ({"step": "letterbox", "size": 32, "antialias": True, "pillow": "13"}, "letterbox: pillow: expected 12 or 13, got '13'"),
        ({"step": "letterbox", "size": 32, "pillow": 12}, "pillow for antialiased resizes of Pillow's only, .* got 12"),
        ({"step": "resize", "size": 32, "interpolation": "nearest", "pillow": 13}, "antialiased resizes of Pillow's only, .* got 13"),
        ({"step": "resize", "size": 32, "torch": "int8"}, "torch to be one of uint8, float32, got 'int8'"),
        ({"step": "resize", "size": 32, "torch": "uint8", "pillow": 12}, "pillow for antialiased resizes of Pillow's only, .* got 12"),
        (
            {"step": "resize", "size": 32, "torch": "uint8", "interpolation": "nearest"},
            "antialiased bilinear, bicubic or lanczos for torch",
        ),
        ({"step": "resize", "size": 32, "torch": "uint8", "antialias": False}, "antialiased bilinear, bicubic or lanczos for torch"),
        ({"step": "center_crop", "size": [1, 2, 3]}, r"\[height, width\]"),
        ({"step": "center_crop", "size": 4, "fill": 256}, "grey level"),
        ({"step": "pad", "padding": [1, 2, 3]}, "1, 2 or 4 numbers"),
        ({"step": "pad", "padding": -1}, "1, 2 or 4 numbers"),
        ({"step": "letterbox"}, "expected size, got nothing"),
    ],
)
def test_wrong_steps_are_refused(table, message):
    with pytest.raises(PreprocError, match=message):
        parse(table)


def test_steps_survive_json():
    for step in LAYERS:
        assert parse(step.spec()) == step


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([FromPixels(layout="NHWC"), Rescale(), Resize(size=8)], r"step 3 \(resize\): expected it on grey levels, in front of rescale"),
        ([FromPixels(layout="NHWC", pixel_dtype="uint16"), Resize(size=8)], "8-bit grey levels"),
        ([FromPixels(layout="NHWC", pixel_dtype="uint16"), CenterCrop(size=8)], "8-bit grey levels"),
    ],
)
def test_geometry_stands_on_eight_bit_grey_levels(steps, message):
    with pytest.raises(PreprocError, match=message):
        check(steps)


def test_output_sizes():
    assert output_size([Resize(size=256), CenterCrop(size=224)], (None, None)) == (224, 224)
    assert output_size([Resize(size=256)], (None, None)) == (None, None)
    assert output_size([Resize(size=256), Pad(padding=2)], (300, 400)) == (260, 345)


@pytest.mark.parametrize(
    ("step", "sides", "expected"),
    [
        (Pad(padding=(1, 2, 3, 4)), (48, None), (54, None)),
        (Pad(padding=(1, 2, 3, 4)), (None, 48), (None, 52)),
        (Resize(size=32), (48, None), (None, None)),  # which one is the shorter?
        (Resize(size=(32, 40)), (48, None), (32, 40)),
        (Letterbox(size=32), (48, None), (32, 32)),
        (CenterCrop(size=32), (None, 48), (32, 32)),
        (Rescale(), (48, None), (48, None)),
    ],
    ids=str,
)
def test_output_sizes_of_one_free_side(step, sides, expected):
    assert output_size([step], sides) == expected
