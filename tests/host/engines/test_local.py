"""Worker processes that begin, and those that cannot."""

import os
import signal
from pathlib import Path

import pytest

from preproc.errors import PreprocError
from preproc.host.engines import Work, perform


def begin(options):
    """Adds up. What `options` say happens first, each time or, with a file, as long as that has not as many letters."""
    if "file" in options:
        file = Path(options["file"])
        with file.open("a") as opened:
            opened.write(".")
        if file.stat().st_size > options["times"]:
            return sum
    if options["how"] == "raises":
        raise ImportError("libtorch.so: cannot open shared object file\nand more")
    if options["how"] == "refuses":
        raise PreprocError("expected the same model, got another one", name="recipe-changed")
    if options["how"] == "exits":
        os._exit(3)
    if options["how"] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return sum


def merge(answers):
    return sum(answers)


def added(options, *, workers=1):
    """Of six numbers, two at a time."""
    work = Work(begin, merge, options)
    return [(answer, list(items)) for answer, items in perform(work, lambda _: [[1, 2], [3, 4], [5, 6]], 6, workers=workers)]


@pytest.mark.parametrize(
    ("how", "told", "name"),
    [
        ("raises", r"got ImportError: libtorch\.so: cannot open shared object file\n", "worker-failed"),
        ("refuses", "expected the same model, got another one", "recipe-changed"),
        ("exits", "got one that ended with code 3 before it had, 2 times on end; where memory is short, ask for fewer", "worker-failed"),
        ("killed", "got one that was ended by SIGKILL before it had, 2 times on end", "worker-failed"),
    ],
)
def test_a_worker_that_cannot_begin_ends_the_work(tmp_path, how, told, name):
    file = tmp_path / "starts"
    with pytest.raises(PreprocError, match=told) as caught:
        added({"how": how, "file": str(file), "times": 99})
    assert caught.value.name == name
    assert len(file.read_text()) == (2 if how in ("exits", "killed") else 1)


def test_one_that_dies_once_as_it_begins_costs_no_chunk(tmp_path):
    file = tmp_path / "starts"
    assert added({"how": "killed", "file": str(file), "times": 1}) == [(3, [1, 2]), (7, [3, 4]), (11, [5, 6])]
    assert file.read_text() == ".."


def test_what_this_process_has_begun_is_not_begun_again():
    work = Work(begin, merge, {"how": "refuses"}, begun=sum)
    assert [answer for answer, _ in perform(work, lambda _: [[1, 2]], 2)] == [3]
    assert "begun" not in work.to_json()


def test_a_module_of_the_folder_that_one_is_in_is_not_taken(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise ImportError('not the one')")
    monkeypatch.chdir(tmp_path)
    assert len(added({"how": "well"})) == 3
