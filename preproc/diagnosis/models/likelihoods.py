"""How right a network's answers to labelled pictures are, and how much worse than other answers to the same ones."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import student
from ..experiment import PROBABILITIES, chosen, kind_of
from .networks import Array, Network

CERTAIN = 0.999
"""Of the paired intervals that one has to be worse in, or better: there are some eighty."""
TEMPERATURES = np.geomspace(0.05, 50, 61)
"""That logits are divided by before they are compared, each candidate's own best: how sure a network is says little of its input."""


@dataclass(frozen=True)
class Likelihoods:
    """right: (N,), 1 where the answer is the picture's class, else 0.  likelihood: (N,), the logarithm of the probability of that class, at
    the temperature that is best for all."""

    right: Array
    likelihood: Array

    def is_worse(self, other: "Likelihoods") -> bool:
        """By more than chance, picture by picture."""
        return lowest(other.likelihood - self.likelihood, CERTAIN) > 0


def scores_of(network: Network, ready: Array) -> Array:
    """(N, classes): logits, or the logarithm of probabilities."""
    scores = chosen(network.answers(ready), len(ready))
    return np.log(np.maximum(scores, 1e-30)) if kind_of(scores) == PROBABILITIES else scores


def judged(logits: Array, truth: NDArray[Any]) -> Likelihoods:
    right = (logits.argmax(axis=1) == truth).astype(np.float64)
    usable = np.clip(np.nan_to_num(logits, nan=0.0), -1e30, 1e30)
    rows, best = np.arange(len(truth)), np.full(len(truth), -np.log(logits.shape[1]))
    for temperature in TEMPERATURES:
        scaled = (usable - usable.max(axis=1, keepdims=True)) / temperature
        likelihood = scaled[rows, truth] - np.log(np.exp(scaled).sum(axis=1))
        best = likelihood if likelihood.mean() > best.mean() else best
    return Likelihoods(right, best)


def lowest(differences: Array, share: float) -> float:
    """Where the interval of the mean of paired differences begins, Student's, for few pictures tell little of their own deviation."""
    count = len(differences)
    return float(differences.mean() - student(count - 1, share) * differences.std(ddof=1) / np.sqrt(count))
