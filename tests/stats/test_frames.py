"""What statistics keep and tell of pages and frames, and of planes beside the colours."""

import json

import numpy as np
import pytest
from PIL import Image

from preproc.errors import PreprocError
from preproc.stats import Stats, compute_stats
from tests.commands import run
from tests.host.decoding.making import GRAY, RNG, stack


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
