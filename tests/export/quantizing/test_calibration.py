"""The pictures of a calibration: read as the model takes them, and what is told of them."""

import numpy as np
import pytest
from PIL import Image

from preproc.errors import PreprocError
from preproc.export.quantizing import calibrated_with
from preproc.sources import parse_recipe
from tests.calibrations import TABLE, pictures


def of(folder, **changes):
    return calibrated_with(folder, parse_recipe(TABLE | changes, folder=folder))


def test_pictures_of_the_data_set_need_no_note_and_are_read_again_as_the_model_takes_them(tmp_path):
    found = of(pictures(tmp_path / "p", 60))
    assert (found.count, found.notes) == (60, ())
    for _ in range(2):
        read = list(found.pictures())
        assert [(picture.shape, picture.dtype) for picture in read] == [((1, 8, 6, 3), np.uint8)] * 60
    planar = of(tmp_path / "p", pixels={"layout": "NCHW", "color": "BGR", "size": [8, 6]})
    assert planar.notes == ()
    assert np.array_equal(next(planar.pictures())[0, ::-1].transpose(1, 2, 0), read[0][0])


def test_sizes_stay_where_the_model_resizes_itself(tmp_path):
    folder = pictures(tmp_path / "p", 2, size=(20, 30))
    steps = [{"step": "resize", "size": [8, 6]}, *TABLE["steps"]]
    free = of(folder, pixels={"layout": "NHWC", "color": "RGB", "size": "dynamic"}, steps=steps)
    assert next(free.pictures()).shape == (1, 20, 30, 3)
    assert next(of(folder).pictures()).shape == (1, 8, 6, 3)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ({"count": 3}, "calibrated with 3 pictures: ranges of so few are narrow"),
        ({"count": 60, "mean": 128 * np.ones(3) + 100}, "unlike those of its mean and std"),
        ({"count": 60, "std": 8}, "unlike those of its mean and std"),
    ],
    ids=["few", "brighter", "of one tone"],
)
def test_what_is_unusual_is_told(tmp_path, made, told):
    (note,) = of(pictures(tmp_path / "p", **made)).notes
    assert told in note


def test_equal_grey_and_empty_ones_are_told(tmp_path):
    folder = pictures(tmp_path / "p", 60)
    Image.open(folder / "000.png").save(folder / "again.png")
    Image.open(folder / "001.png").convert("L").save(folder / "grey.png")
    notes = of(folder).notes
    assert [note.partition(":")[0] for note in notes] == [
        "calibrated with 61 different pictures",
        "calibrated with grey pictures, 1 of 62, a model that takes RGB",
    ]
    for file in folder.iterdir():
        Image.new("RGB", (6, 8), (10, 20, 30)).save(file)
    notes = of(folder).notes
    assert "calibrated with one picture alone: 61 of 62 are there again" in notes
    assert "calibrated with pictures in which a channel has one value everywhere" in notes


def test_what_is_no_raw_picture_is_refused(tmp_path):
    folder = tmp_path / "p"
    folder.mkdir()
    with pytest.raises(PreprocError, match=r"expected pictures, image files or .npy arrays, got none"):
        of(folder)
    np.save(folder / "ready.npy", np.zeros((8, 6, 3), np.float32))
    with pytest.raises(PreprocError, match=r"got \(8, 6, 3\) of float32; raw ones: the file normalizes them itself"):
        of(folder)
    (folder / "ready.npy").unlink()
    Image.fromarray(np.zeros((8, 6), np.float32)).save(folder / "ready.tiff")
    with pytest.raises(PreprocError, match=r"ready.tiff: expected pictures of uint8, as the model's pixels are, got .*float"):
        of(folder)
    (folder / "ready.tiff").unlink()
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(PreprocError, match=r"broken.png: expected"):
        of(folder)
