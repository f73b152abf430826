"""What an experiment has found: a row per variant, compared with the first one on the same pictures; and its answer in a sentence."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...sources import PixelsSpec
from .data import Classes
from .paired import mcnemar, paired, those_that_differ, wilson
from .plan import Variant
from .scores import UNCALIBRATED, Outcome, calibration_error, reliability
from .timing import Cost

Interval = tuple[float, float]


@dataclass(frozen=True)
class Accuracy:
    """right: pictures whose answer is their class.  interval: of the share of them.  lost, gained: pictures that the first variant alone,
    and this one alone, has right.  difference: of the shares, with its paired interval.  chance: McNemar's exact p.  differs: whether that
    holds, all variants looked at."""

    right: int
    share: float
    interval: Interval
    lost: int
    gained: int
    difference: float
    difference_interval: Interval
    chance: float
    differs: bool


@dataclass(frozen=True)
class Row:
    """changed: pictures with another answer than the first variant gives.  no_answer: pictures whose scores were not finite.
    calibration_error, loss: None where the network's scores are no probabilities.  trained: of a network that was trained with it, too."""

    name: str
    what: str
    mistake: bool
    accuracy: Accuracy
    changed: int
    no_answer: int
    calibration_error: float | None
    loss: float | None
    cost: Cost
    trained: Accuracy | None = None


@dataclass(frozen=True)
class Picture:
    """name: its file.  label: the class that it has.  outcomes: of each variant."""

    name: str
    label: int
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class Compared:
    """An experiment. rows: the first is what the others are compared with.  answer: to the question whether it matters, in a sentence.
    pixels: what the first one takes.  kind: what the scores are."""

    model: str
    data: str
    pixels: PixelsSpec
    classes: Classes
    kind: str
    rows: tuple[Row, ...]
    pictures: tuple[Picture, ...]
    answer: str
    notes: tuple[str, ...]
    versions: dict[str, str]

    @property
    def images(self) -> int:
        return len(self.pictures)

    def changed(self, number: int) -> list[Picture]:
        """The pictures to which a variant gives another answer than the first; those first that lost most of their own class."""
        found = [each for each in self.pictures if each.outcomes[number].answer != each.outcomes[0].answer]
        return sorted(found, key=lambda each: (each.outcomes[0].loss - each.outcomes[number].loss, each.name))

    def reliability(self, number: int) -> list[tuple[int, float, float]]:
        """Of each bin of confidence that is not empty: pictures, mean confidence, share of right answers."""
        confidences, right = _sure(self.pictures, number)
        return [(len(each), sure, rate) for each, sure, rate in reliability(confidences, right)]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready: all numbers, and of each variant the pictures that changed their answer."""
        return {
            "format": "preproc-compare",
            "version": 1,
            "answer": self.answer,
            "model": self.model,
            "data": self.data,
            "images": self.images,
            "classes": len(self.classes.number_of),
            "classes_are": self.classes.how,
            "scores_are": self.kind,
            "variants": [self._row(number) for number in range(len(self.rows))],
            "notes": list(self.notes),
            "versions": self.versions,
        }

    def _row(self, number: int) -> dict[str, Any]:
        row, took = self.rows[number], self.rows[number].cost.took
        changed = [
            {
                "picture": each.name,
                "class": self.classes.name(each.label),
                "first": self.classes.name(each.outcomes[0].answer),
                "answer": self.classes.name(each.outcomes[number].answer),
            }
            for each in self.changed(number)
        ]
        return {
            "name": row.name,
            "what": row.what,
            "mistake": row.mistake,
            **vars(row.accuracy),
            "changed": changed,
            "no_answer": row.no_answer,
            "calibration_error": row.calibration_error,
            "loss": row.loss,
            "prepare_ms": took and took.prepare,
            "total_ms": took and took.total,
            "total_ms_within": took and list(took.within),
            "bytes": row.cost.sent,
            "trained": None if row.trained is None else vars(row.trained),
        }


def rows_of(
    variants: Sequence[Variant],
    pictures: Sequence[Picture],
    costs: Sequence[Cost],
    trained: dict[str, list[Outcome]],
    kinds: Sequence[str],
) -> tuple[Row, ...]:
    """trained: by the variant's name, of each picture.  kinds: of each variant's scores."""
    labels = [each.label for each in pictures]
    answers = [[each.outcomes[number].answer for each in pictures] for number in range(len(variants))]
    accuracies = _accuracies(answers, labels)
    again = dict(zip(trained, _accuracies([[each.answer for each in outcomes] for outcomes in trained.values()], labels), strict=True))
    rows = []
    for number, (variant, accuracy, cost) in enumerate(zip(variants, accuracies, costs, strict=True)):
        confidences, right = _sure(pictures, number)
        told = kinds[number] != UNCALIBRATED
        rows.append(
            Row(
                variant.name,
                variant.what,
                variant.mistake,
                accuracy,
                sum(one != other for one, other in zip(answers[0], answers[number], strict=True)),
                answers[number].count(-1),
                calibration_error(confidences, right) if told else None,
                float(np.mean([each.outcomes[number].loss for each in pictures])) if told else None,
                cost,
                again.get(variant.name),
            )
        )
    return tuple(rows)


def _sure(pictures: Sequence[Picture], number: int) -> tuple[Any, Any]:
    """Confidence, and whether right, of each."""
    outcomes = [each.outcomes[number] for each in pictures]
    right = [outcome.answer == each.label for outcome, each in zip(outcomes, pictures, strict=True)]
    return np.array([outcome.confidence for outcome in outcomes]), np.array(right)


def _accuracies(answers: Sequence[Sequence[int]], labels: Sequence[int]) -> list[Accuracy]:
    """Of each variant, against the first."""
    right = [[answer == label for answer, label in zip(each, labels, strict=True)] for each in answers]
    counts = []
    for each in right:
        pairs = list(zip(right[0], each, strict=True))
        counts.append((pairs.count((True, False)), pairs.count((False, True))))
    chances = [mcnemar(*count) for count in counts]
    differ = [False, *those_that_differ(chances[1:])] if chances else []
    number = len(labels)
    return [
        Accuracy(
            sum(each),
            sum(each) / number,
            wilson(sum(each), number),
            lost,
            gained,
            (gained - lost) / number,
            paired(lost, gained, number) if place else (0.0, 0.0),
            chance,
            differs,
        )
        for place, (each, (lost, gained), chance, differs) in enumerate(zip(right, counts, chances, differ, strict=True))
    ]


def answer_of(rows: Sequence[Row], labels: Sequence[int], *, trained: bool) -> str:
    """Whether it matters, with intervals, from what was counted alone. labels: of the pictures.  trained: whether the weights are."""
    first, others, count = rows[0], rows[1:], len(labels)
    own = _reads(first, count)
    if not trained:
        return f"This shows nothing, for the model's weights are random, made with no preprocessing: {own}."
    if not others:
        return f"{own[0].upper()}{own[1:]}; there is no other variant to compare it with."
    worse = sorted((row for row in others if row.accuracy.differs and row.accuracy.difference < 0), key=lambda row: row.accuracy.difference)
    better = sorted(
        (row for row in others if row.accuracy.differs and row.accuracy.difference > 0), key=lambda row: -row.accuracy.difference
    )
    if not worse and not better:
        commonest = max(Counter(labels).values())
        if max(row.accuracy.interval[0] for row in rows) <= commonest / count:
            return (
                f"These {count:,} pictures show nothing: {own}, and no variant is shown to read more than who always answers the "
                f"commonest class, {commonest:,} of them; look whether the classes are the model's, or give more pictures."
            )
        most = max(-row.accuracy.difference_interval[0] for row in others)
        return (
            f"These {count:,} pictures do not show that it matters: {own}, and none of {len(others)} other variants differs from that by "
            f"more than chance explains; their intervals, of 95 % each, leave room for a loss of up to {100 * most:.1f} points."
        )
    told = [f"It matters: {own}"]
    if worse:
        told.append(f"{len(worse)} of {len(others)} other variants read fewer, {_named(worse)}")
    if better:
        told.append(f"{len(better)} of {len(others)} read more, {_named(better)}: look whether the recipe is right")
    return "; ".join(told) + "."


def _reads(row: Row, count: int) -> str:
    low, high = row.accuracy.interval
    share = f"{_percent(row.accuracy.share)} ({_percent(low)} to {_percent(high)})"
    return f"with {row.name!r} the model reads {row.accuracy.right:,} of {count:,} right, {share}"


def _named(rows: Sequence[Row]) -> str:
    """The one with the largest difference, and where there are several, the one with the smallest."""
    chosen = [rows[0]] if len(rows) == 1 else [rows[0], rows[-1]]
    return " to ".join(f"{row.name!r} by {points(row.accuracy)}" for row in chosen)


def points(accuracy: Accuracy) -> str:
    """The difference in points, without its sign, and its interval."""
    low, high = sorted(abs(limit) if limit * accuracy.difference > 0 else -abs(limit) for limit in accuracy.difference_interval)
    return f"{abs(100 * accuracy.difference):.1f} points ({100 * low:.1f} to {100 * high:.1f})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
