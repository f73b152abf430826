"""What the checkout holds: no file that names a host, and at its top what the owner fixed."""

import re
import subprocess

import pytest

from tests.conftest import ROOT


def tracked_files():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is no git checkout")
    return done.stdout.split()


def test_no_file_names_a_host():
    tracked = tracked_files()
    for name in tracked:
        file = ROOT / name
        if name.endswith(
            ("constraints.txt", "constraints-lowest.txt", ".toml", "Makefile", ".ci/run", "package.json", "package-lock.json", ".npmrc")
        ):
            assert "://" not in file.read_text(), name


def test_top_level_is_what_the_owner_fixed():
    tracked = tracked_files()
    top = {name.split("/")[0] for name in tracked}
    allowed = {
        "preproc",
        "export",
        "tests",
        "models",
        "pyproject.toml",
        "Makefile",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "constraints.txt",
        "constraints-lowest.txt",
    }
    assert {name for name in top if not name.startswith(".")} <= allowed


def test_the_tests_that_make_and_ci_name_are_there():
    """A glob has to find some."""
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", ".ci/run"))
    named = set(re.findall(r"tests/[\w/*.]*\.py", text))
    assert len(named) > 5
    assert [name for name in named if not list(ROOT.glob(name))] == []
