"""The pictures that models are verified with."""

import numpy as np
import pytest
from PIL import Image

from preproc.errors import PreprocError
from preproc.sources import PixelsSpec
from preproc.verify.inputs import from_folder, notes, one_picture, standard
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
    made = dtype == "uint16" or color == "ANY"
    assert first["made-of-astronaut" if made else "photo-astronaut"].std() > 20
    assert any(name.startswith("photo-") for name in first) is not made


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
    with pytest.raises(PreprocError, match=r"broken\.png: expected an image"):
        list(from_folder(tmp_path, spec("RGB"), (4, 4)))


DEEP = np.random.default_rng(3).integers(48, 4081, (20, 30)).astype(np.uint16)
RGB = np.random.default_rng(4).integers(0, 256, (20, 30, 3), dtype=np.uint8)
SIX = np.random.default_rng(5).integers(0, 256, (20, 30, 6), dtype=np.uint8)


def test_sixteen_bits_are_read_as_they_are(tmp_path):
    for name in ("a.png", "b.tif"):
        Image.fromarray(DEEP).save(tmp_path / name)
    np.save(tmp_path / "c.npy", DEEP)
    for _, picture in from_folder(tmp_path, spec("GRAY", dtype="uint16", channels=1), (20, 30)):
        assert np.array_equal(picture[0, ..., 0], DEEP)
    for _, picture in list(from_folder(tmp_path, spec("ANY", dtype="uint16", channels=1), (20, 30)))[:2]:
        assert np.array_equal(picture[0, ..., 0], DEEP)
    picture = one_picture(tmp_path / "a.png", spec("RGB", dtype="uint16"))
    assert np.array_equal(picture[0], np.stack([DEEP] * 3, axis=-1))
    smaller = dict(from_folder(tmp_path, spec("GRAY", dtype="uint16", channels=1), (10, 15)))["image-a"]
    want = Image.fromarray(DEEP.astype(np.float32)).resize((15, 10), Image.Resampling.BICUBIC)
    assert np.array_equal(smaller[0, ..., 0], np.clip(np.rint(np.asarray(want)), 0, 65535))


@pytest.mark.parametrize(
    ("array", "suffix", "pixels", "message"),
    [
        (
            DEEP,
            "png",
            spec("RGB"),
            "expected pictures of uint8, .* got GRAY 16 bit, which is not scaled in silence",
        ),
        (DEEP, "tif", spec("GRAY", channels=1), "expected pictures of uint8"),
        (RGB, "png", spec("RGB", dtype="uint16"), r"of uint16, as the model's pixels are, got RGB, .*a \.npy array \(H, W, 3\) of uint16"),
        (RGB[..., 0], "png", spec("GRAY", dtype="uint16", channels=1), "got GRAY, which is not scaled in silence"),
        (RGB, "png", spec("ANY", channels=6), r"expected pictures of 6 channels, .* got RGB; save them as a \.npy array \(H, W, 6\)"),
        (RGB[..., 0], "png", spec("ANY", channels=3), "expected pictures of 3 channels, as the model's pixels have, got GRAY"),
        (DEEP.astype(np.float32), "tif", spec("GRAY", channels=1), "got GRAY float"),
        (RGB, "npy", spec("ANY", channels=6), r"expected one picture \(H, W, 6\) of uint8, .* got \(20, 30, 3\) of uint8"),
        (SIX.transpose(2, 0, 1), "npy", spec("ANY", channels=6), r"got \(6, 20, 30\) of uint8"),
        (SIX.astype(np.uint16), "npy", spec("ANY", channels=6), r"got \(20, 30, 6\) of uint16"),
        (SIX[None], "npy", spec("ANY", channels=6), r"got \(1, 20, 30, 6\)"),
        (RGB / 255, "npy", spec("RGB"), "of float64"),
    ],
)
def test_other_depths_and_channels_are_refused(tmp_path, array, suffix, pixels, message):
    file = tmp_path / f"a.{suffix}"
    if suffix == "npy":
        np.save(file, array)
    else:
        Image.fromarray(array).save(file)
    with pytest.raises(PreprocError, match=rf"a\.{suffix}: .*{message}|a\.{suffix}: {message}"):
        list(from_folder(tmp_path, pixels, (20, 30)))
    with pytest.raises(PreprocError, match=message):
        one_picture(file, pixels)


def test_arrays_are_the_models_own_pixels(tmp_path):
    np.save(tmp_path / "a.npy", SIX)
    picture = one_picture(tmp_path / "a.npy", spec("ANY", "NCHW", channels=6))
    assert np.array_equal(picture[0], SIX.transpose(2, 0, 1))
    ((_, smaller),) = from_folder(tmp_path, spec("ANY", channels=6), (10, 15))
    for channel in range(6):
        want = Image.fromarray(SIX[..., channel]).resize((15, 10), Image.Resampling.BICUBIC)
        assert np.array_equal(smaller[0, ..., channel], np.asarray(want))
    np.save(tmp_path / "a.npy", RGB)
    assert np.array_equal(one_picture(tmp_path / "a.npy", spec("BGR"))[0], RGB)


def test_colors_of_eight_bits_are_converted_as_pillow_does(tmp_path):
    image = Image.fromarray(RGB)
    for mode, suffix in (("L", "png"), ("P", "png"), ("1", "png"), ("CMYK", "jpg"), ("RGBA", "png"), ("LA", "png")):
        image.convert(mode).save(tmp_path / f"a.{suffix}")
        with Image.open(tmp_path / f"a.{suffix}") as read:
            rgb, gray = np.asarray(read.convert("RGB")), np.asarray(read.convert("L"))
        found = one_picture(tmp_path / f"a.{suffix}", spec("BGR"))[0]
        assert np.array_equal(found[..., ::-1], rgb)
        assert np.array_equal(one_picture(tmp_path / f"a.{suffix}", spec("GRAY", channels=1))[0, ..., 0], gray)
    alpha = np.dstack([RGB, DEEP.astype(np.uint8)])
    Image.fromarray(alpha).save(tmp_path / "a.png")
    assert np.array_equal(one_picture(tmp_path / "a.png", spec("RGBA", channels=4))[0], alpha)
    assert np.array_equal(one_picture(tmp_path / "a.png", spec("ANY", channels=4))[0], alpha)


def test_every_frame_of_a_file_is_a_picture(tmp_path):
    pages = [Image.fromarray(np.full((20, 30), level, np.uint8)) for level in (10, 200)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    found = {name: int(picture.max()) for name, picture in from_folder(tmp_path, spec("GRAY", channels=1), (20, 30))}
    assert found == {"image-a-0": 10, "image-a-1": 200}
    assert notes(tmp_path) == []
    assert notes(tmp_path / "a.tif") == ["a.tif: the first of its 2 pages or frames is drawn"]
    pages[0].save(tmp_path / "a-1.png")
    with pytest.raises(PreprocError, match="expected pictures of different names, got image-a-1 again"):
        list(from_folder(tmp_path, spec("GRAY", channels=1), (20, 30)))


def test_an_orientation_is_told_and_not_applied(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(one_picture(tmp_path / "a.png", spec("RGB"))[0], RGB)
    (note,) = notes(tmp_path)
    assert note == "a.png: its EXIF orientation, 6, is not applied, as PIL.Image.open() does not apply it"
    assert notes(tmp_path / "a.png") == [note]
    (tmp_path / "b.png").write_bytes(b"")
    assert notes(tmp_path) == [note]
