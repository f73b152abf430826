"""Drift: against NumPy, and as a threshold."""

import json

import numpy as np
import pytest

from preproc.stats import compute_stats, drift
from tests.stats.making import pictures, pooled, run


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
