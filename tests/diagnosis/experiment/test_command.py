"""preproc compare, as it is typed."""

import json

import pytest

from preproc.diagnosis.experiment import ENDING, TITLE, experiment
from tests.commands import run


def test_a_page_and_the_numbers(recipe, pictures, tmp_path):
    out = tmp_path / "r.html"
    done = run("compare", recipe, pictures, "-o", out, "--json", check=0)
    told = json.loads(done.stdout)
    assert told["images"] == 10
    assert told["variants"][0]["name"] == "recipe"
    assert told["answer"] in out.read_text().replace("&#x27;", "'")
    assert TITLE in out.read_text()
    assert not (tmp_path / f"r.html{ENDING}").exists()
    assert done.stderr.splitlines()[-1] == f"preproc: {out}: written"


def test_a_page_is_written_over_no_other_file(recipe, pictures, tmp_path):
    (tmp_path / "mine.html").write_text("<html>")
    assert "[target-taken]" in run("compare", recipe, pictures, "-o", tmp_path / "mine.html", check=1).stderr
    assert "[target-name]" in run("compare", recipe, pictures, "-o", tmp_path / "mine.txt", check=1).stderr
    assert "[option-without-effect]" in run("compare", recipe, pictures, "--scheduler", "tcp://x", check=1).stderr


def test_ctrl_c_keeps_what_was_found(recipe, pictures, tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    out = tmp_path / "r.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "costs", interrupt)
        done = run("compare", recipe, pictures, "-o", out, check=130)
    assert done.stderr.splitlines()[-1] == (
        f"preproc: error: interrupted; what was found is in {out}{ENDING}, and the same command goes on from there"
    )
    again = run("compare", recipe, pictures, "-o", out, check=0)
    assert "10 pictures are known from before, 0 are left" in again.stderr
    assert "0-1, BGR" in again.stdout
    assert "These 10 pictures do not show that it matters: with 'recipe'" in again.stdout
