"""What is written: looked at before the work, and kept elsewhere where it cannot be written."""

import errno
import os
import sys
import tempfile
from pathlib import Path

import pytest

import preproc
from preproc import cli
from preproc.errors import PreprocError
from preproc.stats import Stats
from preproc.stats.output import check_targets
from tests.stats.making import pictures, run, save_all


@pytest.fixture
def source(tmp_path):
    return save_all(tmp_path / "pictures", pictures(3))


def test_outputs_are_checked_before_anything_is_counted(tmp_path):
    save_all(tmp_path / "p", pictures(2))
    for options in (["-o", tmp_path / "none" / "s.json"], ["-o", tmp_path / "p"], ["--report", tmp_path / "none" / "r.html"]):
        done = run("stats", tmp_path / "p", *options, check=1)
        assert "expected a file's name in a folder that exists" in done.stderr
        assert "RGB" not in done.stdout
    assert "at least 0, got -1" in run("stats", tmp_path / "p", "--allow-errors", "-1", check=1).stderr


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


@pytest.mark.parametrize(
    ("option", "name", "told"),
    [
        ("-o", "none/s.json", "expected a file's name in a folder that exists, got none"),
        ("-o", "s.txt", "expected a name that ends in .json for a stats.json, got .txt"),
        ("-o", "", "got a folder"),
        ("--report", "rep.pdf", "expected a name that ends in .html or .htm for a report, got .pdf"),
        ("--report", "none/rep.html", "expected a file's name in a folder that exists, got none"),
        ("--report", "own.html", "expected a free name, or a report that preproc has written, got another file"),
    ],
)
def test_statistics_look_first(tmp_path, source, monkeypatch, option, name, told, capsys):
    (tmp_path / "own.html").write_text("<html>mine</html>")
    folder = tmp_path / "folder.json"
    folder.mkdir()
    monkeypatch.setattr("preproc.stats.compute_stats", lambda *_, **__: pytest.fail("it was worked on"))
    monkeypatch.setattr(sys, "argv", ["preproc", "stats", str(source), option, str(tmp_path / name if name else folder)])
    with pytest.raises(SystemExit):
        cli.main()
    assert told in capsys.readouterr().err
    assert (tmp_path / "own.html").read_text() == "<html>mine</html>"


def test_a_report_needs_matplotlib_before_it_counts(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PreprocError, match="expected matplotlib for --report"):
        check_targets(None, tmp_path / "r.html")


@pytest.mark.parametrize(
    ("code", "elsewhere"),
    [(errno.ENOSPC, True), (errno.ENOSPC, False), (errno.EIO, True), (errno.ENOENT, True), (errno.ENAMETOOLONG, False)],
)
def test_statistics_that_cannot_be_written_are_kept(tmp_path, source, monkeypatch, capsys, code, elsewhere):
    """The target's disk fills up, breaks or goes away while the pictures are counted; the temporary folder takes them, or stdout."""
    replaced = Path.write_text

    def write_text(self, *arguments, **options):
        if self.parent == tmp_path:
            raise OSError(code, os.strerror(code), str(self))
        return replaced(self, *arguments, **options)

    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary if elsewhere else tmp_path / "nosuch"))
    monkeypatch.setattr(Path, "write_text", write_text)
    monkeypatch.setattr(sys, "argv", ["preproc", "stats", str(source), "-o", str(tmp_path / "s.json")])
    with pytest.raises(SystemExit) as end:
        cli.main()
    out, err = capsys.readouterr()
    assert end.value.code == 1
    assert f"{tmp_path / 's.json'}: expected a place that can be written to, got: {os.strerror(code)}; it is " in err
    if elsewhere:
        (kept,) = temporary.iterdir()
        assert f"in {kept}" in err
        assert "mean 0-1" in out
    else:
        assert "printed instead" in err
        kept = tmp_path / "out.json"
        replaced(kept, out)
    assert Stats.load(kept).accumulator.sha256() == preproc.compute_stats(source).accumulator.sha256()
    assert not list(tmp_path.glob(".s.json*"))
