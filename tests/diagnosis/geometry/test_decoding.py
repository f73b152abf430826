"""Turns: one list, in the order of EXIF's tags, as Pillow turns by them."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from preproc.diagnosis.geometry import TURNS, Source

PICTURE = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)


@pytest.mark.parametrize(("tag", "words"), list(enumerate(TURNS, 1)))
def test_a_tag_turns_as_pillow_turns(tag, words, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.fromarray(PICTURE).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(TURNS[words](PICTURE), expected)
    np.testing.assert_array_equal(Source(tmp_path / "a.png").picture(turn="upright"), expected)
