"""Which row of an answer is which of the reference's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preproc.verify import Case, parts_of
from preproc.verify.arranging import arranged
from preproc.verify.difference import differences, movements
from preproc.verify.rows import Rows, matched

PIXELS = np.zeros((1, 2, 2, 3), np.uint8)
ROWS = Rows({"boxes": 0, "labels": 0})
SORTED = Rows({"boxes": 0, "labels": 0}, {"boxes": (4,)})
BOXES = np.array([[0.0, 0, 4, 4, 0.9], [1, 1, 5, 5, 0.8], [2, 0, 3, 9, 0.8], [7, 7, 9, 9, 0.1]])
LABELS = np.array([3, 1, 2, 1])
EXPECTED = {"boxes": BOXES, "labels": LABELS}


def compared(got, *, rows=ROWS, expected=EXPECTED, **options):
    case = Case("one", PIXELS, expected, **options)
    return max(differences(got, case, parts_of([case], rows=[rows])).values())


def taken(order, *, boxes=None, labels=None):
    return {"boxes": BOXES[order if boxes is None else boxes], "labels": LABELS[order if labels is None else labels]}


@given(st.permutations(range(4)))
def test_any_order_is_the_same(order):
    order = list(order)
    assert compared(taken(order)) == 0
    case = Case("one", PIXELS, EXPECTED)
    found = arranged(taken(order), case, parts_of([case], rows=[ROWS]))
    assert np.array_equal(found.whole["boxes"], BOXES)
    assert found.moved == sum(at != row for at, row in enumerate(order))
    assert found.rows == 4


@pytest.mark.parametrize(
    "got",
    [
        taken([1, 0, 2, 3], labels=[0, 1, 2, 3]),
        taken([0, 0, 2, 3]),
        taken([0, 1, 2, 3], labels=[1, 0, 2, 3]),
        {"boxes": BOXES[::-1] + np.array([0, 0, 0, 0, 1e-3]), "labels": LABELS[::-1]},
        {"boxes": np.where(BOXES == 5, np.nan, BOXES)[::-1], "labels": LABELS[::-1]},
    ],
    ids=["boxes of another label", "a row twice", "labels of another box", "another score", "no number"],
)
def test_other_rows_are_not_the_same(got):
    assert compared(got) > 1e-4


def test_sorted_rows_change_places_where_their_scores_are_equal_alone():
    assert compared(taken([0, 2, 1, 3]), rows=SORTED) == 0
    assert compared(taken([1, 0, 2, 3]), rows=SORTED) == pytest.approx(0.1 / 9)
    assert compared(taken([1, 0, 2, 3])) == 0


def test_what_is_wrong_in_one_row_says_nothing_of_the_others():
    got = taken([3, 2, 1, 0])
    got["boxes"][0, 4] = 0.9  # the row that is expected last
    assert compared(got) == pytest.approx(0.8 / 9)
    unresolved = {"boxes": np.zeros((4, 5), bool)}
    unresolved["boxes"][3, 4] = True
    assert compared(got, unresolved=unresolved) == 0


def test_each_picture_has_an_order_of_its_own():
    expected = {"boxes": np.stack([BOXES, 2 * BOXES]), "labels": np.stack([LABELS, LABELS])}
    rows = Rows({"boxes": 1, "labels": 1})
    orders = np.array([[1, 0, 3, 2], [3, 2, 1, 0]])
    got = {
        "boxes": np.take_along_axis(expected["boxes"], orders[:, :, None], 1),
        "labels": np.take_along_axis(expected["labels"], orders, 1),
    }
    assert compared(got, rows=rows, expected=expected) == 0
    assert compared({name: values[::-1] for name, values in got.items()}, rows=rows, expected=expected) > 0.1
    turned = {name: values.swapaxes(1, -1) for name, values in got.items()}
    of = {name: values.swapaxes(1, -1) for name, values in expected.items()}
    assert compared(turned, rows=Rows({"boxes": 2, "labels": 1}), expected=of) == 0


def test_another_number_of_rows_stays_an_error_and_a_movement():
    case = Case("one", PIXELS, EXPECTED)
    parts = parts_of([case], rows=[ROWS])
    assert movements(taken([0, 1, 2]), case, parts) == {"boxes": 1.0, "labels": 1.0}


def test_rows_are_no_channels_with_units_of_their_own():
    values = np.array([[1000.0, 1.0, 0.2, 0.1]])
    case = Case("one", PIXELS, {"scores": values})
    assert len(parts_of([case])) > 1
    assert list(parts_of([case], rows=[Rows({"scores": 1})])) == ["scores"]


@settings(max_examples=60)
@given(st.integers(1, 12), st.integers(0, 2**31))
def test_rows_are_matched_with_the_smallest_largest_distance_within_a_level(count, seed):
    rng = np.random.default_rng(seed)
    values, order = rng.normal(size=(count, 3)), rng.permutation(count)
    noise = rng.uniform(-1e-6, 1e-6, size=(count, 3))
    got = (values + noise)[order]
    apart = np.abs(values[:, None] - got[None]).max(2)
    found = matched(apart)
    assert sorted(found) == list(range(count))
    assert apart[np.arange(count), found].max() <= 2e-6


def test_as_many_rows_as_can_be_are_matched_though_one_has_no_partner():
    apart = np.array([[1e-7, 1e-7, 1.0], [1e-7, 1.0, 1.0], [0.5, 0.6, 0.9]])
    assert matched(apart).tolist() == [1, 0, 2]
