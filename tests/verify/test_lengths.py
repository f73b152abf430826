"""Lists whose number of rows a few roundings decide: what is there on both sides is compared, and nobody hides behind the others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preproc.errors import VerificationError
from preproc.verify import Case, parts_of
from preproc.verify.arranging import arranged, lined_up
from preproc.verify.difference import differences, movements
from preproc.verify.rows import Rows
from tests.verify.fake import Answers, made_of

PIXELS = np.zeros((1, 2, 2, 3), np.uint8)
BOXES = np.array([[0.0, 0, 4, 4, 0.9], [1, 1, 5, 5, 0.8], [2, 0, 3, 9, 0.7], [7, 7, 9, 9, 0.5], [3, 3, 8, 8, 0.3]])
LABELS = np.array([3, 1, 2, 1, 2])
ANY_ORDER = Rows({"boxes": 0, "labels": 0})
SORTED = Rows({"boxes": 0, "labels": 0}, {"boxes": (4,)})


def case_of(missing, more=1, rows=None, axis=0):
    """The rows of these numbers may be missing."""
    masks, expected = {}, {}
    for name, values in (("boxes", BOXES), ("labels", LABELS)):
        mask = np.zeros((len(values) + more, *values.shape[1:]), bool)
        mask[[*missing, *range(len(values), len(values) + more)]] = True
        expected[name] = values if axis == 0 else np.moveaxis(values[None], 1, axis)
        masks[name] = mask if axis == 0 else np.moveaxis(mask[None], 1, axis)
    case = Case("one", PIXELS, expected, unresolved=masks)
    return case, parts_of([case], rows=() if rows is None else [rows])


def answer(order, *, off=0.0, more=()):
    boxes = np.concatenate([BOXES[order] + off, *([row] for row in more)]) if len(more) else BOXES[order] + off
    return {"boxes": boxes, "labels": np.concatenate([LABELS[order], np.full(len(more), 9)])}


def error(got, case, parts):
    return max(differences(got, case, parts).values())


@settings(max_examples=40)
@given(st.data())
def test_rows_at_the_threshold_come_and_go_and_all_others_are_compared(data):
    any_order = data.draw(st.booleans())
    missing = sorted(data.draw(st.sets(st.integers(0, 4), max_size=3)))
    case, parts = case_of(missing, rows=ANY_ORDER if any_order else None)
    there = [row for row in range(5) if row not in missing or data.draw(st.booleans())]
    order = list(data.draw(st.permutations(there))) if any_order else there
    more = [BOXES[0] + 50] * data.draw(st.integers(0, 1))
    got = answer(order, more=more)
    place = data.draw(st.integers(0, len(order)))
    if more and not any_order:  # wherever it comes
        got = {name: np.insert(values[:-1], place, values[-1], axis=0) for name, values in got.items()}
    assert error(got, case, parts) == 0
    bound = [row for row in there if row not in missing]
    if bound:
        wrong = {name: values.copy() for name, values in got.items()}
        wrong["boxes"][next(at for at, values in enumerate(got["boxes"]) if (values == BOXES[bound[0]]).all()), 2] += 0.01
        assert error(wrong, case, parts) == pytest.approx(0.01 / 9)


@pytest.mark.parametrize("rows", [None, ANY_ORDER, SORTED], ids=["in order", "any order", "sorted"])
@pytest.mark.parametrize(
    "got",
    [answer([0, 1, 2]), answer([0, 1, 2, 3, 4], more=[BOXES[0]] * 2), answer([])],
    ids=["too few", "two that nobody expects", "none"],
)
def test_other_rows_than_those_at_the_threshold_have_to_be_there(got, rows):
    case, parts = case_of([3], rows=rows)
    with pytest.raises(VerificationError, match="but for rows that a few roundings decide"):
        error(got, case, parts)
    assert max(movements(got, case, parts).values()) == 1.0


@pytest.mark.parametrize("rows", [None, ANY_ORDER, SORTED], ids=["in order", "any order", "sorted"])
@pytest.mark.parametrize(
    "got",
    [
        answer([0, 1, 2, 4], off=1e-2),
        answer([0, 1, 3, 4]),
        answer([0, 1, 1, 2]),
        answer([0, 1, 2, 2, 3]),
        {"boxes": BOXES[[0, 1, 2, 4]], "labels": LABELS[[1, 0, 2, 4]]},
        answer([0, 1, 2, 3], more=[BOXES[4] + 50]),
    ],
    ids=[
        "all off",
        "another is missing",
        "a row twice",
        "a row twice beside that",
        "labels of another",
        "one that nobody expects in the place of one",
    ],
)
def test_wrong_rows_do_not_hide_behind_the_one_that_may_be_missing(got, rows):
    case, parts = case_of([3], rows=rows)
    assert error(got, case, parts) > 1e-3


def test_rows_that_are_sorted_stay_sorted_where_some_are_missing():
    case, parts = case_of([3], rows=SORTED)
    assert error(answer([0, 1, 2, 4]), case, parts) == 0
    assert error(answer([0, 2, 1, 4]), case, parts) == pytest.approx(0.1 / 9)
    assert arranged(answer([0, 2, 1, 4]), case, parts).rows == 4
    case, parts = case_of([3], rows=ANY_ORDER)
    assert error(answer([0, 2, 1, 4]), case, parts) == 0


def test_rows_of_a_batch_may_be_missing_along_their_own_axis():
    case, parts = case_of([3], rows=Rows({"boxes": 1, "labels": 1}), axis=1)
    got = {name: values[None] for name, values in answer([4, 1, 2, 0]).items()}
    assert error(got, case, parts) == 0
    assert error({name: values[:, ::-1] for name, values in got.items()}, case, parts) == 0
    assert error({"boxes": got["boxes"], "labels": got["labels"][:, ::-1]}, case, parts) > 0.1


def test_nothing_expected_and_one_that_may_come():
    case = Case("one", PIXELS, {"y": np.zeros((0, 4))}, unresolved={"y": np.ones((1, 4), bool)})
    parts = parts_of([case])
    assert error({"y": np.zeros((0, 4))}, case, parts) == 0
    assert error({"y": np.ones((1, 4))}, case, parts) == 0
    with pytest.raises(VerificationError, match="shape"):
        error({"y": np.ones((2, 4))}, case, parts)


@pytest.mark.parametrize("rows", [None, ANY_ORDER])
def test_what_is_lined_up_says_what_is_missing_and_how_many_came(rows):
    case, parts = case_of([], more=0, rows=rows)
    assert lined_up(answer([0, 1, 2, 3, 4]), case, parts) == {}
    found = lined_up(answer([0, 1, 3, 4]), case, parts)
    assert found["boxes"].missing.all(axis=1).tolist() == [False, False, True, False, False]
    assert (found["labels"].missing.tolist(), found["labels"].more) == ([False, False, True, False, False], 0)
    assert np.array_equal(found["boxes"].values, BOXES)
    assert lined_up(answer([0, 1, 2, 3, 4], more=[BOXES[0] + 50]), case, parts)["labels"].more == 1
    assert lined_up({"boxes": BOXES[None, :3], "labels": LABELS}, case, parts) == {}


def test_the_rows_that_a_rounding_decides_are_unresolved_and_the_others_are_not():
    """The picture's means, of channels: those that are no smaller than the first one, which its own rounding decides."""
    first = made_of(Answers(lambda x: x.mean((2, 3))))[0].expected["y"][0, 0]
    cases = made_of(Answers(lambda x: np.sort(x.mean((2, 3))[0][x.mean((2, 3))[0] >= first - 0.3 * (np.arange(3) > 0)])[::-1]))
    one = cases[0]
    assert one.open_rows("y") == (0, 1)
    assert one.borderline("y") == 2
    assert one.undecided("y").sum() == 1
    assert len(one.expected["y"]) > 1
    assert not any(each.open_rows("y") for each in cases[1:3])
