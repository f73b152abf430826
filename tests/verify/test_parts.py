"""Which channels of an output have a unit of their own, and that each is compared relative to that."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preproc.verify import FLOAT64, Case, Control, OutputTruth, Part, Power, Report, judge, parts_of
from preproc.verify.difference import differences, movements
from tests.conftest import ROOT
from tests.verify.fake import Fake

RNG = np.random.default_rng(7)
PIXELS = np.zeros((1, 2, 2, 3), np.uint8)
MAGNITUDES = (640.0, 500.0, 320.0, 300.0, 1.0, 0.4)
BOXES, SCORES = (0, 1, 2, 3), (4, 5)


def cases(*arrays, pixels=PIXELS):
    return [Case(str(at), pixels, {"y": values}) for at, values in enumerate(arrays)]


def channels(magnitudes, shape, axis, *, rng=RNG):
    """Of these largest magnitudes, which is reached."""
    values = rng.uniform(-1, 1, shape)
    values = np.moveaxis(values, axis, -1)
    values[(0,) * (values.ndim - 1)] = 1
    return np.moveaxis(values * np.array(magnitudes), -1, axis)


@pytest.mark.parametrize(
    ("shape", "axis", "names"),
    [
        ((1, 6, 5, 7), 1, ["y[:, 0:4]", "y[:, 4:6]"]),
        ((1, 700, 6), 2, ["y[..., 0:4]", "y[..., 4:6]"]),
        ((1, 3, 6, 5), 2, ["y[:, :, 0:4]", "y[:, :, 4:6]"]),
        ((9, 6), 1, ["y[:, 0:4]", "y[:, 4:6]"]),
    ],
)
def test_boxes_and_scores_are_two(shape, axis, names):
    found = parts_of(cases(channels(MAGNITUDES, shape, axis)))
    assert list(found) == names
    assert [part.channels for part in found.values()] == [BOXES, SCORES]
    assert [part.scale for part in found.values()] == [640.0, 1.0]
    assert {part.axis for part in found.values()} == {axis}


def test_of_a_network_without_a_batch_the_first_axis_may_be_the_channels():
    values = channels(MAGNITUDES, (6, 5, 7), 0)
    assert list(parts_of(cases(values, pixels=PIXELS[0]))) == ["y[0:4]", "y[4:6]"]
    assert list(parts_of(cases(values))) == ["y"]


def test_channels_that_are_no_range():
    found = parts_of(cases(channels((600, 1, 500, 1, 1), (1, 5, 4), 1)))
    assert list(found) == ["y[:, [0:1, 2:3]]", "y[:, [1:2, 3:5]]"]


@pytest.mark.parametrize(
    "arrays",
    [
        [channels(np.geomspace(1e3, 1, 10), (1, 10, 4), 1)],  # no gap
        [channels(np.geomspace(1e3, 1e-3, 1000), (1, 1000), 1)],  # classes
        [channels((1, 2, 3, 4), (1, 4, 3, 3), 1)],
        [channels((640, 640, 1e-6, 0), (1, 4, 9), 1)],  # next to nothing, and nothing
        [np.zeros((1, 4, 9))],
        [np.array([[1, 1000]])],  # integers
        [np.zeros((1, 0, 6))],
        [channels(MAGNITUDES, (2, 6, 3), 1).sum(axis=(1, 2))],
        [np.array(3.0)],
        [channels((640, 640, 1, 1), (1, 4, 3), 1), channels((640, 640, 1), (1, 3, 3), 1)],  # rows by the picture
    ],
)
def test_others_are_one(arrays):
    assert list(parts_of(cases(*arrays))) == ["y"]


def test_what_is_nothing_stays_with_the_smallest_unit():
    found = parts_of(cases(channels((640, 1, 1e-6, 0), (1, 4, 9), 1)))
    assert [part.channels for part in found.values()] == [(0,), (1, 2, 3)]


def test_all_cases_decide():
    """One picture without a find makes no unit of its own."""
    nothing, something = (channels((640, 640, score, score), (1, 4, 9), 1) for score in (1e-5, 0.9))
    assert list(parts_of(cases(nothing))) == ["y"]
    assert list(parts_of(cases(nothing, something))) == ["y[:, 0:2]", "y[:, 2:4]"]


def test_as_in_other_cases():
    like = parts_of(cases(channels((640, 1), (1, 2, 9), 1)))
    found = parts_of(cases(channels((3, 2), (1, 2, 9), 1)), like)
    assert {key: part.scale for key, part in found.items()} == {"y[:, 0:1]": 3.0, "y[:, 1:2]": 2.0}


@given(st.lists(st.sampled_from([1e-8, 1.0, 2.0, 30.0, 700.0, 1e4]), min_size=1, max_size=8), st.integers(1, 3))
def test_every_channel_is_in_one_part_and_no_value_is_larger_than_its_scale(magnitudes, axis):
    shape = [2, 3, 2, 3]
    shape[axis] = len(magnitudes)
    values = channels(magnitudes, shape, axis, rng=np.random.default_rng(1))
    found = parts_of(cases(values))
    seen = np.zeros(shape, int)
    for part in found.values():
        seen[part.index()] += 1
        np.testing.assert_array_equal(values[part.index()], part.of(values))
        assert np.abs(part.of(values)).max() == part.scale
    assert (seen == 1).all()


def two(boxes, scores):
    return {"y": np.array([[600.0 + boxes, 1.0 + scores]])}


PARTS = {"y[:, 0:1]": Part("y", 600.0, 1, (0,)), "y[:, 1:2]": Part("y", 1.0, 1, (1,))}
TWO = [Case("one", PIXELS, two(0.0, 0.0))]
POWER = Power({"y": 600.0}, 1e-5, 1e-4, (Control("shift", 0.1, None, dict.fromkeys(PARTS, 0.1)),), 0.01, groups=PARTS)
BARE = {"y[:, 0:1]": 1e-5, "y[:, 1:2]": 1e-8}


@pytest.mark.parametrize(
    ("boxes", "scores", "verdict"),
    [
        (0.0, 0.0, "passed"),
        (5e-2, 3e-6, "passed"),
        (0.0, 5e-6, "failed"),  # 8e-9 of the boxes, whose noise is no reason to let it pass
        (7e-2, 0.0, "failed"),
        (0.0, np.nan, "failed"),
    ],
)
def test_each_part_has_its_scale_and_its_tolerance(boxes, scores, verdict):
    result = judge(Fake(lambda _: two(boxes, scores)), ROOT, TWO, POWER, bare=BARE)
    assert result.verdict == verdict
    assert [(part.bare, part.tolerance) for part in result.parts.values()] == [(1e-5, pytest.approx(1e-4)), (1e-8, 4e-6)]
    assert (result.bare, result.tolerance) == (1e-5, pytest.approx(1e-4))
    assert "y[:, 0:1]" in str(result.reason) or boxes < 6e-2
    assert "y[:, 1:2]" in str(result.reason) or verdict == "passed" or boxes


def test_a_mistake_has_to_show_in_every_part():
    hidden = Control("swap", 3e-5, None, {"y[:, 0:1]": 0.5, "y[:, 1:2]": 3e-5})
    result = judge(Fake(lambda _: two(0.0, 0.0)), ROOT, TWO, replace(POWER, controls=(hidden,)), bare=BARE)
    assert (result.verdict, result.reason) == (
        "inconclusive",
        "these mistakes would move y[:, 1:2] by less than 10 tolerances of 4.0e-06: swap 3.0e-05",
    )
    assert POWER.weakness({"y[:, 0:1]": 1e-4, "y[:, 1:2]": 1e-6}, {"y[:, 0:1]": 1e-5, "y[:, 1:2]": 2e-6}) == (
        "the bare backbone in float32 is itself 2.0e-06 from float64 in y[:, 1:2], more than the tolerance of 1.0e-06"
    )


def test_what_one_rounding_moves_is_noise_of_that_part():
    truths = {"y[:, 0:1]": OutputTruth(FLOAT64, 1e-5), "y[:, 1:2]": OutputTruth(FLOAT64, 1e-8, rounding=5e-6)}
    power = replace(POWER, truths=truths)
    assert [power.bounds(key, BARE[key])[0] for key in PARTS] == [pytest.approx(1e-4), pytest.approx(5e-5)]
    assert power.bare_errors == BARE


def test_what_is_unresolved_is_so_by_its_channel():
    mask = np.array([[False, True]])
    (case,) = TWO
    unresolved = replace(case, unresolved={"y": mask})
    assert differences(two(0.0, 1.0), unresolved, PARTS) == {"y[:, 0:1]": 0.0, "y[:, 1:2]": 0.0}
    assert movements(two(60.0, 1.0), unresolved, PARTS) == {"y[:, 0:1]": pytest.approx(0.1), "y[:, 1:2]": 0.0}
    assert movements({"y": np.zeros((2, 2))}, case, PARTS) == dict.fromkeys(PARTS, 1.0)


def test_a_report_is_read_as_it_was_written_and_older_ones_without_parts():
    result = judge(Fake(lambda _: two(0.0, 0.0)), ROOT, TWO, POWER, bare=BARE)
    report = Report("m", "x", "yes", POWER, (result,))
    written = report.to_json()
    assert Report.from_json(written) == report
    assert report.bare_errors(Fake(None)) == BARE
    del written["power"]["groups"], written["results"][0]["parts"]
    older = Report.from_json(written)
    assert older.power.parts == {"y": Part("y", 600.0)}
    assert older.bare_errors(Fake(None)) == {"y": 1e-5}
    off = judge(Fake(lambda _: two(0.0, 5e-6)), ROOT, TWO, older.power, bare={"y": 1e-5})
    assert off.verdict == "passed"
