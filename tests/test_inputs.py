"""The pictures that models are verified with."""

import numpy as np
import pytest
from PIL import Image

from preproc.errors import PreprocError
from preproc.inputs import from_folder, standard
from preproc.recipe import PixelsSpec
from tests.conftest import ROOT


def spec(color, layout="NHWC", dtype="uint8", channels=3):
    return PixelsSpec(layout=layout, color=color, dtype=dtype, size=(20, 30), channels=channels)


@pytest.mark.parametrize(("color", "channels"), [("RGB", 3), ("BGRA", 4), ("GRAY", 1), ("ANY", 6)])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_shapes_dtypes_and_repeatability(color, channels, layout, dtype):
    pixels = spec(color, layout, dtype, channels)
    first, again = (dict(standard(pixels, (20, 30))) for _ in range(2))
    assert len(first) == 11
    for name, picture in first.items():
        assert picture.shape == pixels.shape(1)
        assert picture.dtype == dtype
        assert np.array_equal(picture, again[name])
    assert first["white"].min() == np.iinfo(dtype).max
    assert first["photo-astronaut"].std() > 20


def test_what_the_special_pictures_are_for():
    pictures = dict(standard(spec("RGB"), (20, 30)))
    assert np.unique(pictures["low-contrast"]).tolist() == [250, 251]
    assert np.count_nonzero(pictures["corner-impulse"]) == 3
    assert pictures["corner-impulse"][0, 0, 0].tolist() == [255] * 3
    assert len(set(pictures["flat-color"][0, 0, 0].tolist())) == 3
    assert np.diff(pictures["gradient"][0, 0, :, 0].astype(int)).tolist() == [1] * 29


def test_color_orders_show_the_same_photograph():
    rgb, bgr = (dict(standard(spec(color), (20, 30)))["photo-coffee"] for color in ("RGB", "BGR"))
    assert np.array_equal(rgb, bgr[..., ::-1])


def test_a_folder_of_ones_own(tmp_path):
    ours = list(from_folder(ROOT / "models" / "digits.images", spec("RGB"), (32, 32)))
    assert [name for name, _ in ours][:2] == ["image-0", "image-1"]
    with Image.open(ROOT / "models" / "digits.images" / "0.png") as image:
        assert np.array_equal(ours[0][1][0], np.asarray(image))
    with pytest.raises(PreprocError, match="expected a folder of pictures, got nothing there"):
        list(from_folder(tmp_path / "no", spec("RGB"), (4, 4)))
    with pytest.raises(PreprocError, match="got none"):
        list(from_folder(tmp_path, spec("RGB"), (4, 4)))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    with pytest.raises(PreprocError, match=r"broken\.png: expected a picture"):
        list(from_folder(tmp_path, spec("RGB"), (4, 4)))
