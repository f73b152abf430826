"""What a network says of a picture: its answer, how sure it is of it, and how likely it found the picture's own class."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import PreprocError

LOGITS, PROBABILITIES, UNCALIBRATED = "logits", "probabilities", "scores that are no probabilities"
LEAST = 1e-12
"""A probability that is smaller counts as this one, and one that is no number, too."""
BINS = 15
"""Of the expected calibration error (Guo et al., 2017), of equal width."""


@dataclass(frozen=True)
class Outcome:
    """answer: the class with the largest score; -1 where they are no finite numbers.  confidence: its probability.  loss: the negative
    logarithm of the probability of the picture's own class."""

    answer: int
    confidence: float
    loss: float

    def to_json(self) -> list[float]:
        return [self.answer, self.confidence, self.loss]

    @staticmethod
    def from_json(data: Sequence[float]) -> "Outcome":
        return Outcome(int(data[0]), float(data[1]), float(data[2]))


def chosen(outputs: Mapping[str, NDArray[np.float64]], rows: int) -> NDArray[np.float64]:
    """The output that has scores of classes, (N, classes). Raises PreprocError where none has, or several have."""
    flat = {name: values.reshape(rows, -1) if values.shape[2:] in ((), (1, 1)) else values for name, values in outputs.items()}
    found = {name: values for name, values in flat.items() if values.shape[:1] == (rows,) and values.ndim == 2 and _are_scores(values)}
    if len(found) != 1:
        told = ", ".join(f"{name} {values.dtype} {values.shape}" for name, values in outputs.items())
        many = "several" if found else "none"
        raise PreprocError(
            f"expected one output with a score for each class, (pictures, classes), got {many} in {told}"
            + ('; name it in the recipe, [backbone] outputs = ["..."]' if found else ""),
            name="no-classes",
        )
    return next(iter(found.values()))


def _are_scores(values: NDArray[np.float64]) -> bool:
    return values.shape[1] > 1 and bool(np.issubdtype(values.dtype, np.floating))


def kind_of(scores: NDArray[np.float64]) -> str:
    """What the scores of some pictures are, by their values: probabilities where all of a picture's sum to one."""
    if not np.isfinite(scores).all() or scores.min() < 0 or scores.max() > 1:
        return LOGITS
    return PROBABILITIES if np.abs(scores.sum(axis=1) - 1).max() < 1e-3 else UNCALIBRATED


def outcome(scores: NDArray[np.float64], label: int, kind: str) -> Outcome:
    """scores: (classes,) of one picture.  Six digits are kept, so that it is the same when it was written down in between."""
    if not np.isfinite(scores).all():
        return Outcome(-1, 0.0, _six(-math.log(LEAST)))
    answer = int(scores.argmax())
    values = scores
    if kind == LOGITS:
        powers = np.exp(scores - scores.max())
        values = powers / powers.sum()
    return Outcome(answer, _six(float(values[answer])), _six(-math.log(max(float(values[label]), LEAST))))


def _six(value: float) -> float:
    return float(f"{value:.6g}")


def calibration_error(confidences: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """The expected calibration error: how far the share of right answers is from the confidence, over BINS of the latter."""
    return float(sum(len(each) * abs(rate - sure) for each, sure, rate in reliability(confidences, right)) / len(right))


def reliability(confidences: NDArray[np.float64], right: NDArray[np.bool_]) -> list[tuple[NDArray[np.int64], float, float]]:
    """Of each bin that is not empty: which pictures are in it, their mean confidence, their share of right answers."""
    places = np.clip(np.ceil(confidences * BINS).astype(int) - 1, 0, BINS - 1)
    members = [np.flatnonzero(places == number) for number in range(BINS)]
    return [(each, float(confidences[each].mean()), float(right[each].mean())) for each in members if len(each)]
