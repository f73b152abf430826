"""preproc stats as it is typed."""

import json

import pytest

import preproc
from preproc.stats import Stats
from tests.stats.making import pictures, run, save_all


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
        (["constraints.json"], "expected a stats.json"),
    ],
)
def test_a_users_mistake_is_one_line(arguments, message):
    done = run("stats", *arguments, check=1)
    assert message in done.stderr


def test_a_scheduler_that_is_not_there_is_one_line(monkeypatch):
    """dask asks again until its time is over; here that is a second."""
    distributed = pytest.importorskip("distributed")
    real = distributed.Client
    monkeypatch.setattr(distributed, "Client", lambda where, **_: real(where, timeout="1s"))
    done = run("stats", "pyproject.toml", "--engine", "dask", "--scheduler", "tcp://127.0.0.1:9", check=1)
    assert "expected a dask scheduler at tcp://127.0.0.1:9, got: " in done.stderr
