"""What an error in a lower precision is made of: each step from the truth to the runtime's answer by itself."""

from dataclasses import replace

import numpy as np
import pytest

from preproc.cli.tables import print_report
from preproc.errors import VerificationError
from preproc.verify import Between, Case, Power, Report, judge
from preproc.verify.power import Control
from preproc.verify.precision import GROSS
from preproc.verify.split import Split
from tests.conftest import ROOT
from tests.verify.fake import Fake

TRUTH = np.array([[4.0, 2.0]])
CASES = [Case(name, np.zeros((1, 2, 2, 3), np.uint8), {"y": TRUTH, "z": TRUTH}) for name in ("one", "two")]
POWER = Power({"y": 4.0, "z": 4.0}, 0.0, 1e-6, tuple(Control(name, 0.9) for name in GROSS), 0.01, precision="float16")


def answers(y, z):
    return {"y": TRUTH + y, "z": TRUTH + z}


def test_each_step_is_by_part_and_the_largest_of_the_cases_that_have_it():
    between = {"one": Between(answers(0.04, 0.0), answers(0.12, 0.0)), "two": Between(answers(0.08, 0.0), answers(0.08, 0.0))}
    result = judge(Fake(lambda _: answers(0.16, 0.02)), ROOT, CASES, POWER, bare={"y": 0.04, "z": 0.04}, between=between)
    assert result.verdict == "passed"
    assert result.parts["y"].split == Split(*[pytest.approx(0.02)] * 3, pytest.approx(0.04))
    assert result.parts["z"].split == Split(0.0, 0.0, pytest.approx(0.005), pytest.approx(0.005))


def test_rows_whose_number_is_luck_are_no_share_of_0_but_said_not_to_be_measured(capsys):
    """As a NonMaxSuppression's in 8 bits: nothing of it is compared, or the answer in between has another number."""
    one = replace(CASES[0], unresolved={"z": np.array(True)})
    other = Between(answers(0.04, 0.0), {"y": TRUTH, "z": np.concatenate([TRUTH, TRUTH])})
    for between, told in ((Between(answers(0.04, 0), answers(0.12, 0)), "nothing of it is compared"), (other, "expected z of shape")):
        cases = [one if told.startswith("nothing") else CASES[0]]
        result = judge(Fake(lambda _: answers(0.1, 0)), ROOT, cases, POWER, bare={"y": 0.04, "z": 0.04}, between={"one": between})
        assert result.verdict == "passed", result
        assert result.parts["z"].split is None
        print_report(Report("m", "x", "yes", POWER, (result,)))
        line = next(line for line in capsys.readouterr().out.splitlines() if "the error in z is made of was not measured: " in line)
        assert told in line


def test_nothing_is_said_where_nothing_was_evaluated():
    result = judge(Fake(lambda _: answers(0.0, 0.0)), ROOT, CASES, POWER, bare={"y": 0.04, "z": 0.04})
    assert [part.split for part in result.parts.values()] == [None, None]


def test_the_steps_reach_from_the_truth_to_the_answer():
    """So that no error is left out: it is no larger than their sum."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        got, narrowed, handled = (answers(*rng.normal(size=2)) for _ in range(3))
        split = Between(narrowed, handled).split(got, CASES[0], POWER.parts)
        for name, values in got.items():
            assert np.abs(values - TRUTH).max() / 4 <= (split[name].input + split[name].weights + split[name].rest) * (1 + 1e-12)


def test_other_outputs_are_no_split():
    with pytest.raises(VerificationError, match="expected the outputs y, z, got z"):
        Between({"z": TRUTH}, answers(0, 0)).split(answers(0, 0), CASES[0], POWER.parts)
