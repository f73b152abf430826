"""By a network's answers to pictures whose class is known."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ...host import Progress, paced
from ...oracle import reference
from ...steps import FromPixels, Normalize, Step
from .. import Variant, at_least
from ..experiment import Data, classes_of, paired
from .answer import IDENTIFIED, IF_ALIKE, NARROWED, NOT_IDENTIFIED, ModelDiagnosis, Ranked, names_of
from .beside import Room, room_of
from .likelihoods import CERTAIN, Likelihoods, judged, lowest, scores_of
from .networks import Array
from .subject import Subject

BY = "labels"
BATCH = 32
"""Pictures of one size that a network is asked of together."""
USUAL = 0.95
"""Of the intervals that are told."""
MOST = 6
"""Candidates that an answer may leave."""
Z_SCORE_OF_THESE = "z-score of these pictures"


def by_labels(subject: Subject, data: Data, progress: Progress) -> ModelDiagnosis:
    """data: of FEWEST pictures or more. Raises PreprocError for classes that are none of the network's."""
    progress(f"reading {len(data.pictures)} pictures of {len(data.classes)} classes")
    pictures = [subject.read_one(Path(file)) for file, _ in data.pictures]
    batches = list(_batches(pictures))
    count = scores_of(subject.network, pictures[0]).shape[1]
    classes = classes_of(data, subject.labels, count)
    truth = np.array([classes.number_of[label] for _, label in data.pictures])

    def asked(values: Sequence[Step], order: Sequence[int]) -> Likelihoods:
        ready = (reference.apply(values, batch[:, list(order)]) for batch in batches)
        return judged(np.concatenate([scores_of(subject.network, each) for each in ready]), truth)

    candidates = [(variant, subject.values(variant), subject.order(variant)) for variant in _candidates(subject, pictures)]
    stage = f"asking the network of {len(pictures)} pictures, once per candidate"
    scored = [(variant, values, order, asked(values, order)) for variant, values, order in paced(candidates, stage, progress)]
    scored.sort(key=lambda each: (-each[3].likelihood.mean(), -each[3].right.mean()))
    _, values, order, best = scored[0]
    ranked = tuple(_ranked(each, answers, best) for each, _, _, answers in scored)
    progress("asking it what is beside the best one")
    mean, std = _constants([reference.apply(values, batch[:, list(order)]) for batch in batches])
    room = room_of(lambda step: asked((*values, step), order), best, mean, std) if (std > 0).all() else None
    verdict, said = _verdict(ranked, best, float(np.bincount(truth).max() / len(truth)), room)
    return ModelDiagnosis(subject.name, BY, verdict, said, len(pictures), ranked, room=room, notes=(f"classes: {classes.how}",))


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


def _ranked(variant: Variant, answers: Likelihoods, best: Likelihoods) -> Ranked:
    """With its differences to the best one, picture by picture."""
    lost, gained = (int((one.right > other.right).sum()) for one, other in ((best, answers), (answers, best)))
    low, high = paired(gained, lost, len(best.right))
    worse = best.likelihood - answers.likelihood
    measured: dict[str, float | tuple[float, float]] = {
        "accuracy": float(answers.right.mean()),
        "points lost": (100 * low, 100 * high),
        "log-likelihood": float(answers.likelihood.mean()),
        "lost": (lowest(worse, USUAL) + 0.0, 0.0 - lowest(-worse, USUAL)),
    }
    return Ranked(variant.name, variant.what, variant.steps, measured, kept=not answers.is_worse(best) or high < 0)


def _verdict(ranked: Sequence[Ranked], best: Likelihoods, chance: float, room: Room | None) -> tuple[str, str]:
    kept = [each for each in ranked if each.kept]
    if at_least(int(best.right.sum()), len(best.right), chance) > (1 - CERTAIN) / 2:
        return NOT_IDENTIFIED, (
            f"no candidate is shown to be right more often than who always says the same, {chance:.0%}: {ranked[0].name} is "
            f"in {best.right.mean():.1%}; the folders may be in another order than the classes, the pictures others than the network "
            "knows, or too few"
        )
    if room is not None and room.better is not None:
        return NOT_IDENTIFIED, (
            f"{ranked[0].name} comes nearest, and is not it, {IF_ALIKE}: {room.better} the same network answers better, so its own "
            "constants lie there"
        )
    if len(kept) == 1:
        beside = "" if room is None else f", {room}"
        return IDENTIFIED, f"{ranked[0].name}, {IF_ALIKE}: {ranked[0].what}{beside}; all other candidates answer worse, by more than chance"
    if len(kept) <= MOST:
        return NARROWED, f"to these {len(kept)}, between which these answers do not decide, {IF_ALIKE}: {names_of(kept)}"
    return NOT_IDENTIFIED, f"{len(kept)} candidates answer alike: more pictures, or those that the network finds hard, tell more"
