"""Pictures and files: kinds are never mixed, masks select pixels, and what cannot be read is listed."""

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import preproc
from preproc.errors import PreprocError
from preproc.stats import compute_stats
from preproc.stats.counting import Remarks
from preproc.stats.counting.file import count_file
from preproc.stats.places import Place, find
from preproc.stats.sums import Accumulator, Moments
from tests.conftest import ROOT
from tests.stats.making import of_array, pictures, png, save_all, total


def test_kinds_are_never_mixed_and_converted_only_if_asked(tmp_path):
    rgb = Image.fromarray(pictures(1, seed=5)[0]).resize((16, 16))
    place = tmp_path / "p"
    place.mkdir()
    for name, image in {
        "rgb.png": rgb,
        "gray.png": rgb.convert("L"),
        "rgba.png": rgb.convert("RGBA"),
        "la.png": rgb.convert("LA"),
        "palette.png": rgb.convert("P"),
        "bilevel.png": rgb.convert("1"),
        "cmyk.jpg": rgb.convert("CMYK"),
        "deep.png": Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257),
        "float.tiff": rgb.convert("F"),
    }.items():
        image.save(place / name)
    stats = compute_stats(place)
    names = ["CMYK", "GRAY", "GRAY + alpha", "GRAY 16 bit", "GRAY float", "RGB", "RGBA", "bilevel", "palette"]
    assert list(stats.accumulator.kinds) == names
    with pytest.raises(PreprocError, match=r"expected pictures of one kind, got 1 CMYK, .*: --color RGB or GRAY converts"):
        stats.only()
    stats.save(tmp_path / "s.json")
    with pytest.raises(PreprocError, match="it is of several kinds of pictures; preproc stats --color RGB"):
        preproc.Normalize.from_stats(tmp_path / "s.json")
    converted = compute_stats(place, color="RGB")
    assert {name: kind.images for name, kind in converted.accumulator.kinds.items()} == {"RGB": 7}
    assert [name for name, _ in converted.broken] == [str(place / "deep.png"), str(place / "float.tiff")]
    assert all("expected 8 bits to convert to RGB" in reason for _, reason in converted.broken)
    want = total([of_array(np.asarray(Image.open(place / name).convert("RGB"))) for name in ("rgb.png", "palette.png")])
    assert compute_stats([place / "rgb.png", place / "palette.png"], color="RGB").accumulator.to_bytes() == want.to_bytes()


def test_masks_select_pixels(tmp_path):
    arrays = pictures(5)
    save_all(tmp_path / "p", arrays)
    rng = np.random.default_rng(1)
    masks = [rng.integers(0, 2, array.shape[:2]).astype(np.uint8) * 255 for array in arrays]
    masks[0][:] = 255
    for mask in masks:
        mask[0, 0] = 255
    save_all(tmp_path / "m", masks[:4])
    stats = compute_stats(tmp_path / "p", mask_glob=f"{tmp_path}/m/*.png")
    chosen = np.concatenate([array[mask > 0] for array, mask in zip(arrays[:4], masks[:4], strict=True)]).astype(np.float64)
    assert np.allclose(stats.accumulator.kinds["RGB"].mean(), chosen.mean(axis=0), rtol=1e-14)
    assert stats.accumulator.kinds["RGB"].pixels == len(chosen)
    assert [reason for _, reason in stats.broken] == ["expected a mask called 004, got none"]
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "m" / "004.png")
    Image.fromarray(np.zeros(arrays[3].shape[:2], np.uint8)).save(tmp_path / "m" / "003.png")
    reasons = dict(compute_stats(tmp_path / "p", mask_glob=f"{tmp_path}/m/*.png").broken)
    assert "a mask of the picture's size" in reasons[str(tmp_path / "p" / "004.png")]
    assert "a mask that selects pixels, got one without any" in reasons[str(tmp_path / "p" / "003.png")]
    (tmp_path / "m" / "x").mkdir()
    Image.fromarray(masks[0]).save(tmp_path / "m" / "x" / "000.png")
    reasons = dict(compute_stats(tmp_path / "p", mask_glob=f"{tmp_path}/m/**/*.png").broken)
    assert "in a folder of the same name, for there are several" in reasons[str(tmp_path / "p" / "000.png")]
    with pytest.raises(PreprocError, match="expected masks, got none"):
        compute_stats(tmp_path / "p", mask_glob=f"{tmp_path}/n/*.png")


def deep_png():
    """48 bits, which Pillow opens as 24: its chunks written by hand."""
    import struct
    import zlib

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(26)))
        + chunk(b"IEND", b"")
    )


def bomb():
    """A header that promises 10^10 pixels."""
    data = bytearray(png())
    data[16:24] = (100_000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


BROKEN = {
    "empty.jpg": (b"", "expected an image, got 0 bytes"),
    "text.png": (b"not a picture", "expected an image, got bytes that begin with b'not a pi'"),
    "cut.png": (png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))[:2000], "truncated"),
    "bomb.png": (bomb(), "pixels (Pillow's limit), got more"),
    "deep.png": (deep_png(), "expected pixels that Pillow can read whole, got RGB in 16 bits, which it cuts to 8"),
}


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "tar.gz"])
def test_what_cannot_be_read_is_listed_and_the_rest_is_counted(tmp_path, kind):
    place = save_all(tmp_path / "p", pictures(3))
    for name, (data, _) in BROKEN.items():
        (place / name).write_bytes(data)
    (place / "renamed.jpg").write_bytes(png())  # of another format than its name says: read all the same
    source = place
    if kind == "zip":
        source = tmp_path / "p.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for file in place.iterdir():
                archive.write(file, file.name)
    elif kind != "folder":
        source = tmp_path / f"p.{kind}"
        with tarfile.open(source, "w:gz" if kind.endswith("gz") else "w") as archive:
            for file in sorted(place.iterdir()):
                archive.add(file, file.name)
    stats = compute_stats(source, workers=2)
    assert stats.images == 4
    assert {Path(name).name for name, _ in stats.broken} == set(BROKEN)
    for name, reason in stats.broken:
        assert BROKEN[Path(name).name][1] in reason
        assert "\n" not in reason


def test_memory_is_bounded_whatever_a_tar_holds(tmp_path):
    """A tar of 160 MB of pixels, streamed: no worker needs more than 300 MB."""
    noise = png(np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), dtype=np.uint8), compress_level=0)
    with tarfile.open(tmp_path / "t.tar.gz", "w:gz", compresslevel=0) as archive:
        for number in range(50):
            entry = tarfile.TarInfo(f"{number:03}.png")
            entry.size = len(noise)
            archive.addfile(entry, io.BytesIO(noise))
    code = f"""
import pathlib, re
from preproc.stats.counting import begun
from preproc.stats.places import chunks, find
(chunk,) = chunks(find([{str(tmp_path / "t.tar.gz")!r}]).places, 99)
result = begun({{"color": None, "frames": "all"}})([place.to_json() for place in chunk])
assert result["accumulator"]["RGB"]["images"] == 50, result["broken"]
print(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300_000


def test_a_file_is_what_its_bytes_are(tmp_path):
    array = pictures(1)[0]
    assert Accumulator.of(count_file(png(array), name="x", remarks=Remarks())).to_bytes() == of_array(array).to_bytes()
    assert isinstance(of_array(array.astype(np.float32)).kinds["RGB float"], Moments)
    with pytest.raises(PreprocError, match="finite pixels"):
        of_array(np.full((2, 2), np.nan))
    assert find([save_all(tmp_path / "p", [array])]).places == [Place(str(tmp_path / "p" / "000.png"))]


def test_files_that_are_no_pictures_of_ours(tmp_path):
    place = save_all(tmp_path / "p", pictures(2))
    os.mkfifo(place / "pipe.png")
    (place / "readme.pdf").write_bytes(b"%PDF-1.4")
    (place / "drawing.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    Image.fromarray(np.zeros((4, 720, 3), np.uint8)).save(place / "wide.bmp")  # its lines have 2160 bytes
    stats = compute_stats(place)
    assert stats.images == 3
    assert stats.left_out == {".pdf": 1}
    assert sorted(Path(name).name for name, _ in stats.broken) == ["drawing.png", "pipe.png"]
