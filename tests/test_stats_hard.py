"""Statistics of what is hard to read: damaged archives, links, pipes, masks, odd names, and files that others wrote to mislead."""

import gzip
import hashlib
import io
import json
import math
import os
import shutil
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from preproc.errors import PreprocError
from preproc.stats import Stats, StatsInterruptedError, compute_stats
from preproc.stats.histogram import Accumulator, Moments
from preproc.stats.work import Archives
from preproc.steps import Normalize
from tests.commands import run
from tests.test_stats import pictures, png, save_all


def tar_of(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


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


def test_what_is_counted_already_is_not_counted_again(tmp_path):
    save_all(tmp_path / "p", pictures(4))
    compute_stats(tmp_path / "p").save(tmp_path / "s.json")
    with pytest.raises(PreprocError, match="which the statistics hold already"):
        compute_stats([tmp_path / "s.json", tmp_path / "p"])
    assert compute_stats([tmp_path / "p", f"{tmp_path}/p/../p"]).images == 4
    (tmp_path / "p" / "real").mkdir()
    save_all(tmp_path / "p" / "real", pictures(2))
    for name in "abcdef":
        (tmp_path / "p" / name).symlink_to(tmp_path / "p" / "real")
    assert compute_stats(tmp_path / "p").images == 6


def test_a_resumed_run_takes_new_sources_and_keeps_its_masks(tmp_path):
    save_all(tmp_path / "p", pictures(6))
    save_all(tmp_path / "q", pictures(3, seed=9))
    (tmp_path / "p" / "note.md").write_text("x")
    whole = compute_stats(tmp_path / "p")
    part = replace(compute_stats([tmp_path / "p" / "000.png", tmp_path / "p" / "001.png"]), sources=(str(tmp_path / "p"),))
    replace(part, remaining=tuple(str(tmp_path / "p" / f"00{number}.png") for number in range(2, 6)), left_out=whole.left_out).save(
        tmp_path / "part.json"
    )
    both = compute_stats([tmp_path / "part.json", tmp_path / "p", tmp_path / "q"])
    assert both.images == 9
    assert not both.partial
    assert both.left_out == whole.left_out
    assert both.sources == (str(tmp_path / "p"), str(tmp_path / "q"))
    assert both.accumulator.to_bytes() == (whole.accumulator + compute_stats(tmp_path / "q").accumulator).to_bytes()
    with pytest.raises(PreprocError, match="the masks of the statistics that are added to, none, got"):
        compute_stats([tmp_path / "part.json", tmp_path / "p"], mask_glob=f"{tmp_path}/m/*.png")


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


def test_large_members_and_many_zips_stay_within_bounds(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.png", b"\0" * 3_000_000)
        archive.writestr("y.png", png())
    monkeypatch.setattr("preproc.stats.work.MOST_BYTES", 1_000_000)
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


HOSTILE = {
    "endless left_out": lambda data: data | {"left_out": {".x": math.inf}},
    "nobody sampled": lambda data: data | {"sample": {"images": 1, "population": 0, "seed": 0}},
    "sampled words": lambda data: data | {"sample": {"images": "a", "population": 2, "seed": 0}},
    "another mean": lambda data: data | {"mean": [0.9, 0.9, 0.9]},
    "text for a list": lambda data: data | {"remaining": "abc"},
    "no pictures": lambda data: data | {"accumulator": {"RGB": data["accumulator"]["RGB"] | {"images": 0}}},
    "fewer than none": lambda data: data | {"accumulator": {"RGB": data["accumulator"]["RGB"] | {"images": -1}}},
    "squares below 0": lambda data: data | {"accumulator": {"RGB": data["accumulator"]["RGB"] | {"mean_squares": [-1, 0, 0]}}},
    "too few pictures": lambda data: data | {"accumulator": {"RGB": data["accumulator"]["RGB"] | {"images": 1}}},
    "huge sums": lambda data: data | {"accumulator": {"RGB": data["accumulator"]["RGB"] | {"means": [10**400] * 3}}},
    "no pixels": lambda data: data | {"accumulator": {"RGB": data["accumulator"]["RGB"] | {"counts": [[0] * 256] * 3}}},
    "no name": lambda data: data | {"accumulator": {"": data["accumulator"]["RGB"]}},
    "ragged": lambda data: data | {"accumulator": {"RGB": {"images": 1, "pixels": 1, "mean": [1], "m2": [1, 2]}}},
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_stats_json_from_elsewhere_is_refused_in_one_line(tmp_path, change):
    save_all(tmp_path / "p", pictures(3))
    compute_stats(tmp_path / "p", color="RGB").save(tmp_path / "s.json")
    data = change(json.loads((tmp_path / "s.json").read_text()))
    text = json.dumps(data["accumulator"], sort_keys=True, separators=(",", ":"))
    data["accumulator_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (tmp_path / "s.json").write_text(json.dumps(data))
    with pytest.raises(PreprocError, match=r"s\.json: expected"):
        Stats.load(tmp_path / "s.json")


def test_deep_json_and_mixed_kinds_are_refused(tmp_path):
    (tmp_path / "s.json").write_text("[" * 200_000)
    with pytest.raises(PreprocError, match=r"expected a stats\.json"):
        Stats.load(tmp_path / "s.json")
    one = compute_stats(np.zeros((1, 4, 4, 3), np.uint8)).accumulator
    with pytest.raises(PreprocError, match="one of each"):
        one + Accumulator({"RGB": Moments.of(np.ones((3, 4)))})


def test_python_sources_of_all_sorts():
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            yield from (torch.full((3, 4, 4), number, dtype=torch.uint8) for number in range(5))

    assert compute_stats(torch.utils.data.DataLoader(Stream(), batch_size=2)).images == 5
    assert compute_stats([torch.zeros(3, 4, 4, dtype=torch.bfloat16)]).images == 1
    with pytest.raises(PreprocError, match=r"one picture is array\[None\]"):
        compute_stats(np.zeros((40, 50, 3), np.uint8))
    assert "squares are finite" in compute_stats([np.array([[1e200, -1e200]])]).broken[0][1]
    levels = compute_stats([np.full((4, 4, 3), 130.0)])
    assert "unit" not in levels.to_json()

    def interrupted():
        yield from np.zeros((3, 4, 4), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(StatsInterruptedError) as stopped:
        compute_stats(interrupted())
    assert (stopped.value.stats.images, stopped.value.stats.partial) == (3, True)


def test_outputs_are_checked_before_anything_is_counted(tmp_path):
    save_all(tmp_path / "p", pictures(2))
    for options in (["-o", tmp_path / "none" / "s.json"], ["-o", tmp_path / "p"], ["--report", tmp_path / "none" / "r.html"]):
        done = run("stats", tmp_path / "p", *options, check=1)
        assert "expected a file's name in a folder that exists" in done.stderr
        assert "RGB" not in done.stdout
    assert "at least 0, got -1" in run("stats", tmp_path / "p", "--allow-errors", "-1", check=1).stderr


def test_odd_names_end_neither_lines_nor_the_report(tmp_path):
    place = save_all(tmp_path / "p", pictures(2))
    (place / "a$\\foo$.png").write_bytes(png())
    (place / "bad\npreproc: error: forged.png").write_bytes(b"x")
    (place / os.fsdecode(b"not \xff text.png")).write_bytes(png())
    done = run("stats", place, "--report", tmp_path / "r.html", check=1)
    assert not any(line.startswith("preproc: error: forged") for line in done.stderr.splitlines())
    assert (tmp_path / "r.html").read_text(encoding="utf-8").endswith("</html>\n")


def test_a_threshold_sees_more_than_the_mean(tmp_path):
    near = np.tile(np.array([127, 129], np.uint8), (4, 4))
    far = np.tile(np.array([1, 255], np.uint8), (4, 4))
    for name, picture in (("near", near), ("far", far)):
        compute_stats([picture]).save(tmp_path / f"{name}.json")
    done = run("stats-diff", tmp_path / "near.json", tmp_path / "far.json", "--fail-above", "0.5", check=1)
    assert "expected moves of at most 0.5 stds" in done.stderr
    assert "at least 0, got nan" in run("stats-diff", tmp_path / "near.json", tmp_path / "far.json", "--fail-above", "nan", check=1).stderr
    flat = compute_stats([np.zeros((4, 4), np.uint8)])
    flat.save(tmp_path / "flat.json")
    compute_stats([np.ones((4, 4), np.uint8)]).save(tmp_path / "one.json")
    told = json.loads(
        run("stats-diff", tmp_path / "flat.json", tmp_path / "one.json", "--json", check=0).stdout, parse_constant=pytest.fail
    )
    assert told["largest"] is None


def test_nothing_but_our_own_files_is_written_over(tmp_path):
    place = save_all(tmp_path / "p", pictures(2))
    (tmp_path / "recipe.toml").write_text("mine")
    run("stats", place, "-o", tmp_path / "s.json", "--report", tmp_path / "r.html", check=0)
    run("stats", place, "-o", tmp_path / "s.json", "--report", tmp_path / "r.html", check=0)
    for options in (
        ["-o", tmp_path / "recipe.toml"],
        ["-o", place / "000.png"],
        ["--report", tmp_path / "s.json"],
        ["-o", tmp_path / "r.html"],
    ):
        assert "expected a free name, or" in run("stats", place, *options, check=1).stderr
    assert "two names" in run("stats", place, "-o", tmp_path / "x.html", "--report", tmp_path / "x.html", check=1).stderr
    assert (tmp_path / "recipe.toml").read_text() == "mine"
    before = (tmp_path / "s.json").read_text()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.png").write_bytes(b"x")
    run("stats", tmp_path / "bad", "-o", tmp_path / "s.json", check=1)
    assert (tmp_path / "s.json").read_text() == before  # there was nothing to keep
    assert "with --engine dask only" in run("stats", place, "--scheduler", "tcp://x:1", check=1).stderr


def test_small_samples_and_the_like_are_no_constants(tmp_path):
    save_all(tmp_path / "p", pictures(40))
    compute_stats(tmp_path / "p", sample="5").save(tmp_path / "few.json")
    with pytest.raises(PreprocError, match=r"few\.json: expected statistics of everything, or of a sample of at least 30"):
        Normalize.from_stats(tmp_path / "few.json")
    compute_stats(tmp_path / "p", sample="35").save(tmp_path / "many.json")
    assert len(Normalize.from_stats(tmp_path / "many.json").mean) == 3
    with pytest.raises(PreprocError, match=r"the path of a stats\.json, got a Stats; its save\(\) writes one"):
        Normalize.from_stats(compute_stats(tmp_path / "p"))
    with pytest.raises(PreprocError, match="move the channels last"):
        compute_stats(np.zeros((5, 3, 20, 24), np.uint8))
