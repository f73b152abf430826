"""Advice and the report: one page that needs no network."""

import os
import shutil
import subprocess

import numpy as np
import pytest

from preproc.stats import compute_stats
from preproc.stats.output import report_page
from preproc.stats.output.advice import advice
from tests.stats.making import pictures, png, run, save_all


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
    assert report_page(compute_stats(pictures(3))).count("data:image/png;base64,") == 1


def test_the_page_opens_in_a_browser(tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed")
    (tmp_path / "r.html").write_text(report_page(compute_stats(pictures(3))), encoding="utf-8")
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


def test_odd_names_end_neither_lines_nor_the_report(tmp_path):
    place = save_all(tmp_path / "p", pictures(2))
    (place / "a$\\foo$.png").write_bytes(png())
    (place / "bad\npreproc: error: forged.png").write_bytes(b"x")
    (place / os.fsdecode(b"not \xff text.png")).write_bytes(png())
    done = run("stats", place, "--report", tmp_path / "r.html", check=1)
    assert not any(line.startswith("preproc: error: forged") for line in done.stderr.splitlines())
    assert (tmp_path / "r.html").read_text(encoding="utf-8").endswith("</html>\n")
