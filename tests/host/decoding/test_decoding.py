"""Picture files: every page and frame, each pixel whole or the file refused."""

import io
import json
import struct
import tarfile
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from preproc.errors import PreprocError
from preproc.host.decoding import ImageFile, is_picture, looks_otherwise, orientation, read_array
from preproc.host.decoding import whole as decoding
from preproc.stats import Stats, compute_stats
from tests.commands import run

RNG = np.random.default_rng(3)
DEEP = RNG.integers(48, 4081, (3, 12, 10)).astype(np.uint16)
GRAY = RNG.integers(0, 256, (4, 12, 10), dtype=np.uint8)
COLORS = RNG.integers(0, 256, (3, 12, 10, 3), dtype=np.uint8)
FLAT = np.stack([np.full((12, 10, 3), color, np.uint8) for color in ((255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 200))])


def stack(path, frames, **options):
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=others, **options)
    return path


def counts(frames):
    """What NumPy counts: per channel, how many pixels have each value."""
    bins = 65536 if frames.dtype == np.uint16 else 256
    planes = frames.reshape(-1, frames.shape[3] if frames.ndim == 4 else 1)
    return np.stack([np.bincount(plane, minlength=bins) for plane in planes.T])


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


def test_arrays_are_files_of_pictures(tmp_path):
    six = RNG.integers(0, 256, (4, 12, 10, 6), dtype=np.uint8)
    np.save(tmp_path / "six.npy", six)
    assert compute_stats(f"{tmp_path}/*.npy").accumulator.to_bytes() == compute_stats(six).accumulator.to_bytes()
    first = compute_stats(tmp_path / "six.npy", frames="first")
    assert (first.images, first.skipped[0][0]) == (1, f"{tmp_path}/six.npy[1]")
    Image.fromarray(GRAY[0]).save(tmp_path / "a.png")
    stats = compute_stats(tmp_path)  # may be labels: what is not named itself counts by its suffix
    assert (stats.images, stats.left_out) == (1, {".npy": 1})
    for array, message in (
        (six.transpose(0, 3, 1, 2), "may be (C, H, W): move the channels last"),
        (np.zeros(3), "expected pictures of shape (H, W) or (H, W, C), got (3,)"),
        (np.array([{}]), "expected a .npy file with an array of numbers"),
    ):
        np.save(tmp_path / "x.npy", array, allow_pickle=True)
        told = compute_stats(tmp_path / "x.npy")
        assert told.images == 0
        assert message in told.broken[0][1]
    assert "got a .npy array" in compute_stats(tmp_path / "six.npy", color="RGB").broken[0][1]
    (tmp_path / "cut.npy").write_bytes((tmp_path / "six.npy").read_bytes()[:300])
    with pytest.raises(PreprocError, match=r"expected a \.npy file"):
        read_array(tmp_path / "cut.npy")


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


def test_merging_and_resuming_keep_the_frames(tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "q").mkdir()
    stack(tmp_path / "p" / "a.tif", GRAY)
    stack(tmp_path / "q" / "b.tif", GRAY[:2] // 2)
    whole = compute_stats([tmp_path / "p", tmp_path / "q"])
    compute_stats(tmp_path / "p").save(tmp_path / "all.json")
    compute_stats(tmp_path / "p", frames="first").save(tmp_path / "first.json")
    both = compute_stats([tmp_path / "all.json", tmp_path / "q"])
    assert both.accumulator.to_bytes() == whole.accumulator.to_bytes()
    assert (both.stacks, both.frames) == (2, "all")
    with pytest.raises(PreprocError, match="got all: give --frames first"):
        compute_stats([tmp_path / "first.json", tmp_path / "q"])
    added = compute_stats([tmp_path / "first.json", tmp_path / "q"], frames="first")
    assert (added.images, len(added.skipped), added.stacks) == (2, 4, 0)
    with pytest.raises(PreprocError, match="statistics of the same frames, got"):
        compute_stats([tmp_path / "first.json", compute_and_save(tmp_path / "q", tmp_path / "q.json")])
    data = json.loads((tmp_path / "first.json").read_text())
    for key in ("frames", "skipped", "stacks", "oriented"):
        del data[key]
    (tmp_path / "old.json").write_text(json.dumps(data))
    assert Stats.load(tmp_path / "old.json").frames == "first"  # all that there was
    (tmp_path / "old.json").write_text(json.dumps(data | {"frames": "some"}))
    with pytest.raises(PreprocError, match=r"old\.json: expected a whole stats\.json"):
        Stats.load(tmp_path / "old.json")


def compute_and_save(source, path):
    compute_stats(source).save(path)
    return path


def test_a_sample_is_of_files_and_says_so(tmp_path):
    for number in range(40):
        stack(tmp_path / f"{number:02}.tif", GRAY[: 1 + number % 2])
    done = run("stats", tmp_path, "--sample", "36", check=0)
    assert "a sample of 36 of 40 files, with all their pages and frames" in done.stdout
    assert "pages and frames of one file are not drawn independently" in done.stdout
    assert "+-" not in done.stdout
    stats = compute_stats(tmp_path, sample="36")
    assert 36 < stats.images <= 60
    assert stats.to_json()["intervals"] is None
    assert "+-" in run("stats", tmp_path, "--sample", "36", "--frames", "first", check=0).stdout
    few = run("stats", tmp_path, "--sample", "2", "--frames", "first", check=0).stdout
    assert "can be told from 30 pictures on, got 2" in few
    assert "nan" not in few
    assert "expected at most 100%, got 500%" in run("stats", tmp_path, "--sample", "500%", check=1).stderr
    for wrong in ("nan%", "inf%", "-1%"):
        assert "--sample: expected" in run("stats", tmp_path, "--sample", wrong, check=1).stderr


def test_the_command_tells_what_does_not_count(tmp_path):
    stack(tmp_path / "a.tif", RNG.integers(0, 256, (9, 4, 4), dtype=np.uint8))
    done = run("stats", tmp_path, "--frames", "first", check=0)
    assert f"not counted: {tmp_path}/a.tif[1]: behind the first, which alone is asked for" in done.stdout
    assert "not counted: 3 more pages or frames" in done.stdout
    told = json.loads(run("stats", tmp_path, "--frames", "first", "--json", check=0).stdout)
    assert [entry["name"] for entry in told["skipped"]] == [f"{tmp_path}/a.tif[{number}]" for number in range(1, 9)]
    assert json.loads(run("stats", tmp_path, "--json", check=0).stdout)["kinds"]["GRAY"]["images"] == 9
    assert "expected frames to be one of all, first, got 'last'" in run("stats", tmp_path, "--frames", "last", check=1).stderr


def test_arrays_whose_channels_lie_elsewhere_are_refused():
    batch = COLORS[:, :, :, :]
    first = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
    import torch

    want = compute_stats(batch).accumulator.to_bytes()
    for source in (list(first), [{"pixel_values": picture} for picture in first], [first], first):
        with pytest.raises(PreprocError, match=r"which may be \((N, )?C, H, W\): move the channels last, or say"):
            compute_stats(source)
        assert compute_stats(source, layout="NCHW").accumulator.to_bytes() == want
    for tensors in ([torch.from_numpy(picture) for picture in batch], torch.from_numpy(batch)):
        with pytest.raises(PreprocError, match=r"which may be \((N, )?H, W, C\): move the channels first, or say"):
            compute_stats(tensors)
        assert compute_stats(tensors, layout="NHWC").accumulator.to_bytes() == want
    with pytest.raises(PreprocError, match="expected layout to be one of NHWC, NCHW"):
        compute_stats(batch, layout="CHW")
    with pytest.raises(PreprocError, match="arrays or tensors for a layout, got paths"):
        compute_stats("x", layout="NCHW")
    with pytest.raises(PreprocError, match="expected paths for masks, samples, frames"):
        compute_stats(batch, frames="first")


@pytest.mark.parametrize(
    ("shape", "otherwise"),
    [
        ((20, 30, 3), False),
        ((3, 20, 30), True),
        ((1, 28, 28), True),
        ((13, 64, 64), True),
        ((64, 64, 13), False),
        ((145, 145, 200), False),
        ((3, 640, 3), True),
        ((1, 20, 4), True),
        ((4, 4, 3), False),
        ((640, 3, 3), False),
        ((2, 4, 5, 3), False),
        ((2, 3, 4, 5), True),
    ],
)
def test_where_channels_are_likely(shape, otherwise):
    assert looks_otherwise(shape, first=False) is otherwise
    turned = (*shape[:-3], shape[-1], shape[-2], shape[-3])
    assert looks_otherwise(turned, first=True) is otherwise


def test_an_animated_image_given_in_python_counts_where_it_stands(tmp_path):
    stack(tmp_path / "a.png", COLORS)
    with Image.open(tmp_path / "a.png") as image:
        stats = compute_stats([image])
    assert stats.images == 1
    assert "its frames but the one where it stands, 0" in stats.skipped[0][1]


def test_how_opaque_a_picture_is_does_not_saturate_it():
    clear = np.full((2, 8, 8, 4), 255, np.uint8)
    clear[..., :3] = RNG.integers(40, 200, (2, 8, 8, 3))
    kind = compute_stats(clear).accumulator.kinds["RGBA"]
    assert (kind.saturated, kind.flat) == (0, 0)
    clear[0, :, :, 0] = 0
    assert compute_stats(clear).accumulator.kinds["RGBA"].saturated == 1
    veiled = np.full((1, 8, 8, 4), 100, np.uint8)
    veiled[0, :4, :, 3] = 0
    assert compute_stats(veiled).accumulator.kinds["RGBA"].flat == 1
    assert compute_stats([Image.fromarray(GRAY[0]).convert("LA")]).accumulator.kinds["GRAY + alpha"].saturated == 0


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
