"""What scores say."""

import math

import numpy as np
import pytest

from preproc.diagnosis.experiment.scores import (
    LOGITS,
    PROBABILITIES,
    UNCALIBRATED,
    calibration_error,
    chosen,
    kind_of,
    outcome,
    reliability,
)
from preproc.errors import PreprocError


def test_kinds_of_scores():
    assert kind_of(np.array([[2.0, -1.0]])) == LOGITS
    assert kind_of(np.array([[0.25, 0.75], [1.0, 0.0]])) == PROBABILITIES
    assert kind_of(np.array([[0.9, 0.8]])) == UNCALIBRATED
    assert kind_of(np.array([[np.nan, 0.8]])) == LOGITS


def test_logits_are_read_through_softmax_and_probabilities_are_not():
    scores = np.array([1.0, 3.0, 2.0])
    powers = np.exp(scores) / np.exp(scores).sum()
    found = outcome(scores, 2, LOGITS)
    assert (found.answer, found.confidence) == (1, pytest.approx(powers[1], rel=1e-5))
    assert found.loss == pytest.approx(-math.log(powers[2]), rel=1e-5)
    assert outcome(powers, 2, PROBABILITIES) == found
    assert outcome(1000 * scores, 1, LOGITS).confidence == 1.0  # no overflow
    assert outcome(np.array([np.nan, 1.0]), 0, LOGITS).answer == -1


def test_the_calibration_error_by_hand():
    sure, right = np.array([0.95, 0.95, 0.95, 0.95, 0.3, 0.3]), np.array([True, True, True, False, True, False])
    assert calibration_error(sure, right) == pytest.approx((4 * abs(0.75 - 0.95) + 2 * abs(0.5 - 0.3)) / 6)
    assert [len(each) for each, _, _ in reliability(sure, right)] == [2, 4]
    assert calibration_error(np.array([1.0, 1.0, 0.0]), np.array([True, True, False])) == 0


def test_which_output_has_the_classes():
    table, maps, ids = np.zeros((2, 5)), np.zeros((2, 5, 7, 7)), np.zeros((2, 1), np.int64)
    assert chosen({"maps": maps, "scores": table, "ids": ids}, 2).shape == (2, 5)
    assert chosen({"scores": np.zeros((2, 5, 1, 1))}, 2).shape == (2, 5)
    for outputs, told in (({"maps": maps}, "none in maps float64"), ({"a": table, "b": table}, "several in a .*name it in the recipe")):
        with pytest.raises(PreprocError, match=told) as caught:
            chosen(outputs, 2)
        assert caught.value.name == "no-classes"
