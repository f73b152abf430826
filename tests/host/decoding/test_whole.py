"""Which files are pictures; each pixel of one is read whole, or the file refused."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, features

from preproc.host.decoding import is_picture
from preproc.host.decoding import whole as decoding
from preproc.stats import compute_stats
from tests.host.decoding.making import COLORS, DEEP, GRAY, counts


def jpeg2000(depth):
    held = io.BytesIO()
    Image.fromarray(COLORS[0]).save(held, "JPEG2000", no_jp2=True)
    data = bytearray(held.getvalue())
    for component in range(3):
        data[42 + 3 * component] = depth - 1
    return bytes(data)


def tiff(array, tags):
    held = io.BytesIO()
    Image.fromarray(array).save(held, "TIFF", tiffinfo=tags)
    return held.getvalue()


def sgi():
    """2x2 RGB pixels of 16 bits."""
    return struct.pack(">hBBHHHHii", 474, 0, 2, 3, 2, 2, 3, 0, 65535) + bytes(512 - 20) + bytes(24)


FOUR, EXTRA = tiff(np.zeros((12, 10, 4), np.uint8), {}), struct.pack("<HHIHH", 338, 3, 1, 2, 0)
DEPTH = struct.pack("<HHIHH", 258, 3, 1, 8, 0)
SIGNED = tiff(GRAY[0], {339: 2})
NOT_WHOLE = {
    "ten.pgm": (b"P5 10 12 1023\n" + (DEEP[0] >> 2).astype(">u2").tobytes(), "got I up to 1023, which it scales"),
    "deep.ppm": (b"P6 2 2 65535\n" + bytes(24), "got RGB up to 65535, which it scales"),
    "plain.ppm": (b"P3 1 1 100\n1 2 3\n", "got RGB up to 100, which it scales"),
    "imagej.tif": (tiff(GRAY[0], {270: "ImageJ=1.53\nimages=7\n"}), "expected 7 pages, as its description says, got 1"),
    "shaped.tif": (tiff(GRAY[0], {270: '{"shape": [7, 12, 10]}'}), "expected 7 pages, as its description says, got 1"),
    "bands.tif": (FOUR.replace(EXTRA, EXTRA[:8] + bytes(4)), "got 4 channels, of which it keeps RGB"),  # red, green, blue, near infrared
    "signed.tif": (SIGNED, "expected grey levels from 0 on, got integers with a sign"),
    "deep.sgi": (sgi(), "got RGB in 16 bits, which it cuts to 8"),
    "unknown.tif": (tiff(GRAY[0], {}).replace(DEPTH, DEPTH[:8] + struct.pack("<HH", 7, 0)), "got TIFF of a form that Pillow does not know"),
}


@pytest.mark.parametrize("name", NOT_WHOLE)
def test_what_pillow_does_not_read_whole_is_refused(tmp_path, name):
    data, message = NOT_WHOLE[name]
    (tmp_path / name).write_bytes(data)
    stats = compute_stats(tmp_path)
    assert stats.images == 0
    assert message in stats.broken[0][1]


@pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow reads no JPEG 2000")
def test_jpeg2000_of_12_bits(tmp_path):
    (tmp_path / "a.j2k").write_bytes(jpeg2000(8))
    assert compute_stats(tmp_path).images == 1
    (tmp_path / "a.j2k").write_bytes(jpeg2000(12))
    assert "expected pixels of 8 bits, got 12 in JPEG2000" in compute_stats(tmp_path).broken[0][1]


@pytest.mark.skipif("avif" not in features.modules or not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif_of_10_bits(tmp_path, monkeypatch):
    held = io.BytesIO()
    Image.fromarray(COLORS[0]).save(held, "AVIF")
    data, box = held.getvalue(), b"pixi" + bytes(4) + b"\x03" + b"\x08" * 3
    assert box in data
    (tmp_path / "a.avif").write_bytes(data)
    assert compute_stats(tmp_path).images == 1
    assert decoding._of_avif(data.replace(box, box[:-3] + b"\x0a" * 3)) == [10] * 3
    monkeypatch.setattr(decoding, "_of_avif", lambda _: [10] * 3)  # Pillow writes none
    assert "expected pixels of 8 bits, got 10 in AVIF" in compute_stats(tmp_path).broken[0][1]


def test_what_is_whole_is_read(tmp_path):
    (tmp_path / "deep.pgm").write_bytes(b"P5 10 12 65535\n" + DEEP[0].astype(">u2").tobytes())
    assert np.array_equal(compute_stats(tmp_path).accumulator.kinds["GRAY 16 bit"].counts, counts(DEEP[:1]))
    (tmp_path / "imagej.tif").write_bytes(tiff(GRAY[0], {270: "ImageJ=1.53\nimages=1\n"}))
    header = struct.pack("<2sIHHIIiiHHIIiiII3I", b"BM", 66 + 16, 0, 0, 66, 40, 4, 2, 1, 16, 3, 16, 0, 0, 0, 0, 0xF800, 0x7E0, 0x1F)
    (tmp_path / "565.bmp").write_bytes(header + bytes(16))  # 5, 6 and 5 bits of colours, which all read as 8
    stats = compute_stats(tmp_path)
    assert (stats.images, stats.broken) == (3, ())


def test_which_names_are_pictures():
    assert [name for name in ("a.TIF", "a.mpo", "a.fits", "a.pdf", "a.npy", "a") if is_picture(name)] == ["a.TIF", "a.mpo"]


def test_tiff_files_of_another_writer_are_equal_or_refused(tmp_path):
    """One or several pages, either byte order, planes apart or together, tiles, compression; against the arrays that tifffile wrote."""
    tifffile = pytest.importorskip("tifffile", reason="tifffile, which scikit-image brings, writes the files")
    rng, equal = np.random.default_rng(0), 0
    for number in range(160):
        pages, channels = int(rng.integers(1, 4)), int(rng.choice([1, 1, 3, 3, 4, 5]))
        dtype = np.dtype(rng.choice(np.array([np.uint8, np.uint8, np.uint16, np.int16, np.float32], object)))
        apart = bool(rng.integers(2)) and channels > 1
        shape = (pages, channels, 20, 18) if apart else (pages, 20, 18, channels) if channels > 1 else (pages, 20, 18)
        array = rng.integers(0, 256 if dtype == np.uint8 else 30_000, shape).astype(dtype)
        options = {"photometric": "rgb" if channels > 1 else "minisblack", "byteorder": "<>"[rng.integers(2)]}
        options |= {"planarconfig": "separate" if apart else "contig"} if channels > 1 else {}
        options |= {"extrasamples": [2 if channels == 4 else 0] * (channels - 3)} if channels > 3 else {}
        options |= [{}, {"compression": "zlib"}, {"tile": (16, 16)}, {"truncate": True}][rng.integers(4)]
        file = tmp_path / f"{number}.tif"
        tifffile.imwrite(file, array, **options)
        stats = compute_stats(file)
        if stats.images == 0:
            assert len(stats.broken) >= 1
            continue
        values = np.moveaxis(array, 1, -1).reshape(-1, channels) if apart else array.reshape(-1, channels)
        ((_, kind),) = stats.accumulator.kinds.items()
        mean = kind.mean if dtype == np.float32 else kind.mean()
        assert (kind.images, stats.broken) == (pages, ()), options
        assert np.allclose(mean, values.mean(axis=0, dtype=np.float64), rtol=1e-12), (array.dtype, channels, options)
        equal += 1
    assert equal > 40
