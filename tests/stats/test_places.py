"""Where pictures are: every way to name them gives the same ones, and what is damaged, repeated or not there is told."""

import gzip
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from preproc.errors import PreprocError
from preproc.stats import compute_stats
from preproc.stats.places import Archives, Place, chunks
from tests.stats.making import pictures, png, save_all, tar_of


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


def test_what_two_sources_name_counts_once(folder, expected):
    assert compute_stats([folder, folder / "a", f"{folder}/b/*.png"]).accumulator.to_bytes() == expected


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


def test_chunks_keep_a_compressed_tar_together():
    places = [Place(f"{number}.png") for number in range(70)] + [Place(f"{number}.png", archive="a.tar.gz") for number in range(40)]
    assert [len(chunk) for chunk in chunks(places, 32)] == [40, 32, 32, 6]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_damaged_headers_repeated_names_and_links_in_tars_are_told(tmp_path, suffix):
    whole = tmp_path / "x.tar"
    tar_of(whole, [(f"{number}.png", png()) for number in range(6)])
    data = bytearray(whole.read_bytes())
    third = data.index(b"3.png")
    data[third + 150] ^= 1  # in its checksum
    damaged = tmp_path / f"damaged{suffix}"
    damaged.write_bytes(gzip.compress(bytes(data)) if suffix.endswith("gz") else bytes(data))
    stats = compute_stats(damaged)
    assert stats.images == 3
    assert "a damaged header at byte" in stats.broken[0][1]
    twice = tmp_path / f"twice{suffix}"
    tar_of(twice, [("a.png", png()), ("a.png", png(np.full((9, 9, 3), 7, np.uint8)))], "w:gz" if suffix.endswith("gz") else "w")
    stats = compute_stats(twice)
    assert (stats.images, stats.accumulator.kinds["RGB"].pixels) == (1, 64)
    assert "got it again; the first counts" in stats.broken[0][1]
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "a.png").write_bytes(png())
    (tmp_path / "t" / "b.png").hardlink_to(tmp_path / "t" / "a.png")
    with tarfile.open(tmp_path / f"links{suffix}", "w:gz" if suffix.endswith("gz") else "w") as archive:
        archive.add(tmp_path / "t", "t")
    stats = compute_stats(tmp_path / f"links{suffix}")
    assert (stats.images, stats.left_out) == (1, {"links": 1})


def test_one_bad_shard_does_not_stop_the_others(tmp_path):
    for number in range(3):
        tar_of(tmp_path / f"{number}.tar", [(f"{number}.png", png())])
    (tmp_path / "3.tar").write_bytes(b"")
    (tmp_path / "4.zip").write_bytes(b"no archive")
    stats = compute_stats([f"{tmp_path}/*.tar", tmp_path / "4.zip"])
    assert stats.images == 3
    assert sorted(Path(name).name for name, _ in stats.broken) == ["3.tar", "4.zip"]


def test_mirrored_masks_and_masks_with_alpha(tmp_path):
    for folder, levels in (("a", 10), ("b", 200)):
        (tmp_path / "p").mkdir(exist_ok=True)
        (tmp_path / "m").mkdir(exist_ok=True)
        save_all(tmp_path / "p" / folder, [np.full((4, 4), levels, np.uint8)])
        mask = np.zeros((4, 4, 4), np.uint8)
        mask[..., 3] = 255
        mask[: 1 if folder == "a" else 2, :, :3] = 255
        save_all(tmp_path / "m" / folder, [mask])
    kind = compute_stats(tmp_path / "p", mask_glob=f"{tmp_path}/m/**/*.png").accumulator.kinds["GRAY"]
    assert (kind.counts[0, 10], kind.counts[0, 200]) == (4, 8)
    shutil.rmtree(tmp_path / "m" / "b")
    stats = compute_stats(tmp_path / "p", mask_glob=f"{tmp_path}/m/**/*.png")
    assert (stats.images, len(stats.broken)) == (1, 1)


def test_large_members_and_many_zips_stay_within_bounds(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.png", b"\0" * 3_000_000)
        archive.writestr("y.png", png())
    monkeypatch.setattr("preproc.stats.places.reading.MOST_BYTES", 1_000_000)
    stats = compute_stats(tmp_path / "bomb.zip")
    assert stats.images == 1
    assert "at most 1,000,000 bytes in an archive, got 3,000,000" in stats.broken[0][1]
    for number in range(20):
        with zipfile.ZipFile(tmp_path / f"{number:02}.zip", "w") as archive:
            archive.writestr("x.png", png())
    with Archives() as archives:
        for number in range(20):
            archives.read(str(tmp_path / f"{number:02}.zip"), "x.png")
            assert len(archives.opened) <= 8


@pytest.mark.parametrize("pattern", ["m", "m/**.png"])
def test_patterns_that_are_none(tmp_path, pattern):
    save_all(tmp_path / "p", pictures(2))
    with pytest.raises(PreprocError, match="expected a pattern"):
        compute_stats(tmp_path / "p", mask_glob=str(tmp_path / pattern))
