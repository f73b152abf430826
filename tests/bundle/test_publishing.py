"""A bundle is published at once or not at all, whatever ends a process; nothing else is replaced or swept away."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from preproc.bundle import open_bundle, publishing
from preproc.bundle.publishing import recover
from preproc.errors import BundleError
from tests.conftest import ROOT
from tests.folders import names

KILLED = """
import os, pathlib, sys
from preproc.bundle import publishing
real, moves = pathlib.Path.rename, []
def rename(self, target):
    if len(moves) == int(sys.argv[2]):
        os._exit(9)
    moves.append(target)
    return real(self, target)
pathlib.Path.rename = rename
with publishing(pathlib.Path(sys.argv[1])) as new:
    (new / "manifest.json").write_text("new")
"""


@pytest.mark.parametrize(("moves", "present"), [(0, True), (1, False)])
def test_a_process_killed_around_the_two_renames_is_recovered_from(bundle, moves, present):
    done = subprocess.run([sys.executable, "-c", KILLED, str(bundle), str(moves)], cwd=ROOT, check=False)
    assert done.returncode == 9
    assert bundle.exists() == present
    assert len(names(bundle.parent)) == 2
    open_bundle(bundle)
    assert names(bundle.parent) == ["digits"]


def test_two_exports_at_once_end_with_a_whole_bundle_and_a_clear_line(tmp_path, monkeypatch):
    """Another process publishes between our two renames."""
    target, real = tmp_path / "mine", Path.rename

    def rename(self, to):
        if to == target and ".new-" in self.name:
            target.mkdir()
            (target / "manifest.json").write_text("theirs")
        return real(self, to)

    with publishing(target) as new:
        (new / "manifest.json").write_text("old")
    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(BundleError, match="is another export running"), publishing(target) as new:
        (new / "manifest.json").write_text("ours")
    assert (target / "manifest.json").read_text() == "theirs"
    assert names(tmp_path) == ["mine"]


@pytest.mark.parametrize("name", ["mine", "m[1]", "*"])
def test_an_old_bundle_comes_back_though_its_pid_lives_again(tmp_path, name):
    old = tmp_path / f".{name}.old-1-abcdef12"
    old.mkdir()
    (old / "manifest.json").write_text("old")
    recover(tmp_path / name)
    assert (tmp_path / name / "manifest.json").read_text() == "old"
    assert names(tmp_path) == [name]


def test_recovery_leaves_this_processs_own_export_alone(tmp_path):
    with publishing(tmp_path / "mine") as new:
        (new / "manifest.json").write_text("x")
        recover(tmp_path / "mine")
        assert new.exists()
    assert names(tmp_path) == ["mine"]


def test_a_running_export_is_not_swept_away(bundle):
    theirs = bundle.parent / f".digits.new-{os.getppid()}-abcdef12"
    theirs.mkdir()
    recover(bundle)
    assert theirs.exists()


def test_publishing_replaces_a_bundle_and_nothing_else(tmp_path):
    target = tmp_path / "mine"
    target.mkdir()
    (target / "thesis.txt").write_text("irreplaceable")
    with pytest.raises(BundleError, match="expected a bundle to replace or nothing"), publishing(target):
        pass
    assert (target / "thesis.txt").read_text() == "irreplaceable"
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(BundleError, match="expected a bundle to replace"), publishing(file):
        pass
    shutil.rmtree(target)
    for content in ("one", "two"):
        with publishing(target) as new:
            (new / "manifest.json").write_text(content)
        assert (target / "manifest.json").read_text() == content
    assert names(tmp_path) == ["file", "mine"]
