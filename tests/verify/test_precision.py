"""A precision lower than float32 is judged by what the bare network errs by in it: what passes, what its noise hides, what it must not."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from preproc.verify import FLOAT64, NOISE, Case, OutputTruth, Power, Report, Result, further_draws, judge, settled
from preproc.verify.doubling import moved_by_a_rounding
from preproc.verify.parts import Part
from preproc.verify.power import Control
from preproc.verify.precision import GROSS, LEAST, UNITS
from preproc.verify.report import PartResult
from preproc.verify.runtimes import OrtCpu
from preproc.verify.split import Split
from preproc.verify.unresolved import with_unresolved
from tests.conftest import ROOT
from tests.verify.fake import Fake

SHIFT = "mean shifted by one grey level"
CASES = [Case("one", np.zeros((1, 2, 2, 3), np.uint8), {"y": np.array([[1.0, 0.5]])})]


class Tf32(Fake):
    name, reduced = "ort-cuda", True


def power(precision="float16", gross=0.5, **changes):
    controls = (Control(SHIFT, 2e-3), *(Control(name, gross) for name in GROSS), Control("uncorrected border", None, "no padding"))
    return replace(Power({"y": 1.0}, 1e-7, 4e-6, controls, 0.01, precision=precision), **changes)


def off(by, kind=Fake):
    return kind(lambda _: {"y": CASES[0].expected["y"] + by})


@pytest.mark.parametrize(
    ("error", "bare", "changes", "verdict", "reason"),
    [
        (1.9e-3, 1e-3, {}, "passed", None),
        (2.5e-3, 1e-3, {}, "inconclusive", "which the bare network alone, 1.0e-03 from float64 here, can account for"),
        (3.5e-3, 1e-3, {}, "failed", "error 3.50e-03 on one, tolerance 2.0e-03"),
        (1.5e-2, 1e-2, {"precision": "bfloat16"}, "passed", None),
        (1.5e-1, 1e-1, {"precision": "int8"}, "passed", None),
        (
            1.5e-1,
            1e-1,
            {"precision": "int8", "gross": 0.29},
            "inconclusive",
            "by less than 3.0e-01, the tolerance of 2.0e-01 and the noise",
        ),
        (3.1e-1, 1e-1, {"precision": "int8", "gross": 0.29}, "failed", "tolerance 2.0e-01"),
        (2.5e-3, 1e-3, {"truths": {"y": OutputTruth(FLOAT64, 1e-3, drawn=1.3e-3)}}, "passed", None),  # the bare network was lucky
        (2.9e-3, 1e-3, {"truths": {"y": OutputTruth(FLOAT64, 1e-3, drawn=1.3e-3)}}, "inconclusive", "the bare network alone"),
        (2.9e-3, 1e-3, {"truths": {"y": OutputTruth(FLOAT64, 1e-3, drawn=9e-3)}}, "passed", None),
        (3.1e-3, 1e-3, {"truths": {"y": OutputTruth(FLOAT64, 1e-3, drawn=9e-3)}}, "failed", "tolerance 3.0e-03"),  # what failed fails
        (3e-6, 1e-9, {}, "passed", None),
        (6e-6, 1e-9, {}, "failed", f"tolerance {LEAST:.1e}"),
        (0.0, None, {}, "inconclusive", "the bare network in float16 was not measured in this runtime"),
        (np.nan, None, {}, "failed", "error inf"),
        (4e-3, 1e-3, {"asked": 5e-3}, "passed", None),
        (6e-3, 1e-3, {"asked": 5e-3}, "failed", "tolerance 5.0e-03"),
        (4e-3, None, {"asked": 5e-3}, "passed", None),
        (1e-3, 6e-3, {"asked": 5e-3}, "inconclusive", "the bare backbone in float16 is itself 6.0e-03 from float64"),
        (2.4e-3, 1e-3, {"slack": 5e-4}, "passed", None),
        (1.9e-3, 0.0, {"truths": {"y": OutputTruth(NOISE, 1e-3)}}, "passed", None),
        (3.5e-3, 0.0, {"truths": {"y": OutputTruth(NOISE, 1e-3)}}, "failed", "tolerance 2.0e-03"),
        (5e-4, 1e-3, {"precision": "float32"}, "inconclusive", "itself 1.0e-03 from float64"),
        (1.5e-4, 1e-4, {"precision": "tf32"}, "inconclusive", "the bare network alone"),  # this runtime does not multiply in it
    ],
)
def test_verdicts(error, bare, changes, verdict, reason):
    result = judge(off(error), ROOT, CASES, power(**changes), bare=None if bare is None else {"y": bare})
    assert result.verdict == verdict, result
    assert reason is None or reason in str(result.reason)


@pytest.mark.parametrize(("bare", "hidden"), [(1e-4, ()), (7e-4, (SHIFT,))])
def test_what_the_noise_hides_is_told_and_the_rest_would_have_shown(bare, hidden):
    result = judge(off(bare), ROOT, CASES, power(), bare={"y": bare})
    assert (result.verdict, result.hidden, result.precision) == ("passed", hidden, "float16")


@pytest.mark.parametrize("name", GROSS)
def test_no_noise_may_hide_a_gross_mistake(name):
    controls = tuple(Control(f"pixels_b: {other}", 1e-3 if other == name else 0.5) for other in GROSS)
    result = judge(off(0), ROOT, CASES, power(controls=controls), bare={"y": 1e-3})
    assert result.verdict == "inconclusive"
    assert f"pixels_b: {name} 1.0e-03" in result.reason


def test_where_no_gross_mistake_can_happen_every_other_one_has_to_show():
    """As on one channel, behind a Standardize."""
    controls = (Control(SHIFT, None, "it changes nothing"), Control("uncorrected border", 2e-3))
    seen, hidden = (judge(off(0), ROOT, CASES, power(controls=controls), bare={"y": bare}) for bare in (1e-4, 1e-3))
    assert (seen.verdict, hidden.verdict) == ("passed", "inconclusive")


def test_classes_that_no_mistake_moves_are_inconclusive():
    cases = [replace(CASES[0], expected={"y": np.array([[3, 4]])})]
    controls = tuple(Control(name, 0.0, movements={"y": 0.0}) for name in GROSS)
    blind = power(controls=controls, exact=("y",))
    result = judge(Fake(lambda _: cases[0].expected), ROOT, cases, blind, bare={"y": 0.0})
    assert result.verdict == "inconclusive"


@pytest.mark.parametrize(
    ("kind", "precision", "error", "verdict"),
    [(Tf32, "float32", 8e-4, "passed"), (Tf32, "tf32", 8e-4, "passed"), (Tf32, "tf32", 2e-3, "failed"), (Fake, "tf32", 2e-3, "failed")],
)
def test_tf32_is_judged_where_a_runtime_multiplies_in_it(kind, precision, error, verdict):
    result = judge(off(error, kind), ROOT, CASES, power(precision), bare={"y": 5e-4 if kind is Tf32 else 1e-7})
    assert result.verdict == verdict
    assert result.precision == ("tf32" if kind is Tf32 else "float32")
    assert result.tolerance == (1e-3 if kind is Tf32 else LEAST)


def test_the_smallest_shift_is_beyond_tolerance_and_noise():
    results = [judge(off(0), ROOT, CASES, power(), bare={"y": bare}) for bare in (1e-4, 7e-4)]
    asked = []
    made = settled(power(), results, lambda seen: asked.append(dict(seen)))
    assert asked == [{"y": pytest.approx(2.1e-3)}]
    assert made.tolerance == pytest.approx(1.4e-3)


def test_a_report_is_read_again_and_an_older_one_too():
    split = Split(1e-4, 2e-4, 3e-4)
    result = Result("ort-cuda", "passed", error=5e-4, bare=3e-4, parts={"y": PartResult(5e-4, 3e-4, 6e-4, split)}, hidden=(SHIFT,))
    report = Report("m", "x", "yes", power("tf32"), (replace(result, precision="tf32"),), tf32=True)
    told = json.loads(json.dumps(report.to_json()))
    again = Report.from_json(told)
    assert (again.results, again.power.precision, json.loads(json.dumps(again.to_json()))) == (report.results, "tf32", told)
    for key in ("precision", "hidden"):
        del told["results"][0][key]
    del told["results"][0]["parts"]["y"]["split"], told["power"]["precision"]
    older = Report.from_json(told)
    assert older.results == (replace(report.results[0], hidden=(), parts={"y": PartResult(5e-4, 3e-4, 6e-4)}),)
    assert older.power.precision == "float32"


def test_what_the_bare_network_errs_by_in_another_precision_says_nothing():
    half = Result("ort-cpu", "passed", bare=1e-3, precision="float16", parts={"y": PartResult(1e-3, 1e-3, 2e-3)})
    usual = replace(half, precision="float32")
    assert Report("m", "x", "yes", power(), (half,)).bare_errors(OrtCpu()) == {"y": 1e-3}
    assert Report("m", "x", "yes", power("tf32"), (usual,)).bare_errors(Tf32(None)) is None
    assert Report("m", "x", "yes", power("tf32"), (usual,)).bare_errors(OrtCpu()) == {"y": 1e-3}


def test_a_rounding_is_as_large_as_the_precisions_own():
    cases = [replace(CASES[0], ready=np.full((1, 3, 2, 2), 0.75), expected={"y": np.full((1, 3), 0.75)})]
    moved = {
        name: moved_by_a_rounding(cases, lambda x: {"y": x[:, :, 0, 0]}, {"y": Part("y", 0.75)}, lambda _: None, name)["y"]
        for name in ("float32", "float16", "bfloat16")
    }
    assert moved == {"float32": pytest.approx(2**-24 / 0.75), "float16": 2 * UNITS["float16"], "bfloat16": 2 * UNITS["bfloat16"]}


def test_a_tie_that_roundings_in_half_precision_decide_is_not_compared():
    class Largest:
        def __call__(self, x):
            return {"y": (x[:, :, 0, 0] > 0.7503).astype(np.int64)}

    cases = [replace(CASES[0], ready=np.full((1, 3, 2, 2), 0.75), expected={"y": np.zeros((1, 3), np.int64)})]
    usual, half = (with_unresolved(cases, Largest(), {"y": Part("y", 1.0)}, precision=name)[0] for name in ("float32", "float16"))
    assert usual.unresolved == {}
    assert half.unresolved["y"].any()


def test_further_draws_are_of_networks_that_answer_a_few_numbers_in_less_than_float32():
    def exact(x):
        return {"y": x.sum(axis=(2, 3))}

    ready = np.full((1, 3, 2, 2), 0.75)
    case = Case("one", np.zeros((1, 2, 2, 3), np.uint8), exact(ready), ready=ready)
    made = further_draws([case], exact, "float16")
    assert [each.name for each in made] == ["one times 0.97", "one times 0.93", "one times 0.87"]
    assert all(np.array_equal(each.expected["y"], exact(each.ready)["y"]) for each in made)
    assert len({float(np.float16(each.ready.flat[0]) / each.ready.flat[0]) for each in made}) == 3  # rounded otherwise
    many, classes = ({"y": values} for values in (np.zeros((1, 101)), np.array([3])))
    for cases, precision in (([case], "float32"), ([replace(case, expected=many)], "int8"), ([replace(case, expected=classes)], "int8")):
        assert further_draws(cases, exact, precision) == []


def test_nothing_is_infinite_in_a_report():
    result = judge(off(0), ROOT, CASES, power(), bare=None)
    assert max(part.tolerance for part in result.parts.values()) < sys.float_info.max
    json.dumps(Report("m", "x", "yes", power(), (result,)).to_json(), allow_nan=False)
