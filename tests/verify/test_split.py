"""What an error in a lower precision is made of: each step from the truth to the runtime's answer by itself."""

import numpy as np
import pytest

from preproc.errors import VerificationError
from preproc.verify import Between, Case, Power, judge
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
    assert result.parts["y"].split == Split(pytest.approx(0.02), pytest.approx(0.02), pytest.approx(0.02))
    assert result.parts["z"].split == Split(0.0, 0.0, pytest.approx(0.005))


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
