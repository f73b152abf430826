"""What a runtime answered, judged: right, wrong, absent, or nothing that could show a mistake."""

import re
from dataclasses import replace

import numpy as np
import pytest

from preproc.errors import BundleError, RuntimeAbsentError, VerificationError
from preproc.verify import FLOAT64, NOISE, Case, OutputTruth, Power, judge
from preproc.verify.power import Control
from tests.conftest import ROOT
from tests.verify.fake import CASES, EXPECTED, POWER, Fake


@pytest.mark.parametrize(
    ("runtime", "verdict", "reason"),
    [
        (Fake(lambda _: EXPECTED), "passed", None),
        (Fake(lambda _: {"y": EXPECTED["y"] + 3e-6}), "failed", "error 1.50e-06 on one"),
        (Fake(lambda _: {"y": EXPECTED["y"] * np.nan}), "failed", "error inf"),
        (Fake(lambda _: {"y": EXPECTED["y"][:, :1]}), "failed", r"of shape \(1, 2\), got \(1, 1\)"),
        (Fake(lambda _: {"z": EXPECTED["y"]}), "failed", "expected the outputs y, got z"),
        (Fake(lambda _: {"y": EXPECTED["y"].astype(np.complex64)}), "failed", "like float64, got complex64"),
        (Fake(lambda _: 1 / 0), "failed", "on one: ZeroDivisionError"),
        (Fake(None, absent=RuntimeAbsentError("no device")), "absent", "no device"),
        (Fake(None, absent=BundleError("broken")), "failed", "broken"),
        (Fake(lambda _: EXPECTED, proof=VerificationError("ran on the CPU")), "failed", "ran on the CPU"),
    ],
)
def test_judge(runtime, verdict, reason):
    result = judge(runtime, ROOT, CASES, POWER)
    assert result.verdict == verdict
    assert reason is None or re.search(reason, str(result.reason))
    assert runtime.closed


@pytest.mark.parametrize(
    ("power", "weakness"),
    [
        (POWER, None),
        (Power({"y": 0.0}, 0, 1e-6, (), None), "output y is zero"),
        (Power({"y": 1.0}, 1e-3, 1e-4, (), None), "itself 1.0e-03 from float64"),
        (Power({"y": 1.0}, 0, 1e-4, (Control("channels swapped", 9e-4),), None), "channels swapped 9.0e-04"),
        (Power({"y": 1.0}, 0, 1e-4, (Control("channels swapped", None, "one channel"),), None), "none of the known mistakes could show"),
    ],
)
def test_weakness(power, weakness):
    found = power.weakness()
    assert (found is None) == (weakness is None)
    assert weakness is None or weakness in str(found)
    assert judge(Fake(lambda _: EXPECTED), ROOT, CASES, power).verdict == ("inconclusive" if weakness else "passed")


def power(**changes):
    return replace(Power({"y": 1.0}, 1e-7, 4e-6, (Control("mean shifted by one grey level", 0.5),), 0.01), **changes)


def off(by):
    return Fake(lambda _: {"y": np.array([[1.0 + by]])})


@pytest.mark.parametrize(
    ("error", "bare", "changes", "verdict", "reason"),
    [
        (3e-6, 1e-8, {}, "passed", None),
        (5e-6, 1e-8, {}, "failed", "error 5.00e-06 on one, tolerance 4.0e-06"),
        (5e-5, 7e-6, {}, "passed", None),
        (8e-5, 7e-6, {}, "failed", "tolerance 7.0e-05"),
        (9e-5, 5e-5, {}, "passed", None),
        (2e-4, 5e-5, {}, "inconclusive", "the bare network alone, 5.0e-05 from float64 here, can account for"),
        (6e-4, 5e-5, {}, "failed", "tolerance 1.0e-04"),
        (2e-4, 3e-4, {}, "inconclusive", "the bare backbone in float32 is itself 3.0e-04 from float64"),
        (4e-3, 3e-4, {}, "failed", "error 4.00e-03"),
        (8e-4, 0.5, {}, "inconclusive", "the bare backbone in float32 is itself 5.0e-01 from float64"),
        (0.5, 0.5, {}, "failed", "the bare network alone errs by 5.0e-01 in this runtime"),
        (5e-3, 5e-3, {}, "failed", "the bare network alone errs by 5.0e-03 in this runtime"),
        (4e-3, 3e-4, {"asked": 5e-3}, "passed", None),
        (6e-3, 3e-4, {"asked": 5e-3}, "failed", "tolerance 5.0e-03"),
        (1e-3, 1e-8, {"asked": 0.1}, "inconclusive", "less than 10 tolerances of 1.0e-01"),
        (5e-5, None, {}, "failed", "tolerance 4.0e-06"),
        (5e-5, None, {"tolerance": 7e-5}, "passed", None),
        (5e-5, 1e-8, {"mixed": ("it",)}, "passed", None),
        (3e-4, 1e-8, {"slack": 4e-4}, "passed", None),
        (7e-4, 1e-8, {"slack": 4e-4}, "inconclusive", "which the roundings of a fast resize or the bare network alone"),
        (9e-4, 1e-8, {"slack": 4e-4}, "failed", "tolerance 4.0e-04"),
        (3e-4, 1e-8, {"slack": 4e-4, "slacks": {"y": 0.0, "z": 4e-4}}, "failed", "tolerance 4.0e-06"),
        (5e-5, 1e-8, {"truths": {"y": OutputTruth(NOISE, 6e-6)}}, "passed", None),
        (7e-5, 1e-8, {"truths": {"y": OutputTruth(NOISE, 6e-6)}}, "failed", "tolerance 6.0e-05"),
        (3e-4, 1e-8, {"truths": {"y": OutputTruth(NOISE, 1.0)}}, "inconclusive", "can account for"),
        (2e-3, 1e-8, {"truths": {"y": OutputTruth(NOISE, 1.0)}}, "inconclusive", "can account for"),
        (2e-3, 1e-8, {"truths": {"y": OutputTruth(NOISE, 5e-4)}}, "failed", "tolerance 1.0e-04"),
        (5e-5, 1e-8, {"truths": {"y": OutputTruth(FLOAT64, 6e-6)}}, "failed", "tolerance 4.0e-06"),
        (5e-3, 1e-8, {"steps": 6e-3}, "failed", "tolerance 4.0e-06"),
        (5e-3, 1e-8, {"steps": 6e-3, "room": 6e-3}, "passed", None),
        (7e-3, 1e-8, {"steps": 6e-3, "room": 6e-3}, "failed", "error 7.00e-03"),
        (5e-2, 1e-8, {"steps": 6e-2, "room": 6e-2}, "inconclusive", "less than 10 tolerances of 6.0e-02"),
        (5e-3, 1e-8, {"room": 6e-3, "asked": 1e-4}, "failed", "tolerance 1.0e-04"),
    ],
)
def test_verdicts_between_the_bounds(error, bare, changes, verdict, reason):
    cases = [Case("one", np.zeros((1, 2, 2, 3), np.uint8), {"y": np.array([[1.0]])})]
    result = judge(off(error), ROOT, cases, power(**changes), bare=None if bare is None else {"y": bare})
    assert (result.verdict, result.bare) == (verdict, bare)
    assert reason is None or reason in str(result.reason)


def test_room_for_steps_is_made_only_where_it_is_needed():
    """And the tolerance says it."""
    cases = [Case("one", np.zeros((1, 2, 2, 3), np.uint8), {"y": np.array([[1.0]])})]
    near, far = (judge(off(error), ROOT, cases, power(room=6e-2), bare={"y": 1e-8}) for error in (3e-6, 3e-2))
    assert (near.verdict, near.tolerance) == ("passed", 4e-6)
    assert (far.verdict, far.tolerance) == ("inconclusive", pytest.approx(6e-2 + 4e-6))


def test_what_was_seen_to_be_wrong_stays_wrong_when_the_device_runs_full():
    def answer(pixels):
        if pixels.any():
            raise RuntimeAbsentError("out of memory")
        return {"y": np.array([[9.0]])}

    expected = {"y": np.array([[1.0]])}
    cases = [Case(name, np.full((1, 2, 2, 3), value, np.uint8), expected) for value, name in enumerate(("one", "two"))]
    result = judge(Fake(answer), ROOT, cases, power(), bare={"y": 1e-8})
    assert (result.verdict, "error 8.00e+00 on one" in result.reason, "out of memory" in result.reason) == ("failed", True, True)
    assert judge(Fake(answer), ROOT, cases[1:], power(), bare={"y": 1e-8}).verdict == "absent"


def test_a_device_that_dies_behind_the_last_answer_is_one_line():
    expected = {"y": np.array([[1.0]])}
    cases = [Case("one", np.zeros((1, 2, 2, 3), np.uint8), expected)]
    result = judge(
        Fake(lambda _: expected, proof=RuntimeError("CUDA error: an illegal memory access")), ROOT, cases, power(), bare={"y": 1e-8}
    )
    assert (result.verdict, result.reason) == ("failed", "RuntimeError: CUDA error: an illegal memory access")
