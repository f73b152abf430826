"""Every page and frame of a file is a picture, or it is told why it is none."""

import struct
import tarfile
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image, features

from preproc.host.decoding import ImageFile
from preproc.stats import compute_stats
from tests.host.decoding.making import COLORS, DEEP, FLAT, GRAY, RNG, counts, stack

STACKS = {
    "pages.tif": (GRAY, "GRAY", {}),
    "deep.tif": (DEEP, "GRAY 16 bit", {}),
    "colors.tiff": (COLORS, "RGB", {"compression": "tiff_lzw"}),
    "floats.tif": (DEEP.astype(np.float32), "GRAY float", {}),
    "animated.png": (COLORS, "RGB", {}),
    "gray.png": (GRAY, "GRAY", {}),
    "animated.webp": (COLORS, "RGB", {"lossless": True}),
    "animated.gif": (FLAT, "RGB", {}),
}


@pytest.mark.parametrize("name", STACKS)
def test_every_page_and_frame_is_a_picture(tmp_path, name):
    frames, kind, options = STACKS[name]
    if name.endswith("webp") and not features.check("webp"):
        pytest.skip("this Pillow reads no WebP")
    stack(tmp_path / name, frames, **options)
    stats = compute_stats(tmp_path)
    assert {name: found.images for name, found in stats.accumulator.kinds.items()} == {kind: len(frames)}
    assert (stats.stacks, stats.skipped, stats.broken) == (1, (), ())
    found = stats.accumulator.kinds[kind]
    if kind.endswith("float"):
        assert found.mean[0] == pytest.approx(frames.mean(dtype=np.float64), rel=1e-12)
    else:
        assert np.array_equal(found.counts, counts(frames))
    first = compute_stats(tmp_path, frames="first")
    assert (first.images, first.stacks) == (1, 0)
    assert [name for name, _ in first.skipped] == [f"{tmp_path / name}[{number}]" for number in range(1, len(frames))]
    with ImageFile(tmp_path / name) as file:
        assert [file.name(number) for number in file.numbers] == [f"[{number}]" for number in range(len(frames))]


def test_pages_of_several_sizes_and_kinds(tmp_path):
    pages = [Image.fromarray(GRAY[0]), Image.fromarray(COLORS[0, :5]), Image.fromarray(DEEP[0, :, :3])]
    pages[0].save(tmp_path / "mixed.tif", save_all=True, append_images=pages[1:])
    kinds = compute_stats(tmp_path).accumulator.kinds
    assert {name: (kind.images, kind.pixels) for name, kind in kinds.items()} == {"GRAY": (1, 120), "RGB": (1, 50), "GRAY 16 bit": (1, 36)}


def test_frames_of_a_gif_are_one_kind(tmp_path):
    """Pillow gives the first as indices into a palette, the others in colours."""
    stack(tmp_path / "a.gif", FLAT)
    Image.fromarray(FLAT[0]).save(tmp_path / "still.gif")
    assert {name: kind.images for name, kind in compute_stats(tmp_path).accumulator.kinds.items()} == {"RGB": 4, "palette": 1}
    assert {name: kind.images for name, kind in compute_stats(tmp_path, color="RGB").accumulator.kinds.items()} == {"RGB": 5}


def archive(folder, kind):
    files = sorted(path for path in folder.iterdir() if path.is_file())
    source = folder / f"all.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(source, "w") as made:
            for file in files:
                made.write(file, file.name)
    else:
        with tarfile.open(source, "w:gz" if kind.endswith("gz") else "w") as made:
            for file in files:
                made.add(file, file.name)
    return source


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "remote"])
def test_stacks_in_archives_and_elsewhere(tmp_path, kind):
    stack(tmp_path / "pages.tif", GRAY)
    stack(tmp_path / "animated.png", GRAY[:2])
    want = compute_stats(tmp_path)
    assert want.images == 6
    source = f"file://{tmp_path}" if kind == "remote" else archive(tmp_path, kind)
    stats = compute_stats(source, workers=2)
    assert stats.accumulator.to_bytes() == want.accumulator.to_bytes()
    first = compute_stats(source, frames="first")
    assert (first.images, len(first.skipped)) == (2, 4)
    prefix = f"file://{tmp_path}/" if kind == "remote" else f"{source}/"
    assert first.skipped[0][0] == f"{prefix}animated.png[1]"


def test_masks_have_as_many_frames(tmp_path):
    masks = RNG.integers(0, 2, GRAY.shape).astype(np.uint8) * 255
    masks[:, 0, 0] = 255
    (tmp_path / "p").mkdir()
    (tmp_path / "m").mkdir()
    stack(tmp_path / "p" / "a.tif", GRAY)
    stack(tmp_path / "m" / "a.tif", masks)
    stats = compute_stats(tmp_path / "p", mask_glob=f"{tmp_path}/m/*")
    assert stats.images == 4
    assert np.array_equal(stats.accumulator.kinds["GRAY"].counts[0], np.bincount(GRAY[masks > 0], minlength=256))
    stack(tmp_path / "m" / "a.tif", masks[:3])
    stats = compute_stats(tmp_path / "p", mask_glob=f"{tmp_path}/m/*")
    assert stats.images == 0
    assert stats.broken == ((str(tmp_path / "p" / "a.tif"), "expected a mask with as many frames as the picture, 4, got 3"),)


def test_a_broken_page_is_told_by_its_number(tmp_path):
    data = bytearray(stack(tmp_path / "a.tif", COLORS, compression="tiff_deflate").read_bytes())
    with ImageFile(tmp_path / "a.tif") as file:
        file.image.seek(1)
        start = file.image.tag_v2[273][0]
    data[start : start + 8] = b"\xff" * 8
    (tmp_path / "a.tif").write_bytes(data)
    stats = compute_stats(tmp_path)
    assert stats.images == 2  # the others are not drawn upon it
    assert [name for name, _ in stats.broken] == [f"{tmp_path}/a.tif[1]"]
    animated = bytearray(stack(tmp_path / "a.png", COLORS).read_bytes())
    second = animated.index(b"fdAT") + 8
    animated[second : second + 8] = b"\xff" * 8
    (tmp_path / "a.png").write_bytes(animated)
    (tmp_path / "a.tif").unlink()
    stats = compute_stats(tmp_path)
    assert stats.images == 1
    assert [name for name, _ in stats.broken] == [f"{tmp_path}/a.png[1]", f"{tmp_path}/a.png[2]"]
    assert "the frames before it, which it is drawn upon" in stats.broken[1][1]


def tagged(path, tag, value):
    """A TIFF of two pages, the second with that tag."""
    data = stack(path, GRAY[:2], tiffinfo={254: 2}).read_bytes()
    entry = struct.pack("<HHII", 254, 4, 1, 2)
    assert data.count(entry) == 2
    last = data.rindex(entry)
    path.write_bytes(data[:last] + struct.pack("<HHII", tag, 4, 1, value) + data[last + len(entry) :])


@pytest.mark.parametrize(("tag", "value", "reason"), [(254, 1, "in fewer pixels"), (254, 4, "a mask"), (255, 2, "in fewer pixels")])
def test_pages_that_are_no_pictures_of_their_own(tmp_path, tag, value, reason):
    tagged(tmp_path / "a.tif", tag, value)
    stats = compute_stats(tmp_path)
    assert stats.images == 1
    assert np.array_equal(stats.accumulator.kinds["GRAY"].counts, counts(GRAY[:1]))
    ((name, why),) = stats.skipped
    assert name == f"{tmp_path}/a.tif[1]"
    assert reason in why
    tagged(tmp_path / "a.tif", 254, 2)  # one page of several
    assert compute_stats(tmp_path).images == 2


def test_previews_in_a_jpeg_file_are_told(tmp_path):
    stack(tmp_path / "a.mpo", COLORS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(tmp_path / "a.mpo") as image:
            if image.format != "MPO":
                pytest.skip("this Pillow (11.0) writes MPO files that it calls malformed")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.mpo").read_bytes())  # as telephones write them
    stats = compute_stats(tmp_path)
    assert stats.images == 2
    assert len(stats.skipped) == 4
    assert "no picture of its own: Undefined in a JPEG file" in stats.skipped[0][1]
    pair = (tmp_path / "a.mpo").read_bytes()
    with Image.open(tmp_path / "a.mpo") as image:
        position = pair.index(struct.pack("<I", image.mpinfo[0xB002][1]["Size"])) - 4
    stereo = pair[:position] + struct.pack("<I", 0x020002) + pair[position + 4 :]
    (tmp_path / "a.jpg").write_bytes(stereo)
    assert compute_stats(tmp_path / "a.jpg").images == 2


def test_an_animated_image_given_in_python_counts_where_it_stands(tmp_path):
    stack(tmp_path / "a.png", COLORS)
    with Image.open(tmp_path / "a.png") as image:
        stats = compute_stats([image])
    assert stats.images == 1
    assert "its frames but the one where it stands, 0" in stats.skipped[0][1]
