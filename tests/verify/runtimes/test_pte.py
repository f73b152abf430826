"""What is read of ExecuTorch's files from their bytes: nothing that a damaged one claims leads beyond it, or to another error than ours."""

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preproc.errors import BundleError
from preproc.verify.runtimes import pte
from preproc.verify.runtimes.pte import BundledCase, Values, read_program
from tests.in_executorch import bundled, program, with_weights

PIXELS, LOGITS = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3), np.arange(10, dtype=np.float32).reshape(1, 10)


@pytest.fixture
def read(tmp_path):
    def one(data):
        (tmp_path / "model.pte").write_bytes(data)
        return read_program(tmp_path / "model.pte")

    return one


def test_a_program_and_its_text(read):
    found = read(program(text="ä{}"))
    assert found.text("preproc_contract") == "ä{}"
    assert (found.text("forward"), found.text("other")) == (None, None)
    forward = found.method("forward")
    assert forward.inputs == (Values("uint8", (8, 4, 4, 3), bounded=True),)
    assert forward.outputs == (Values("float32", (8, 10), bounded=True),)
    assert (forward.backends, forward.kernels, found.cases, found.data) == ((), 0, (), b"")


def test_a_bundled_program_is_the_program_and_its_cases(read):
    inner = program(text="{}")
    found = read(bundled(inner, [(PIXELS, LOGITS)] * 2))
    assert found.data == inner
    assert found.methods == read(inner).methods
    case = BundledCase(
        "forward",
        (Values("uint8", (1, 4, 4, 3), data=PIXELS.tobytes()),),
        (Values("float32", (1, 10), data=LOGITS.tobytes()),),
    )
    assert found.cases == (case, case)


def test_what_is_none(read):
    for data in (b"", b"x" * 100, b"PK\x03\x04" * 9, program().replace(b"ET12", b"ET13")):
        with pytest.raises(
            BundleError, match="expected a program of ExecuTorch, ET12 or BP08 behind its first four bytes, got another file"
        ):
            read(data)
    with pytest.raises(BundleError, match="got a damaged one: test cases around something else"):
        read(bundled(b"x" * 64))


WHOLE = bundled(program(text="{}"), [(PIXELS, LOGITS)])


@pytest.mark.parametrize("whole", [program(text="{}"), WHOLE], ids=["pte", "bpte"])
def test_one_that_is_cut_is_damaged(read, whole):
    for end in (*range(8, len(whole), 7), len(whole) - 1):
        with pytest.raises(BundleError, match="expected a program of ExecuTorch, got a damaged one"):
            read(whole[:end])


@pytest.mark.parametrize("around", [bytes, bundled], ids=["pte", "bpte"])
def test_one_without_all_its_weights_is_cut_off(read, around):
    whole = with_weights(5_000)
    assert read(around(whole)).method("forward").inputs == read(program()).method("forward").inputs
    for kept in (*range(300, len(whole), 97), len(whole) - 1):
        with pytest.raises(BundleError, match=f"got a damaged one: it is cut off, for it has {kept:,} bytes of {len(whole):,}"):
            read(around(whole[:kept]))


def test_a_header_that_does_not_tell_the_weights_length_tells_the_tables(read):
    """As the first programs with one have it."""
    whole = with_weights(500, header=24)
    assert read(whole[:-1]).methods == read(whole).methods
    with pytest.raises(BundleError, match="it is cut off"):
        read(whole[:-501])


def test_constants_in_the_tables_are_held(read):
    whole = program(constant=b"c" * 400)
    for end in range(whole.index(b"c" * 400), whole.index(b"c" * 400) + 400, 13):
        with pytest.raises(BundleError, match="got a damaged one: a list beyond its end"):
            read(whole[:end])


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(8, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=20))
def test_damage_is_told_in_one_line_or_can_be_read(tmp_path_factory, changes):
    data = bytearray(WHOLE)
    for place, value in changes:
        data[place] = value
    file = tmp_path_factory.getbasetemp() / "damaged.bpte"
    file.write_bytes(data)
    with contextlib.suppress(BundleError):
        read_program(file)


def test_cases_that_name_one_large_list_are_no_copies_of_it(read):
    """As many as a small file may claim, each with all of it."""
    large = np.zeros((1, 1 << 20), np.uint8)
    found = read(bundled(program(), [(large, LOGITS)], named=200))
    assert len(found.cases) == 200
    (first,), (last,) = found.cases[0].inputs, found.cases[-1].inputs
    assert np.shares_memory(np.frombuffer(first.data, np.uint8), np.frombuffer(last.data, np.uint8))


def test_many_names_of_one_large_text_are_damage(read, monkeypatch):
    monkeypatch.setattr(pte, "MOST", 20_000)
    with pytest.raises(BundleError, match="more than 20,000 tables"):
        read(bundled(program(), [(PIXELS, LOGITS)], method="a" * 10_000, suites=150))


def test_a_list_of_itself_ends(read, monkeypatch):
    """A small file that claims many tables is none."""
    monkeypatch.setattr(pte, "MOST", 20)
    with pytest.raises(BundleError, match="more than 20 tables"):
        read(WHOLE)
    monkeypatch.undo()
    data = bytearray(program())
    (root,) = struct.unpack_from("<I", data, 0)
    (vtable,) = struct.unpack_from("<i", data, root)
    (field,) = struct.unpack_from("<H", data, root - vtable + 6)
    (plans,) = struct.unpack_from("<I", data, root + field)
    struct.pack_into("<I", data, root + field + plans, 0x3FFFFFFF)
    with pytest.raises(BundleError, match="more than 1,000,000 tables"):
        read(bytes(data))
