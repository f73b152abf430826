"""EXIF's orientation is told, and not applied."""

import numpy as np
from PIL import Image, ImageOps

from preproc.host.decoding import ImageFile, orientation
from preproc.stats import compute_stats
from tests.commands import run
from tests.host.decoding.making import COLORS, GRAY


def test_a_mask_that_may_be_drawn_on_the_turned_picture(tmp_path):
    exif = Image.Exif()
    exif[274] = 3
    (tmp_path / "p").mkdir()
    (tmp_path / "m").mkdir()
    Image.fromarray(GRAY[0]).save(tmp_path / "p" / "a.png", exif=exif)
    Image.fromarray(GRAY[1]).save(tmp_path / "m" / "a.png")
    (told,) = compute_stats(tmp_path / "p", mask_glob=f"{tmp_path}/m/*").broken
    assert "a mask of the picture's EXIF orientation, 3, got 1" in told[1]
    Image.fromarray(GRAY[1]).save(tmp_path / "m" / "a.png", exif=exif)
    assert compute_stats(tmp_path / "p", mask_glob=f"{tmp_path}/m/*").images == 1


def test_orientations_are_not_applied_and_counted(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    for suffix in ("jpg", "png", "webp", "tif"):
        Image.fromarray(COLORS[0]).save(tmp_path / f"a.{suffix}", exif=exif)
    stats = compute_stats(tmp_path)
    assert (stats.images, stats.oriented) == (4, 3)
    with ImageFile(tmp_path / "a.png") as file:
        assert orientation(file.read(0)) == 6
        assert np.array_equal(np.asarray(file.read(0)), COLORS[0])
    with ImageFile(tmp_path / "a.tif") as file:  # Pillow applies it: the tag belongs to the format
        image = file.read(0)
        assert orientation(image) == 1
        assert image.size == ImageOps.exif_transpose(Image.open(tmp_path / "a.png")).size
    assert "pictures with an EXIF orientation, counted as they are stored" in run("stats", tmp_path, check=0).stdout
    exif[274] = 77
    Image.fromarray(COLORS[0]).save(tmp_path / "a.png", exif=exif)
    assert compute_stats(tmp_path / "a.png").oriented == 0
