"""How outputs of each kind are compared, what of them cannot be resolved, and when a pass would mean nothing."""

from dataclasses import replace

import numpy as np
import pytest

from preproc.errors import PreprocError, VerificationError
from preproc.steps import OTHER_CONVERSIONS
from preproc.verify import Case, Control, Part, Power, Report, Result, agree, judge, parts_of
from preproc.verify.controls import _resolution as resolution
from preproc.verify.difference import differences, movements
from preproc.verify.doubling import moved_by_a_rounding
from preproc.verify.power import SHIFT
from preproc.verify.together import unresolved_together
from preproc.verify.unresolved import has_ties, with_unresolved
from tests.conftest import ROOT
from tests.verify.fake import CASES, EXPECTED, POWER, Answers, Fake, made_of

PIXELS = np.zeros((1, 2, 2, 3), np.uint8)


def case(values, **options):
    return Case("one", PIXELS, {"y": np.asarray(values)}, **options)


def differing(got, expected, **options):
    return differences({"y": np.asarray(got)}, case(expected, **options), parts_of([case(expected)]))["y"]


@pytest.mark.parametrize(
    ("got", "expected", "share"),
    [
        (np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5]), 0.25),
        (np.array([True, False]), np.array([True, True]), 0.5),
        (np.array(["cat", "dog"]), np.array(["cat", "doge"]), 0.5),
        (np.array(7), np.array(8), 1.0),
        (np.array(7), np.array(7), 0.0),
        (np.zeros((0, 4), np.int64), np.zeros((0, 4), np.int64), 0.0),
        (np.zeros((0, 4)), np.zeros((0, 4)), 0.0),
        (np.array(2.0), np.array(4.0), 0.5),
    ],
)
def test_integers_booleans_and_strings_differ_by_a_share_floats_by_their_size(got, expected, share):
    assert differing(got, expected) == share


@pytest.mark.parametrize(
    ("got", "expected", "message"),
    [
        (np.array([1], np.int32), np.array([1], np.int64), "like int64, got int32"),
        (np.array([1]), np.array([True]), "like bool, got int64"),
        (np.array(["1"]), np.array([1]), "like int64, got <U1"),
        (np.array([1, 2]), np.array([1]), r"of shape \(1,\), got \(2,\)"),
        (np.array(1.0), np.array([1.0]), r"of shape \(1,\), got \(\)"),
    ],
)
def test_another_dtype_or_shape_is_no_difference_but_an_error(got, expected, message):
    with pytest.raises(VerificationError, match=message):
        differing(got, expected)


def test_what_is_unresolved_is_not_compared_and_nothing_else_is_left_out():
    mask = {"y": np.array([True, False])}
    assert differing(np.array([9, 2]), np.array([1, 2]), unresolved=mask) == 0.0
    assert differing(np.array([1, 9]), np.array([1, 2]), unresolved=mask) == 0.5
    assert differing(np.array([9.0, 2.0]), np.array([1.0, 2.0]), unresolved=mask) == 0.0
    assert differing(np.array([1.0, 4.0]), np.array([1.0, 2.0]), unresolved=mask) == 1.0
    assert differing(np.array([np.nan, 2.0]), np.array([1.0, 2.0]), unresolved=mask) == np.inf


def test_an_unresolved_number_of_rows_leaves_the_dtype_and_the_rank():
    rows = {"y": np.array(True)}
    assert differing(np.array([1, 2, 3]), np.array([1, 2]), unresolved=rows) == 0.0
    with pytest.raises(VerificationError, match="like int64"):
        differing(np.array([1.0, 2.0, 3.0]), np.array([1, 2]), unresolved=rows)
    with pytest.raises(VerificationError, match="of shape"):
        differing(np.array([[1, 2, 3]]), np.array([1, 2]), unresolved=rows)


def test_another_number_of_rows_is_a_movement_but_where_it_is_unresolved():
    got = {"y": np.array([1.0, 2.0])}
    assert movements(got, case([1.0]), {"y": Part("y", 1.0)}) == {"y": 1.0}
    assert movements(got, case([1.0], unresolved={"y": np.array(True)}), {"y": Part("y", 1.0)}) == {"y": 0.0}


def counted(x):
    """A sequence of as many tensors as the mean says."""
    return {f"y[{number}]": x.mean((2, 3)) + number for number in range(1 + int(x.mean() >= 0.5))}


READY = np.full((1, 3, 2, 2), 0.5)
SEQUENCE = Case("one", PIXELS, counted(READY), ready=READY)
ITEMS = parts_of([SEQUENCE])


def test_another_number_of_tensors_is_a_movement():
    assert movements(counted(READY - 0.1), SEQUENCE, ITEMS) == {"y[0]": pytest.approx(0.2), "y[1]": 1.0}


def test_a_tensor_that_roundings_make_come_and_go_is_not_compared_there_and_nothing_else_is_left_out():
    (tie,) = with_unresolved([SEQUENCE], counted, ITEMS)
    assert tie.unresolved == {"y[1]": np.array(True)}
    right = counted(READY)
    for got in (right, {"y[0]": right["y[0]"]}, right | {"y[1]": right["y[1]"] + 1}):
        assert differences(got, tie, ITEMS) == dict.fromkeys(ITEMS, 0.0)
    assert differences({"y[0]": right["y[0]"] + 1}, tie, ITEMS)["y[0]"] == 2.0
    for got in ({"y[1]": right["y[1]"]}, right | {"y[2]": right["y[1]"]}, {}):
        with pytest.raises(VerificationError, match=r"expected the outputs y\[0\], y\[1\]"):
            differences(got, tie, ITEMS)
    with pytest.raises(VerificationError, match="expected the outputs"):
        differences({"y[0]": right["y[0]"]}, SEQUENCE, ITEMS)


def test_a_tensor_that_is_compared_nowhere_makes_the_verdict_inconclusive():
    (tie,) = with_unresolved([SEQUENCE], counted, ITEMS)
    moved = movements(counted(READY + 0.1), tie, ITEMS)
    assert moved == {"y[0]": pytest.approx(0.2), "y[1]": 0.0}
    seen = Power({"y[0]": 0.5, "y[1]": 1.5}, 0.0, 1e-6, (Control(SHIFT, 0.0, movements=moved),), None)
    wrong = counted(READY) | {"y[1]": np.full((1, 3), 9.0)}
    found = judge(Fake(lambda _: wrong), ROOT, [tie], seen, bare=dict.fromkeys(ITEMS, 0.0))
    assert (found.verdict, "would move y[1]" in found.reason) == ("inconclusive", True)


def test_answers_of_fewer_tensors_in_between_are_no_noise_of_the_others():
    case = replace(SEQUENCE, ready=np.nextafter(np.float32(0.5), np.float32(0)) * np.ones_like(READY), expected=counted(READY))
    few = moved_by_a_rounding([case], lambda _: {"y[0]": READY.mean((2, 3))}, ITEMS, lambda _: None)
    assert few == {"y[0]": 0.0, "y[1]": 0.0}


def test_a_batch_that_answers_another_number_of_tensors_is_refused():
    class ForEach(Answers):
        def __call__(self, x):
            return {f"y[{number}]": x[number : number + 1].mean((2, 3)) for number in range(len(x))}

    with pytest.raises(PreprocError, match=r"as many tensors for batch of 5 .* as for p0, got 1 \(y\[0\]\) and 5"):
        made_of(ForEach(None), count=6)


def test_samples_of_integers_agree_where_they_are_equal():
    assert agree(case([1, 2]), case([1, 2]))
    assert not agree(case([1, 2]), case([1, 3]))
    assert not agree(case([1, 2]), case([1.0, 2.0]))


def power(*controls, floats=False, tolerance=1e-4):
    scale = {"labels": 1.0} | ({"scores": 2.0} if floats else {})
    return Power(scale, 0.0, tolerance, controls, None, exact=("labels",))


@pytest.mark.parametrize(
    ("made", "weakness"),
    [
        (power(Control(SHIFT, 0.0, None, {"labels": 0.0}), Control("channels swapped", 0.5, None, {"labels": 0.5})), None),
        (
            power(Control(SHIFT, 0.5, None, {"labels": 0.5}), Control("channels swapped", 0.0, None, {"labels": 0.0})),
            "channels swapped 0.0",
        ),
        (power(Control(SHIFT, 0.0, None, {"labels": 0.0}), Control("channels swapped", 0.0, None, {"labels": 0.0})), "would move labels"),
        (power(Control(SHIFT, 0.2, None, {"labels": 0.0, "scores": 0.2}), floats=True), "would move labels"),
        (power(Control(SHIFT, 9e-4, None, {"labels": 1.0, "scores": 9e-4}), floats=True), f"{SHIFT} 9.0e-04"),
        (
            power(
                Control(SHIFT, 0.2, None, {"labels": 0.0, "scores": 0.2}),
                Control("rescale missing", 0.9, None, {"labels": 0.9, "scores": 0.9}),
                floats=True,
            ),
            None,
        ),
    ],
)
def test_a_pass_means_nothing_where_integers_would_have_shown_nothing(made, weakness):
    found = made.weakness()
    assert (found is None) == (weakness is None), found
    assert weakness is None or weakness in found


def test_the_report_says_in_which_integers_a_mistake_would_not_show():
    shift, swap = Control(SHIFT, 0.2, None, {"labels": 0.0, "scores": 0.2}), Control("swap", 0.9, None, {"labels": 0.9, "scores": 0.9})
    made = power(shift, swap, floats=True)
    assert made.hidden_from(shift) == ["labels"]
    assert made.hidden_from(swap) == []
    assert made.hidden_from(Control("border", None, "no padding")) == []
    assert made.hidden_from(Control(f"Y, U and V{OTHER_CONVERSIONS[0]}", 1e-9, None, {"labels": 0.0})) == []


def test_one_integer_that_is_another_fails():
    expected = {"labels": np.arange(20)[None]}
    asked = [Case("one", PIXELS, expected)]
    told = power(Control(SHIFT, 0.5, None, {"labels": 0.5}))
    assert judge(Fake(lambda _: expected), ROOT, asked, told).verdict == "passed"
    wrong = {"labels": np.where(expected["labels"] == 7, 8, expected["labels"])}
    result = judge(Fake(lambda _: wrong), ROOT, asked, told)
    assert result.verdict == "failed"
    assert "error 5.00e-02 on one, tolerance 1.0e-04, the share of labels that is not equal" in result.reason


def test_a_report_of_before_there_were_integers_is_read_and_judged_by():
    told = Report("m", "x", "yes", POWER, (Result("ort-cpu", "passed"),)).to_json()
    for field in ("exact", "unresolved", "values", "untouched"):
        del told["power"][field]
    for control in told["power"]["controls"]:
        del control["movements"]
    read = Report.from_json(told)
    assert read.power == POWER
    assert judge(Fake(lambda _: EXPECTED), ROOT, CASES, read.power).verdict == "passed"


@pytest.mark.parametrize(
    ("function", "whole"),
    [
        (lambda x: x.mean((2, 3)), False),
        (lambda x: x.mean((2, 3)).argmax(1), False),
        (lambda x: x.mean((2, 3)).T, True),
        (lambda x: x.mean(), True),
        (lambda x: x.mean((2, 3)) / x.max(), True),  # a row for each picture that depends on the others
        (lambda x: np.ones((1, 4)) * x[0].mean(), True),
        (lambda x: np.argwhere(x.mean((2, 3)) > 0.5), True),
    ],
)
def test_the_batch_is_put_together_only_where_each_picture_has_its_row(function, whole):
    *_, batch = made_of(Answers(function))
    assert batch.name == "batch of 3 (4x4x3)"
    assert batch.whole == ({"y"} if whole else frozenset())
    assert batch.ready is None
    assert whole or len(batch.expected["y"]) == 3


def test_a_network_in_python_is_asked_for_single_pictures_only():
    truth = Answers(lambda x: x.mean((2, 3)), per_picture=True)
    *_, batch = made_of(truth)
    assert set(truth.asked) == {1}
    assert batch.expected["y"].shape == (3, 3)


def test_ties_are_looked_for_where_values_may_jump():
    assert not has_ties([case([[1.0]]), case([[2.0]])])
    assert has_ties([case([[1]])])
    assert has_ties([case([[1.0]]), case([[2.0], [3.0]])])


def test_a_number_of_rows_that_a_rounding_decides_is_unresolved():
    first = made_of(Answers(lambda x: x.mean((2, 3))))[0].expected["y"][0, 0]
    cases = made_of(Answers(lambda x: np.argwhere(x.mean((2, 3)) >= first)))
    assert cases[0].borderline("y") == 2  # the row, and one that may come
    assert "y" not in cases[1].unresolved
    found = resolution(cases)
    assert found["borderline"]["y"] == sum(one.borderline("y") for one in cases) >= 1
    assert found["numbers"] == resolution([case([1, 2])])["borderline"] == {}


def test_of_an_output_that_becomes_another_one_altogether_nothing_is_compared():
    first = made_of(Answers(lambda x: x.mean((2, 3))))[0].expected["y"][0, 0]
    cases = made_of(Answers(lambda x: np.zeros((2, 3) if x.mean((2, 3))[0, 0] >= first else (3, 2))))
    assert cases[0].unresolved["y"].shape == ()
    found = resolution(cases)
    assert found["numbers"]["y"] == sum(one.unresolved.get("y", np.ones(1)).ndim == 0 for one in cases) >= 1


def test_masks_lie_one_behind_the_other_as_the_rows_do():
    some = [case([[1, 2]], unresolved={"y": np.array([[True, False]])}), case([[3, 4]])]
    assert unresolved_together(some, ["y"])["y"].tolist() == [[True, False], [False, False]]
    assert unresolved_together(some[1:], ["y"]) == {}
