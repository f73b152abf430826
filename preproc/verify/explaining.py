"""Which mistake in its input a wrong answer comes from: the one to which the original answers just so."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..diagnosis import Mistake, Mistakes
from ..errors import PreprocError
from ..steps import Step, divided
from .cases import Answers, Case
from .difference import movements
from .parts import Part, is_exact
from .precision import MARGIN
from .runtimes import Outputs

ASKED = 3
"""Inputs whose wrong answers are explained, the first ones."""


@dataclass(frozen=True)
class Explanation:
    """mistakes: by the names of those that explain the answers.  told: it in words, with the figures."""

    mistakes: tuple[str, ...]
    told: str


Explain = Callable[[Sequence[tuple[Case, Outputs]], Mapping[str, Part], Mapping[str, float]], Explanation | None]
"""Of a runtime's answers, in these parts, and how far it may be off in each."""


def explainer(sequence: Sequence[Step], original: Callable[[], Answers]) -> Explain:
    """What explains answers of a file that has these steps. original: opens the network behind them, when it is asked for; where that
    raises PreprocError, or needs what is not installed, nothing is explained."""

    def explain(answered: Sequence[tuple[Case, Outputs]], parts: Mapping[str, Part], tolerances: Mapping[str, float]) -> Explanation | None:
        try:
            truth = original()
        except (PreprocError, ImportError):
            return None
        return explanation(sequence, truth, answered, parts, tolerances)

    return explain


def explanation(
    sequence: Sequence[Step],
    truth: Answers,
    answered: Sequence[tuple[Case, Outputs]],
    parts: Mapping[str, Part],
    tolerances: Mapping[str, float],
) -> Explanation | None:
    """The mistakes to which the original answers what was answered, within the tolerances, on every input, where what was expected, and the
    answers to every other mistake, are MARGIN times further off; else None. What is off by a MARGINth of a tolerance is off by nothing: so
    much the original's own roundings make."""
    layout = divided(sequence)[0].layout
    made = Mistakes(sequence, answered[0][0].pictures.shape[-1 if layout == "NHWC" else -3])
    off = dict.fromkeys((mistake.name for mistake in made.all), 0.0)
    for case, got in answered:
        for mistake in made.all:
            if off[mistake.name] <= MARGIN:  # what is further away says nothing more
                off[mistake.name] = max(off[mistake.name], _off(made, mistake, truth, case, got, parts, tolerances))
        if min(off.values()) > 1:
            return None
    left = [mistake for mistake in made.all if off[mistake.name] <= 1]
    further = max(off[mistake.name] for mistake in left)
    beyond = max(MARGIN * further, 1.0)
    right = max(_apart(case.expected, case, got, parts, tolerances) for case, got in answered)
    if min(right, *(apart for apart in off.values() if apart > 1)) < beyond:
        return None
    others = {mistake: off[mistake.name] for mistake in made.all if mistake not in left and np.isfinite(off[mistake.name])}
    words = " or ".join(dict.fromkeys(mistake.words for mistake in left))
    told = f"the original answers the same to a wrong input: {words} (off by {further:.1g} tolerances"
    if others:
        second = min(others, key=lambda mistake: others[mistake])
        told += f"; the next, {second.words}, by {others[second]:.1g}"
    return Explanation(tuple(mistake.name for mistake in left), f"{told})")


def _off(
    made: Mistakes,
    mistake: Mistake,
    truth: Answers,
    case: Case,
    got: Outputs,
    parts: Mapping[str, Part],
    tolerances: Mapping[str, float],
) -> float:
    """How many tolerances the answer is from that to a mistake: these grow with what the original answers."""
    try:
        ready = made.ready(case.pictures, mistake)
        with np.errstate(all="ignore"):
            expected = truth(ready)
    except PreprocError:  # a picture that cannot be wrong so, or that the network does not take
        return float("inf")
    if expected.keys() != case.expected.keys():
        return float("inf")
    return _apart({name: expected[name] for name in case.expected}, case, got, parts, tolerances)


def _apart(
    expected: Mapping[str, NDArray[Any]], case: Case, got: Outputs, parts: Mapping[str, Part], tolerances: Mapping[str, float]
) -> float:
    wrong = replace(case, expected=expected, unresolved={})
    if any(wrong.expected[name].shape != got[name].shape for name in got):
        return float("inf")
    apart = movements(got, wrong, parts)
    return max(apart[key] / (tolerances[key] * _larger(part, wrong)) for key, part in parts.items())


def _larger(part: Part, case: Case) -> float:
    values = case.expected[part.output]
    if is_exact(values) or part.scale <= 0:
        return 1.0
    return max(1.0, float(np.abs(part.of(values)).max(initial=0.0)) / part.scale)
