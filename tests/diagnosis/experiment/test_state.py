"""What a run leaves for the next one."""

import pytest

from preproc.diagnosis.experiment.state import State
from preproc.errors import PreprocError


def lines(file, experiment="this"):
    with State(file, experiment) as state:
        return list(state.found)


@pytest.fixture
def file(tmp_path):
    with State(tmp_path / "state", "this") as state:
        for number in range(3):
            state.add({"number": number})
    return tmp_path / "state"


def test_lines_are_found_again_and_half_a_line_is_cut_off(file):
    written = [{"number": number} for number in range(3)]
    assert lines(file) == written
    whole = file.read_bytes()
    file.write_bytes(whole[:-5])
    assert lines(file) == written[:2]
    with State(file, "this") as state:
        state.add({"number": 2})
    assert file.read_bytes() == whole


def test_a_file_of_half_a_first_line_begins_anew(file):
    file.write_bytes(file.read_bytes()[:20])
    assert lines(file) == []


@pytest.mark.parametrize("place", [5, -3, -20])
def test_a_byte_that_was_changed_is_refused(file, place):
    whole = bytearray(file.read_bytes())
    whole[place] ^= 1
    file.write_bytes(whole)
    with pytest.raises(PreprocError, match="expected lines as they were written, got another one, number") as caught:
        lines(file)
    assert caught.value.name == "state-unfit"


def test_another_experiments_is_refused_and_kept(file):
    whole = file.read_bytes()
    with pytest.raises(PreprocError, match="expected the state of this experiment, got that of another"):
        lines(file, "other")
    assert file.read_bytes() == whole


def test_without_a_file_nothing_is_kept(tmp_path):
    with State(None, "this") as state:
        state.add({"number": 1})
        state.remove()
    assert list(tmp_path.iterdir()) == []
