"""By a network's answers to pictures whose class is known."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PreprocError, did_you_mean
from ...host import Progress, paced
from ...oracle import reference
from ...steps import ChannelAffine, Normalize, Step
from ..variants import Variant
from .answer import IDENTIFIED, NARROWED, NOT_IDENTIFIED, ModelDiagnosis, Ranked, names_of
from .networks import Array, Network
from .subject import Subject

BY = "labels"
BATCH = 32
"""Pictures of one size that a network is asked of together."""
CERTAIN = 3.29
"""Standard errors of a paired difference, 999 of 1000, that a candidate has to be worse by: there are some sixty."""
USUAL = 1.96
"""Of the 95 % intervals that are told."""
MOST = 6
"""Candidates that an answer may leave."""
TEMPERATURES = np.geomspace(0.05, 50, 61)
"""That logits are divided by before they are compared, each candidate's own best: how sure a network is says little of its input."""
NEAR = 0.1
"""Of the pictures' deviation and scale: neighbours of the best candidate that have to be no better than it."""
PICTURES_OWN = "z-score of these pictures"


def by_labels(subject: Subject, folder: Path, progress: Progress) -> ModelDiagnosis:
    """folder: one of pictures per class. Raises PreprocError where these are no classes of the network's."""
    groups = _groups(folder)
    read = {group.name: [levels for _, levels in subject.read(group)] for group in groups}
    pictures = [levels for group in groups for levels in read[group.name]]
    batches = list(_batches(pictures))
    first = subject.variants()[0]
    count = _classes(subject.network, reference.apply(subject.values(first), pictures[0][:, list(subject.order(first))]))
    classes = _indices([group.name for group in groups], count, subject.labels)
    truth = np.repeat([classes[group.name] for group in groups], [len(read[group.name]) for group in groups])

    def asked(values: Sequence[Step], order: Sequence[int]) -> tuple[Array, Array]:
        prepared = [reference.apply(values, batch[:, list(order)]) for batch in batches]
        return _scores(np.concatenate([_answers(subject.network, ready) for ready in prepared]), truth)

    own = [(name, what, subject.values(variant), subject.order(variant), variant.steps) for name, what, variant in _named(subject)]
    own += [(PICTURES_OWN, "their own mean and std, as a data set's", *each) for each in _own_constants(subject, pictures)]
    scored = [(each, asked(each[2], each[3])) for each in paced(own, f"asking the network {len(pictures)} times per candidate", progress)]
    scored.sort(key=lambda pair: (-pair[1][1].mean(), -pair[1][0].mean()))
    best = scored[0][1]
    ranked = tuple(_ranked(each, scores, best) for each, scores in scored)
    better = _better_beside(scored[0][0], best, pictures, asked)
    chance = float(np.bincount(truth).max() / len(truth))
    verdict, said = _verdict(ranked, best, chance, better)
    return ModelDiagnosis(subject.name, BY, verdict, said, len(pictures), ranked)


def _named(subject: Subject) -> list[tuple[str, str, Variant]]:
    return [(variant.name, variant.what, variant) for variant in subject.variants()]


def _own_constants(subject: Subject, pictures: Sequence[Array]) -> list[tuple[tuple[Step, ...], tuple[int, ...], tuple[Step, ...]]]:
    """The z-score of these pictures, in the order of colours that a recipe has: a data set's own constants are no preset."""
    mean, std = _constants(pictures)
    if not (std > 0).all():
        return []
    values: tuple[Step, ...] = (
        Normalize(mean=tuple(mean), std=tuple(std), unit="0-255", origin="these pictures", constants_because="measured"),
    )
    return [(values, tuple(range(subject.channels)), (*subject.front, *values))]


def _constants(pictures: Sequence[Array]) -> tuple[Array, Array]:
    """Mean and std of each channel over all pixels."""
    flat = np.concatenate([picture.reshape(picture.shape[1], -1) for picture in pictures], axis=1)
    return flat.mean(axis=1), flat.std(axis=1)


def _groups(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise PreprocError(f"{folder}: expected a folder of pictures per class, got no folder", name="nothing-there")
    groups = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(groups) < 2:
        raise PreprocError(
            f"{folder}: expected a folder per class, at least two, got {len(groups)}; pictures without labels are for --images",
            name="no-pictures",
        )
    return groups


def _indices(names: Sequence[str], count: int, labels: Sequence[str]) -> Mapping[str, int]:
    """The class of each folder: by its name among the model's labels, or by its place among all, if there are as many as classes."""
    if len(labels) == count and set(names) <= set(labels):
        return {name: list(labels).index(name) for name in names}
    if len(names) == count:
        numbers = all(name.isdecimal() for name in names)
        return {name: int(name) if numbers and {*map(int, names)} == {*range(count)} else at for at, name in enumerate(names)}
    if names and all(name.isdecimal() and int(name) < count for name in names):
        return {name: int(name) for name in names}
    strange = next((name for name in names if name not in labels), names[0])
    hint = did_you_mean(strange, labels) if labels else ""
    raise PreprocError(
        f"expected {count} folders, as many as the model has classes, or folders called by their numbers or as the model's labels, got "
        f"{len(names)}, one called {strange!r}{hint}",
        name="labels-unfit",
    )


def _classes(network: Network, ready: Array) -> int:
    """How many the network tells apart. Raises PreprocError for one whose outputs are no classes."""
    found = network.answers(ready)
    told = ", ".join(f"{name} {tuple(values.shape)}" for name, values in found.items())
    fitting = [values for values in found.values() if values.dtype.kind == "f" and values.ndim >= 2 and values.shape[0] == 1]
    first = fitting[0] if fitting else None
    if first is None or len(found) > 1 or first.size != first.shape[1] or first.size < 2:
        raise PreprocError(f"expected a model that answers one number per class, (1, classes), got {told}", name="output-unfit")
    return int(first.size)


def _batches(pictures: Sequence[Array]) -> Iterator[Array]:
    """Neighbours of one size, together."""
    for _, alike in itertools.groupby(pictures, key=lambda picture: picture.shape):
        whole = np.concatenate(list(alike))
        yield from (whole[at : at + BATCH] for at in range(0, len(whole), BATCH))


def _answers(network: Network, ready: Array) -> Array:
    """(N, classes): logits, or the logarithm of probabilities."""
    (values,) = network.answers(ready).values()
    flat: Array = values.reshape(len(ready), -1).astype(np.float64)
    are_shares = flat.min() >= 0 and bool((np.abs(flat.sum(axis=1) - 1) < 1e-3).all())
    return np.log(np.maximum(flat, 1e-30)) if are_shares else flat


def _scores(logits: Array, truth: NDArray[Any]) -> tuple[Array, Array]:
    """Of each picture whether the answer is right, 0 or 1, and the log-likelihood of its class, at the temperature that is best for all."""
    right = (logits.argmax(axis=1) == truth).astype(np.float64)
    usable = np.nan_to_num(logits, nan=0.0, posinf=1e30, neginf=-1e30)
    best: Array = np.full(len(truth), -np.log(logits.shape[1]))
    for temperature in TEMPERATURES:
        scaled = (usable - usable.max(axis=1, keepdims=True)) / temperature
        likelihood = scaled[np.arange(len(truth)), truth] - np.log(np.exp(scaled).sum(axis=1))
        best = likelihood if likelihood.mean() > best.mean() else best
    return right, best


def _ranked(each: tuple[Any, ...], scores: tuple[Array, Array], best: tuple[Array, Array]) -> Ranked:
    """With its differences to the best one, picture by picture."""
    name, what, _, _, steps = each
    worse = best[1] - scores[1]
    missed = best[0] - scores[0]
    ruled_out = _lowest(worse, CERTAIN) > 0 and _lowest(-missed, CERTAIN) <= 0
    measured: dict[str, float | tuple[float, float]] = {
        "accuracy": float(scores[0].mean()),
        "log-likelihood": float(scores[1].mean()),
        "points lost": _interval(100 * missed),
        "log-likelihood lost": _interval(worse),
    }
    return Ranked(name, what, steps, measured, kept=not ruled_out)


def _lowest(differences: Array, errors: float) -> float:
    return float(differences.mean() - errors * differences.std(ddof=1) / np.sqrt(len(differences)))


def _interval(differences: Array) -> tuple[float, float]:
    """95 % of the mean of paired differences."""
    return _lowest(differences, USUAL) + 0.0, 0.0 - _lowest(-differences, USUAL)


def _better_beside(each: tuple[Any, ...], best: tuple[Array, Array], pictures: Sequence[Array], asked: Any) -> str | None:
    """Which neighbour of the best candidate is better than it, for what the network was trained with is no neighbour of anything better.
    None where none is, or its values are each picture's own."""
    _, _, values, order, _ = each
    mean, std = _constants([reference.apply(values, picture[:, list(order)]) for picture in pictures])
    if not (std > 0).all():
        return None
    for scale in (1 - NEAR, 1 + NEAR):
        if _lowest(asked((*values, _about(mean, scale, 0 * mean)), order)[1] - best[1], CERTAIN) > 0:
            return f"with {scale:.1f} times its scale"
    for shift in (-NEAR, NEAR):
        if _lowest(asked((*values, _about(mean, 1.0, shift * std)), order)[1] - best[1], CERTAIN) > 0:
            return f"moved by {shift:+.1f} deviations of the pictures"
    return None


def _about(middle: Array, scale: float, shift: Array) -> Step:
    offset = middle * (1 - scale) + shift
    return ChannelAffine(matrix=tuple(map(tuple, (scale * np.eye(len(middle))).tolist())), offset=tuple(offset.tolist()))


def _verdict(ranked: Sequence[Ranked], best: tuple[Array, Array], chance: float, better: str | None) -> tuple[str, str]:
    kept = [each for each in ranked if each.kept]
    if _lowest(best[0], CERTAIN) <= chance:
        return NOT_IDENTIFIED, (
            f"no candidate is right more often than who always says the same, {chance:.0%}: {ranked[0].name} is in {best[0].mean():.1%}; "
            "the folders may be in another order than the classes, the pictures others than the network knows, or too few"
        )
    if better is not None:
        return NOT_IDENTIFIED, (
            f"{ranked[0].name} comes nearest, and is not it: {better} the same network answers better, so its own constants lie there"
        )
    if len(kept) == 1:
        return IDENTIFIED, f"{ranked[0].name}: {ranked[0].what}; all others answer worse, by more than chance"
    if len(kept) <= MOST:
        return NARROWED, f"to these {len(kept)}, between which these answers do not decide: {names_of(kept)}"
    return NOT_IDENTIFIED, f"{len(kept)} candidates answer alike: more pictures, or those that the network finds hard, tell more"
