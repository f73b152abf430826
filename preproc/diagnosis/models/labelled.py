"""By a network's answers to pictures whose class is known."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...host import Progress, paced
from ...oracle import reference
from ...steps import ChannelAffine, FromPixels, Normalize, Step
from .. import Variant, at_least, student
from ..experiment import PROBABILITIES, Data, chosen, classes_of, kind_of, paired
from .answer import IDENTIFIED, IF_ALIKE, NARROWED, NOT_IDENTIFIED, ModelDiagnosis, Ranked, names_of
from .networks import Array, Network
from .subject import Subject

BY = "labels"
BATCH = 32
"""Pictures of one size that a network is asked of together."""
CERTAIN = 0.999
"""Of the paired intervals that a candidate has to be worse in: there are some sixty."""
USUAL = 0.95
"""Of the intervals that are told."""
MOST = 6
"""Candidates that an answer may leave."""
TEMPERATURES = np.geomspace(0.05, 50, 61)
"""That logits are divided by before they are compared, each candidate's own best: how sure a network is says little of its input."""
Z_SCORE_OF_THESE = "z-score of these pictures"
NEAR = 0.1
"""Of the pictures' deviation and scale: neighbours of the best candidate that have to be no better than it."""


@dataclass(frozen=True)
class Likelihoods:
    """right: (N,), 1 where the answer is the picture's class, else 0.  likelihood: (N,), the logarithm of the probability of that class, at
    the temperature that is best for all."""

    right: Array
    likelihood: Array


def by_labels(subject: Subject, data: Data, progress: Progress) -> ModelDiagnosis:
    """data: of FEWEST pictures or more. Raises PreprocError for classes that are none of the network's."""
    progress(f"reading {len(data.pictures)} pictures of {len(data.classes)} classes")
    pictures = [subject.read_one(Path(file)) for file, _ in data.pictures]
    batches = list(_batches(pictures))
    count = _scores_of(subject.network, pictures[0]).shape[1]
    classes = classes_of(data, subject.labels, count)
    truth = np.array([classes.number_of[label] for _, label in data.pictures])

    def asked(values: Sequence[Step], order: Sequence[int]) -> Likelihoods:
        ready = (reference.apply(values, batch[:, list(order)]) for batch in batches)
        return _judged(np.concatenate([_scores_of(subject.network, each) for each in ready]), truth)

    candidates = [(variant, subject.values(variant), subject.order(variant)) for variant in _candidates(subject, pictures)]
    stage = f"asking the network of {len(pictures)} pictures, once per candidate"
    scored = [(variant, values, order, asked(values, order)) for variant, values, order in paced(candidates, stage, progress)]
    scored.sort(key=lambda each: (-each[3].likelihood.mean(), -each[3].right.mean()))
    _, values, order, best = scored[0]
    ranked = tuple(_ranked(each, answers, best) for each, _, _, answers in scored)
    mean, std = _constants([reference.apply(values, batch[:, list(order)]) for batch in batches])
    neighbours = _neighbours(mean, std) if (std > 0).all() else {}
    better = [told for told, step in neighbours.items() if _lowest(asked((*values, step), order).likelihood - best.likelihood, CERTAIN) > 0]
    verdict, said = _verdict(ranked, best, float(np.bincount(truth).max() / len(truth)), next(iter(better), None))
    return ModelDiagnosis(subject.name, BY, verdict, said, len(pictures), ranked, notes=(f"classes: {classes.how}",))


def _candidates(subject: Subject, pictures: Sequence[Array]) -> Iterator[Variant]:
    """The variants, and the z-score of these pictures in each of their orders: a data set's own constants are no preset."""
    yield from (found := subject.variants())
    mean, std = _constants(pictures)
    if not (std > 0).all():
        return
    for first in dict.fromkeys(variant.steps[0] for variant in found):
        order = list(subject.order(Variant("", (first,), "")))
        constants = {"mean": tuple(mean[order]), "std": tuple(std[order])}
        own = Normalize(**constants, unit="0-255", origin="these pictures", constants_because="measured")
        behind = f", {first.to}" if isinstance(first, FromPixels) and len(order) > 1 else ""
        yield Variant(f"{Z_SCORE_OF_THESE}{behind}", (first, *subject.front[1:], own), "their own mean and std, as a data set's")


def _constants(pictures: Sequence[Array]) -> tuple[Array, Array]:
    """Mean and std of each channel over all pixels."""
    channels = pictures[0].shape[1]
    flat = np.concatenate([np.moveaxis(picture, 1, 0).reshape(channels, -1) for picture in pictures], axis=1)
    return flat.mean(axis=1), flat.std(axis=1)


def _batches(pictures: Sequence[Array]) -> Iterator[Array]:
    """Neighbours of one size, together."""
    for _, alike in itertools.groupby(pictures, key=lambda picture: picture.shape):
        whole = np.concatenate(list(alike))
        yield from (whole[at : at + BATCH] for at in range(0, len(whole), BATCH))


def _scores_of(network: Network, ready: Array) -> Array:
    """(N, classes): logits, or the logarithm of probabilities."""
    scores = chosen(network.answers(ready), len(ready))
    return np.log(np.maximum(scores, 1e-30)) if kind_of(scores) == PROBABILITIES else scores


def _judged(logits: Array, truth: NDArray[Any]) -> Likelihoods:
    right = (logits.argmax(axis=1) == truth).astype(np.float64)
    usable = np.clip(np.nan_to_num(logits, nan=0.0), -1e30, 1e30)
    rows, best = np.arange(len(truth)), np.full(len(truth), -np.log(logits.shape[1]))
    for temperature in TEMPERATURES:
        scaled = (usable - usable.max(axis=1, keepdims=True)) / temperature
        likelihood = scaled[rows, truth] - np.log(np.exp(scaled).sum(axis=1))
        best = likelihood if likelihood.mean() > best.mean() else best
    return Likelihoods(right, best)


def _ranked(variant: Variant, answers: Likelihoods, best: Likelihoods) -> Ranked:
    """With its differences to the best one, picture by picture."""
    lost, gained = (int((one.right > other.right).sum()) for one, other in ((best, answers), (answers, best)))
    low, high = paired(gained, lost, len(best.right))
    worse = best.likelihood - answers.likelihood
    measured: dict[str, float | tuple[float, float]] = {
        "accuracy": float(answers.right.mean()),
        "points lost": (100 * low, 100 * high),
        "log-likelihood": float(answers.likelihood.mean()),
        "lost": (_lowest(worse, USUAL) + 0.0, 0.0 - _lowest(-worse, USUAL)),
    }
    return Ranked(variant.name, variant.what, variant.steps, measured, kept=_lowest(worse, CERTAIN) <= 0 or high < 0)


def _lowest(differences: Array, share: float) -> float:
    """Where the interval of the mean of paired differences begins, Student's, for few pictures tell little of their own deviation."""
    count = len(differences)
    return float(differences.mean() - student(count - 1, share) * differences.std(ddof=1) / np.sqrt(count))


def _neighbours(mean: Array, std: Array) -> dict[str, Step]:
    """What is beside prepared values of this mean and std, in words: for what the network was trained with, none of these is better."""
    scaled = {f"with {scale:.1f} times its scale": _about(mean, scale, 0 * mean) for scale in (1 - NEAR, 1 + NEAR)}
    moved = {f"moved by {shift:+.1f} deviations of the pictures": _about(mean, 1.0, shift * std) for shift in (-NEAR, NEAR)}
    return scaled | moved


def _about(middle: Array, scale: float, shift: Array) -> Step:
    offset = middle * (1 - scale) + shift
    return ChannelAffine(matrix=tuple(map(tuple, (scale * np.eye(len(middle))).tolist())), offset=tuple(offset.tolist()))


def _verdict(ranked: Sequence[Ranked], best: Likelihoods, chance: float, better: str | None) -> tuple[str, str]:
    kept = [each for each in ranked if each.kept]
    if at_least(int(best.right.sum()), len(best.right), chance) > (1 - CERTAIN) / 2:
        return NOT_IDENTIFIED, (
            f"no candidate is shown to be right more often than who always says the same, {chance:.0%}: {ranked[0].name} is "
            f"in {best.right.mean():.1%}; the folders may be in another order than the classes, the pictures others than the network "
            "knows, or too few"
        )
    if better is not None:
        return NOT_IDENTIFIED, (
            f"{ranked[0].name} comes nearest, and is not it: {better} the same network answers better, so its own constants lie there"
        )
    if len(kept) == 1:
        return IDENTIFIED, f"{ranked[0].name}, {IF_ALIKE}: {ranked[0].what}; all others answer worse, by more than chance"
    if len(kept) <= MOST:
        return NARROWED, f"to these {len(kept)}, between which these answers do not decide, {IF_ALIKE}: {names_of(kept)}"
    return NOT_IDENTIFIED, f"{len(kept)} candidates answer alike: more pictures, or those that the network finds hard, tell more"
