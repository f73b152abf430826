"""The statistics: exact against NumPy, the same bits however the work is split, and a clear line for whatever cannot be read."""

import functools
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import preproc
from preproc.errors import PreprocError
from preproc.stats import Stats, StatsInterruptedError, compute, compute_stats, drift, local, page
from preproc.stats.histogram import Accumulator, Histogram, Moments
from preproc.stats.pictures import Told, count_array, count_file
from preproc.stats.report import advice
from preproc.stats.sources import Place, chunks, find
from tests import commands
from tests.conftest import ROOT


def pictures(number=40, *, seed=0, channels=3, top=256):
    """Of different sizes and contrasts."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(number):
        height, width, low = rng.integers(1, 30), rng.integers(1, 30), rng.integers(0, top // 2)
        shape = (height, width, channels) if channels > 1 else (height, width)
        found.append(rng.integers(low, rng.integers(low + 1, top + 1), shape).astype(np.uint8 if top == 256 else np.uint16))
    return found


def save_all(folder, arrays, suffix=".png"):
    folder.mkdir(exist_ok=True)
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"{number:03}{suffix}")
    return folder


def pooled(arrays):
    """(channels, pixels) float64."""
    return np.concatenate([array.reshape(-1, array.shape[2] if array.ndim == 3 else 1) for array in arrays]).T.astype(np.float64)


def of_array(picture):
    return Accumulator.of([count_array(picture)])


def total(parts):
    return functools.reduce(lambda a, b: a + b, parts)


@pytest.mark.parametrize(("channels", "top", "kind"), [(3, 256, "RGB"), (1, 256, "GRAY"), (4, 256, "RGBA"), (1, 65536, "GRAY 16 bit")])
def test_against_numpy_on_all_pixels(tmp_path, channels, top, kind):
    arrays = pictures(channels=channels, top=top)
    stats = compute_stats(save_all(tmp_path / "p", arrays))
    found, values = stats.accumulator.kinds[kind], pooled(arrays)
    assert (found.images, found.pixels) == (len(arrays), values.shape[1])
    assert np.allclose(found.mean(), values.mean(axis=1), rtol=1e-14)
    for correction in (0, 1):
        assert np.allclose(found.std(correction=correction), values.std(axis=1, ddof=correction), rtol=1e-12)
    assert found.range() == list(zip(values.min(axis=1), values.max(axis=1), strict=True))
    for percent in (1, 25, 50, 75, 99, 100):
        assert found.percentile(percent) == np.percentile(values, percent, axis=1, method="inverted_cdf").tolist()
    each = [(pooled([array]).mean(axis=1), pooled([array]).std(axis=1)) for array in arrays]
    for over, own in zip((found.mean_over_images(), found.std_over_images()), zip(*each, strict=True), strict=True):
        assert np.allclose(over.mean, np.mean(own, axis=0), atol=1e-9)
        assert np.allclose(over.spread, np.std(own, axis=0, ddof=1), atol=1e-6)
    assert np.allclose(found.saturation(), np.stack([(values == 0).mean(axis=1), (values == top - 1).mean(axis=1)], axis=1))
    mean, std = stats.mean_and_std()
    assert np.allclose(mean, values.mean(axis=1) / (top - 1))
    assert np.allclose(std, values.std(axis=1) / (top - 1))


def test_the_usual_mistakes_give_other_numbers(tmp_path):
    """The mean of the stds is not the std, and pictures of different sizes do not weigh the same."""
    arrays = pictures()
    found = compute_stats(save_all(tmp_path / "p", arrays)).accumulator.kinds["RGB"]
    assert min(np.array(found.std()) - found.std_over_images().mean) > 5
    assert max(np.abs(np.array(found.mean()) - found.mean_over_images().mean)) > 1


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 3), min_size=12, max_size=12), st.permutations(range(12)), st.sampled_from([256, 65536]))
def test_any_split_in_any_order_gives_the_same_bytes(groups, order, top):
    parts = [of_array(picture) for picture in pictures(12, top=top)]
    together = total(parts)
    split = [[parts[index] for index in order if groups[index] == group] for group in range(4)]
    again = total([total(part) for part in split if part])
    assert again.to_bytes() == together.to_bytes()
    assert Accumulator.from_json(json.loads(together.to_bytes())).to_bytes() == together.to_bytes()
    assert total(parts[1:]).to_bytes() != together.to_bytes()


@settings(deadline=None, max_examples=40)
@given(st.permutations(range(8)), st.integers(1, 7), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_floats_merge_within_the_tolerance(order, cut, shift, scale):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(shift, scale, (5, number + 1, 3)) for number in range(8)]
    parts = [of_array(arrays[index]) for index in order]
    merged = (total(parts[:cut]) + total(parts[cut:])).kinds["RGB float"]
    values = pooled(arrays)
    size = np.abs(values).max()
    assert np.abs(merged.mean - values.mean(axis=1)).max() <= 1e-12 * size
    assert np.abs(np.array(merged.std()) - values.std(axis=1)).max() <= 1e-12 * size
    assert (merged.low == values.min(axis=1)).all()
    assert (merged.high == values.max(axis=1)).all()


def test_ten_to_the_fifteen_pixels_do_not_overflow():
    one = Histogram.of(np.tile(np.bincount([0, 65535, 65535, 65535], minlength=65536), (1, 3, 1)).astype(np.int64))
    many = Histogram(
        one.counts * 2**48,
        2**48,
        *(tuple(value * 2**48 for value in sums) for sums in (one.means, one.stds, one.mean_squares, one.std_squares)),
        0,
        0,
        0,
    )
    assert many.pixels == 2**50 > 1e15
    assert many.mean() == [65535 * 3 / 4] * 3
    assert np.allclose(many.std(), 65535 * np.sqrt(3) / 4, rtol=1e-15)
    assert (many + many).std() == many.std()
    assert Histogram.from_json(json.loads(json.dumps(many.to_json()))).std() == many.std()
    with pytest.raises(PreprocError, match=r"fewer than 2\^63 pixels"):
        _ = (
            Histogram(one.counts * 2**61, 1, one.means, one.stds, one.mean_squares, one.std_squares, 0, 0, 0)
            + one
            + Histogram(one.counts * 2**61, 1, one.means, one.stds, one.mean_squares, one.std_squares, 0, 0, 0)
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """120 files of three kinds, one of three frames, in two levels of folders, with a file that is none."""
    place = tmp_path_factory.mktemp("pictures")
    save_all(place / "a", pictures(59))
    first, *others = [Image.fromarray(frame) for frame in np.random.default_rng(5).integers(0, 256, (3, 8, 9, 3), dtype=np.uint8)]
    first.save(place / "a" / "stack.png", save_all=True, append_images=others)
    save_all(place / "b", pictures(40, seed=1, channels=1))
    save_all(place / "b" / "c", pictures(20, seed=2, channels=1, top=65536))
    (place / "notes.md").write_text("no picture")
    return place


@pytest.fixture(scope="module")
def expected(folder):
    stats = compute_stats(folder, workers=1)
    assert {name: kind.images for name, kind in stats.accumulator.kinds.items()} == {"RGB": 62, "GRAY": 40, "GRAY 16 bit": 20}
    assert stats.left_out == {".md": 1}
    return stats.accumulator.to_bytes()


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("chunk", [1, 7, 200])
def test_workers_and_chunks_do_not_change_a_bit(folder, expected, monkeypatch, workers, chunk):
    monkeypatch.setattr(compute, "CHUNK", chunk)
    assert compute_stats(folder, workers=workers).accumulator.to_bytes() == expected


def archives(folder, place):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(place / "all.zip", "w") as archive:
        for file in files:
            archive.write(file, file.relative_to(folder))
    for name, mode in (("all.tar", "w"), ("all.tar.gz", "w:gz")):
        with tarfile.open(place / name, mode) as archive:
            archive.add(folder, "inside")
    (place / "list.txt").write_text("# all of them\n" + "\n".join(str(file) for file in files if file.suffix == ".png") + "\n\n")


@pytest.mark.parametrize(
    "source", ["all.zip", "all.tar", "all.tar.gz", "list.txt", "file://{folder}", "{folder}/**/*.png", "file://{tmp}/all.tar"]
)
def test_sources(folder, expected, tmp_path, source):
    archives(folder, tmp_path)
    source = source.format(folder=folder, tmp=tmp_path)
    before = sorted(tmp_path.rglob("*"))
    stats = compute_stats(source if "/" in source else tmp_path / source, workers=2)
    assert stats.accumulator.to_bytes() == expected
    assert not stats.broken
    assert sorted(tmp_path.rglob("*")) == before


def test_separate_runs_merge_exactly_and_a_stats_json_is_a_source(folder, expected, tmp_path):
    for name in ("a", "b"):
        compute_stats(folder / name).save(tmp_path / f"{name}.json")
    assert compute_stats([tmp_path / "b.json", tmp_path / "a.json"]).accumulator.to_bytes() == expected
    assert compute_stats([tmp_path / "a.json", folder / "b"]).accumulator.to_bytes() == expected
    with pytest.raises(PreprocError, match="statistics of different pictures to merge, got the same twice"):
        compute_stats([tmp_path / "a.json", tmp_path / "a.json"])
    with pytest.raises(PreprocError, match=r"a\.json: expected pictures converted to GRAY, as is asked for now, got pictures as they are"):
        compute_stats([tmp_path / "a.json", folder / "b"], color="GRAY")
    with pytest.raises(PreprocError, match="a sample to add to some"):
        compute_stats([tmp_path / "a.json", folder / "b"], sample="3")
    assert Stats.load(tmp_path / "a.json").to_json() == compute_stats(tmp_path / "a.json").to_json()


def test_what_two_sources_name_counts_once(folder, expected):
    assert compute_stats([folder, folder / "a", f"{folder}/b/*.png"]).accumulator.to_bytes() == expected


def test_pictures_given_in_python():
    rng = np.random.default_rng(0)
    batch = rng.integers(0, 256, (10, 8, 9, 3), dtype=np.uint8)
    want = total([of_array(picture) for picture in batch]).to_bytes()
    tensors = torch.from_numpy(batch).permute(0, 3, 1, 2)
    dataset = torch.utils.data.TensorDataset(tensors, torch.arange(10))
    for source in (
        batch,
        list(batch),
        tensors,
        dataset,
        torch.utils.data.DataLoader(dataset, batch_size=4),
        [{"image": picture} for picture in batch],
        [(Image.fromarray(picture), 3) for picture in batch],
    ):
        assert compute_stats(source).accumulator.to_bytes() == want
    assert list(compute_stats(batch[..., 0]).accumulator.kinds) == ["GRAY"]
    assert list(compute_stats(tensors / 255).accumulator.kinds) == ["RGB float"]
    assert compute_stats([Image.fromarray(picture) for picture in batch], color="GRAY").only()[0] == "GRAY"
    for wrong, message in (
        ([], "expected pictures, got none"),
        ([3], "expected arrays, tensors or PIL images, got int"),
        ([{"x": batch[0]}], "an item with image, pixel_values or img, got x"),
    ):
        with pytest.raises(PreprocError, match=message):
            compute_stats(wrong)
    assert "uint8, uint16 or floats, got int64" in compute_stats([batch[0].astype(np.int64), batch[0]]).broken[0][1]


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


def test_a_sample_is_unbiased_and_says_how_sure_it_is(tmp_path):
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, 120)
    save_all(tmp_path / "p", [np.full((4, 4), level, np.uint8) for level in levels])
    inside, means, half = [], [], []
    for seed in range(60):
        stats = compute_stats(tmp_path / "p", sample="30%", seed=seed)
        over = stats.accumulator.kinds["GRAY"].mean_over_images()
        assert (over.images, stats.sample.images, stats.sample.population) == (36, 36, 120)
        (margin,) = over.margin(120)
        means.append(over.mean[0])
        inside.append(abs(means[-1] - levels.mean()) <= margin)
        half.append(abs(means[-1] - levels.mean()) <= margin / 2)
    assert np.mean(inside) > 0.85
    assert 0.5 < np.mean(half) < 0.85  # a margin twice too wide would have nearly all in its half
    assert abs(np.mean(means) - levels.mean()) < 4 * np.std(means) / np.sqrt(60)  # unbiased
    assert np.isnan(compute_stats(tmp_path / "p", sample="18").accumulator.kinds["GRAY"].mean_over_images().margin(120)[0])
    told = compute_stats(tmp_path / "p", sample="30%").to_json()["intervals"]["GRAY"]
    assert told["mean_of_stds"] == [0.0]
    assert (
        compute_stats(tmp_path / "p", sample="36", seed=3).accumulator.sha256()
        == compute_stats(tmp_path / "p", sample="30%", seed=3).accumulator.sha256()
    )
    everything = compute_stats(tmp_path / "p", sample="1000").accumulator.kinds["GRAY"]
    assert everything.mean_over_images().margin(120) == [0.0]
    for wrong in ("0", "x", "-3%", "0.01%"):
        with pytest.raises(PreprocError, match="--sample: expected"):
            compute_stats(tmp_path / "p", sample=wrong)


def png(array=None, **options):
    held = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8) if array is None else array).save(held, "PNG", **options)
    return held.getvalue()


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


def test_a_loop_of_links_a_broken_archive_and_nothing_at_all(tmp_path):
    place = save_all(tmp_path / "p", pictures(2))
    (place / "inner").mkdir()
    (place / "inner" / "up").symlink_to(place)
    stats = compute_stats(place)
    assert stats.images == 2
    assert [reason for _, reason in stats.broken] == ["expected a folder, got a link back to one above it; not followed"]
    (tmp_path / "none").mkdir()
    for source, message in (
        (tmp_path / "none", "expected pictures, got none"),
        (tmp_path / "gone", "got nothing there"),
        (f"{tmp_path}/*.bmp", "expected files that match, got none"),
        ("nowhere://x/y", "expected a file system that fsspec knows"),
    ):
        with pytest.raises(PreprocError, match=message):
            compute_stats(source)
    for name in ("x.zip", "x.tar", "x.tar.gz"):
        (tmp_path / name).write_bytes(b"no archive")
        with pytest.raises(PreprocError, match=r"expected a (zip|whole tar) archive"):
            compute_stats(tmp_path / name)
    with tarfile.open(tmp_path / "cut.tar", "w") as archive:
        archive.add(place, "p", recursive=True)
    (tmp_path / "cut.tar").write_bytes((tmp_path / "cut.tar").read_bytes()[:-9000])
    cut = compute_stats(tmp_path / "cut.tar")
    assert [(name, reason) for name, reason in cut.broken if "whole tar archive" in reason]


def alive(*, beside=()):
    """The workers; beside those of these pids, which may be dead and not yet waited for."""
    children = [child for child in psutil.Process().children(recursive=True) if child.pid not in beside]
    return [child for child in children if any("preproc.stats.work" in word for word in child.cmdline())]


def test_a_killed_worker_costs_nothing_but_time(folder, expected, monkeypatch):
    monkeypatch.setattr(compute, "CHUNK", 2)
    killed = []

    def kill(done, _):
        if done in (10, 30):
            killed.append(alive(beside=killed)[0].pid)
            os.kill(killed[-1], signal.SIGKILL)

    stats = compute_stats(folder, workers=2, progress=kill)
    assert len(set(killed)) == 2
    assert stats.accumulator.to_bytes() == expected
    assert not stats.broken
    assert not alive()


DEADLY = """
import os
from preproc.stats import work
real = work.count_file
work.count_file = lambda data, **options: os._exit(1) if str(data).endswith("007.png") else real(data, **options)
work.main()
"""


def test_a_picture_that_decoders_die_of_is_told(tmp_path, monkeypatch):
    arrays = pictures(20)
    monkeypatch.setattr(local, "PROGRAM", DEADLY)
    stats = compute_stats(save_all(tmp_path / "p", arrays), workers=2)
    assert stats.broken == (
        (str(tmp_path / "p" / "007.png"), "expected a picture that can be decoded, got one that the decoder died of, twice"),
    )
    assert stats.accumulator.to_bytes() == total([of_array(array) for number, array in enumerate(arrays) if number != 7]).to_bytes()


def test_dask_gives_the_same_bytes_though_a_worker_is_killed(folder, expected):
    """In a process of its own: distributed starts threads and event loops that do not end at once."""
    code = f"""
import os, signal, psutil
from preproc.stats import compute
from preproc.stats.compute import compute_stats

def kill(done, total, killed=[]):
    if not killed:
        killed.append(next(c.pid for c in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(c.cmdline())))
        os.kill(killed[0], signal.SIGKILL)

if __name__ == "__main__":
    for compute.CHUNK, progress in ((50, lambda done, total: None), (3, kill)):
        stats = compute_stats({str(folder)!r}, workers=2, engine="dask", progress=progress)
        assert not stats.broken
        print(stats.accumulator.sha256())
"""
    import hashlib

    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == [hashlib.sha256(expected).hexdigest()] * 2, done.stderr


run = functools.partial(commands.run, check=0)


@pytest.mark.parametrize(
    "change",
    [
        lambda told: {"mean": [told["mean"][0] + 1e-6, *told["mean"][1:]]},
        lambda told: {"std": [number * 1.0001 for number in told["std"]]},
        lambda told: {"mean": told["mean"][::-1], "std": told["std"][::-1]},
        lambda _: {"color": "BGR"},
    ],
)
def test_numbers_that_the_counts_do_not_give_are_no_constants(tmp_path, change):
    rng = np.random.default_rng(0)
    file = tmp_path / "s.json"
    compute_stats([(rng.integers(0, 250, (20, 30, 3)) // (1, 2, 3)).astype(np.uint8) for _ in range(2)]).save(file)
    told = json.loads(file.read_text())
    assert preproc.Normalize.from_stats(file).mean.flatten().tolist() == pytest.approx(told["mean"])
    file.write_text(json.dumps(told | change(told)))
    with pytest.raises(PreprocError, match=r"expected the mean and std that its counts give, \[.*; write other numbers into the recipe"):
        preproc.Normalize.from_stats(file)


def test_the_command_line(folder, tmp_path):
    out = tmp_path / "s.json"
    told = run("stats", folder / "a", "-o", out, "--workers", "2").stdout
    assert "RGB: 62 pictures" in told
    assert "files with several pages or frames, each of which counts as a picture: 1" in told
    mean = preproc.Normalize.from_stats(out).mean.flatten().tolist()
    assert f"{mean[0]:.6f}" in told
    assert f"{mean[0] * 255:.3f}" in told
    document = json.loads(run("stats", folder / "a", "--json").stdout)
    assert document["accumulator_sha256"] == json.loads(out.read_text())["accumulator_sha256"]
    assert json.loads(run("stats", out, folder / "b", "--json").stdout)["kinds"]["GRAY"]["images"] == 40
    assert "several kinds: nothing is mixed" in run("stats", folder).stdout
    assert "+- " in run("stats", folder / "a", "--sample", "30").stdout


def test_broken_pictures_fail_the_command_unless_allowed(tmp_path):
    place = save_all(tmp_path / "p", pictures(3))
    (place / "x.png").write_bytes(b"")
    done = run("stats", place, "-o", tmp_path / "s.json", check=1)
    assert "x.png: expected an image, got 0 bytes" in done.stderr
    assert "expected pictures that can be read, got 1 that cannot (--allow-errors 1" in done.stderr
    assert Stats.load(tmp_path / "s.json").images == 3
    run("stats", place, "--allow-errors", "1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: expected a folder, a file, an archive, a list or a glob, got nothing there"),
        (["models", "--engine", "spark"], "expected an engine, one of local, dask"),
        (["models", "--color", "BGR"], "expected a colour to convert to, one of RGB, GRAY"),
        (["models", "--workers", "0"], "expected at least one worker"),
        (["models", "--sample", "lots"], "--sample: expected a number of files or a percentage"),
        (["README.md", "-o", "/nowhere/s.json"], "/nowhere"),
        (["pyproject.toml", "--engine", "dask", "--scheduler", "tcp://127.0.0.1:9"], "expected a dask scheduler at tcp://127.0.0.1:9"),
        (["models/digits.stats.json"], "expected a stats.json with an accumulator")
        if False
        else (["constraints.json"], "expected a stats.json"),
    ],
)
def test_a_users_mistake_is_one_line(arguments, message):
    done = run("stats", *arguments, check=1)
    assert message in done.stderr


INTERRUPTED = """
import os, signal, sys, time
from preproc.stats import local
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs, as these tests may be, are born ignoring it
real = local.run

def run(*arguments, **options):
    for number, found in enumerate(real(*arguments, **options)):
        yield found
        if number == 1:
            os.killpg(0, signal.SIGINT)  # as a terminal does
            time.sleep(20)

local.run = run
from preproc.cli import main
main()
"""


def test_ctrl_c_leaves_a_valid_partial_file(folder, expected, tmp_path):
    out = tmp_path / "s.json"
    command = [sys.executable, "-c", INTERRUPTED, "stats", folder, "-o", out, "--workers", "2"]
    start = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, start_new_session=True)
    assert time.monotonic() - start < 15
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    stats = Stats.load(out)
    assert f"interrupted; {stats.images} pictures are counted, in {out}, which says so" in done.stderr
    assert (stats.partial, stats.images - 2 * stats.stacks, len(stats.remaining)) == (True, 64, 56)  # one file has three frames
    with pytest.raises(PreprocError, match="got those of an interrupted run"):
        preproc.Normalize.from_stats(out)
    run("stats", out, folder, "-o", out)
    assert Stats.load(out).accumulator.to_bytes() == expected
    assert not Stats.load(out).partial


def test_ctrl_c_in_python_keeps_what_was_done_and_the_rest_can_follow(folder, expected, tmp_path):
    def interrupt(done, _):
        if done >= 40:
            raise KeyboardInterrupt

    with pytest.raises(StatsInterruptedError) as caught:
        compute_stats(folder, workers=1, progress=interrupt)
    assert caught.value.stats.partial
    assert 40 <= caught.value.stats.images < 120
    assert not alive()
    caught.value.stats.save(tmp_path / "s.json")
    assert compute_stats([tmp_path / "s.json", folder / "b" / "c"]).partial
    with pytest.raises(PreprocError, match=r"expected some of the .* pictures that remain, got none"):
        compute_stats([tmp_path / "s.json", save_all(tmp_path / "others", pictures(1))])
    whole = compute_stats([tmp_path / "s.json", folder])
    assert whole.accumulator.to_bytes() == expected
    assert not whole.partial


def changed(change):
    def apply(data):
        change(data)
        return data

    return apply


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            changed(lambda data: data["accumulator"]["RGB"]["counts"][0].__setitem__(3, 7)),
            "as many pixels and sums for each channel|another sha256",
        ),
        (changed(lambda data: data["accumulator"]["RGB"].__setitem__("images", 7)), "another sha256"),
        (changed(lambda data: data.__setitem__("accumulator", 3)), "an accumulator of preproc stats|whole stats.json"),
        (changed(lambda data: data["accumulator"]["RGB"].__delitem__("stds")), "an accumulator of preproc stats"),
        (changed(lambda data: data.__delitem__("decoder")), "expected a whole stats.json"),
        (changed(lambda data: data.__setitem__("version", 9)), "expected version 1, got 9; use a newer preproc"),
        (changed(lambda data: data.__setitem__("format", "x")), "got something else"),
    ],
)
def test_a_changed_stats_json_is_refused(tmp_path, change, message):
    compute_stats(pictures(2)).save(tmp_path / "s.json")
    (tmp_path / "s.json").write_text(json.dumps(change(json.loads((tmp_path / "s.json").read_text()))))
    with pytest.raises(PreprocError, match=message):
        Stats.load(tmp_path / "s.json")


def test_samples_and_other_colours_do_not_merge(tmp_path):
    place = save_all(tmp_path / "p", pictures(5))
    sample, plain, gray = compute_stats(place, sample="2"), compute_stats(place), compute_stats(place, color="GRAY")
    with pytest.raises(PreprocError, match="statistics of everything to merge, got those of a sample"):
        _ = sample + plain
    with pytest.raises(PreprocError, match="converted to one colour, got none and GRAY"):
        _ = plain + gray


def test_drift(tmp_path):
    arrays = pictures(30, seed=3)
    darker = [np.where(array > 20, array - 20, 0).astype(np.uint8) for array in arrays]
    old, new = compute_stats(arrays, layout="NHWC"), compute_stats(darker, layout="NHWC")  # one of them is 3 pixels high
    rows, alone = drift(old, new)
    assert not alone
    assert [row.channel for row in rows] == ["R", "G", "B"]
    a, b = pooled(arrays), pooled(darker)
    for number, row in enumerate(rows):
        spread = np.sqrt((a[number].var() + b[number].var()) / 2)
        assert row.effect == pytest.approx((b[number].mean() - a[number].mean()) / spread)
        assert row.distance == pytest.approx(np.abs(np.sort(a[number]) - np.sort(b[number])).mean() / 255)
    assert all(row.effect == row.distance == 0 for row in drift(old, old)[0])
    old.save(tmp_path / "a.json")
    new.save(tmp_path / "b.json")
    (new + compute_stats(pictures(2, channels=1))).save(tmp_path / "c.json")
    assert "effect size" in run("stats-diff", tmp_path / "a.json", tmp_path / "b.json").stdout
    run("stats-diff", tmp_path / "a.json", tmp_path / "b.json", "--fail-above", "0.5")
    done = run("stats-diff", tmp_path / "a.json", tmp_path / "b.json", "--fail-above", "0.01", check=1)
    assert "expected moves of at most 0.01 stds, got 0." in done.stderr
    done = run("stats-diff", tmp_path / "b.json", tmp_path / "c.json", "--fail-above", "0.5", "--json", check=1)
    assert json.loads(done.stdout)["alone"] == ["2 pictures are GRAY in the second and none in the first"]


def test_advice_says_what_it_is_computed_from():
    rng = np.random.default_rng(0)
    flat = [np.full((8, 8, 3), 200, np.uint8) + rng.integers(0, 2, (8, 8, 3), dtype=np.uint8) for _ in range(10)]
    gray = [np.repeat(rng.integers(0, 256, (8, 8, 1), dtype=np.uint8), 3, axis=2) for _ in range(10)]
    white = [np.where(rng.random((8, 8, 3)) < 0.5, 255, 100).astype(np.uint8) for _ in range(10)]
    told = "\n".join(advice(compute_stats([*flat, *gray, *white])))
    for words in (
        "10 of 30 RGB pictures, 33%, are nearly flat",
        "10 of 30 RGB pictures, 33%, are alike in all channels",
        "10 of 30 RGB pictures, 33%, are saturated",
    ):
        assert words in told
    mean = compute_stats([*flat, *gray, *white]).mean_and_std()[0]
    assert f"({(mean[0] - 0.485) / 0.229:.3f}, " in told
    assert "keeps the constants it was trained with" in told
    assert "several kinds (1 GRAY, 1 RGB)" in "\n".join(advice(compute_stats([flat[0], flat[0][..., 0]])))


def test_advice_on_twelve_bits_of_sixteen():
    """They are no flat pictures: a part of the range is used."""
    rng = np.random.default_rng(0)
    told = "\n".join(advice(compute_stats([rng.integers(0, 4081, (16, 16, 1)).astype(np.uint16) for _ in range(3)])))
    assert "12 bits of 16 are used" in told
    assert 'step = "min_max_scale", low = 0, high = 4095' in told
    assert "nearly flat" not in told
    whole = "\n".join(advice(compute_stats([np.full((16, 16, 1), 40000, np.uint16) for _ in range(3)])))
    assert "nearly flat" in whole
    assert "bits of 16" not in whole


def test_the_report_is_one_page_that_needs_no_network(tmp_path):
    place = save_all(tmp_path / "<p>", pictures(5))
    run("stats", place, "--report", tmp_path / "r.html")
    told = (tmp_path / "r.html").read_text()
    assert "&lt;p&gt;" in told
    assert "<p>/" not in told
    assert told.count("data:image/png;base64,") == 2
    assert "http" not in told.replace("base64", "")
    assert page(compute_stats(pictures(3))).count("data:image/png;base64,") == 1


def test_the_page_opens_in_a_browser(tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed")
    (tmp_path / "r.html").write_text(page(compute_stats(pictures(3))), encoding="utf-8")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
    ]
    flags += ["--disable-sync", f"--user-data-dir={tmp_path}/profile", "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom"]
    done = subprocess.run([browser, *flags, f"file://{tmp_path}/r.html"], capture_output=True, text=True, timeout=90, check=True)
    assert "Training from scratch" in done.stdout
    assert "how often each value occurs" in done.stdout


def test_memory_is_bounded_whatever_a_tar_holds(tmp_path):
    """A tar of 160 MB of pixels, streamed: no worker needs more than 300 MB."""
    noise = png(np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), dtype=np.uint8), compress_level=0)
    with tarfile.open(tmp_path / "t.tar.gz", "w:gz", compresslevel=1) as archive:
        for number in range(50):
            entry = tarfile.TarInfo(f"{number:03}.png")
            entry.size = len(noise)
            archive.addfile(entry, io.BytesIO(noise))
    code = f"""
import pathlib, re
from preproc.stats.sources import chunks, find
from preproc.stats.work import run_chunk
(chunk,) = chunks(find([{str(tmp_path / "t.tar.gz")!r}]).places)
result = run_chunk([place.to_json() for place in chunk], None)
assert result["accumulator"]["RGB"]["images"] == 50, result["broken"]
print(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300_000


def test_chunks_keep_a_compressed_tar_together():
    places = [Place(f"{number}.png") for number in range(70)] + [Place(f"{number}.png", archive="a.tar.gz") for number in range(40)]
    assert [len(chunk) for chunk in chunks(places)] == [40, 32, 32, 6]


def test_a_file_is_what_its_bytes_are(tmp_path):
    array = pictures(1)[0]
    assert Accumulator.of(count_file(png(array), name="x", told=Told())).to_bytes() == of_array(array).to_bytes()
    assert isinstance(of_array(array.astype(np.float32)).kinds["RGB float"], Moments)
    with pytest.raises(PreprocError, match="finite pixels"):
        of_array(np.full((2, 2), np.nan))
    assert find([save_all(tmp_path / "p", [array])]).places == [Place(str(tmp_path / "p" / "000.png"))]
