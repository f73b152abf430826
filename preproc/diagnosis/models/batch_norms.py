"""By what a network's BatchNorms hold of the pictures that it was trained with."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from ...host import Progress, paced
from ...steps import FromPixels, Normalize, compose
from .. import OWN, Variant
from .answer import CANNOT_BE_TOLD, IDENTIFIED, IF_ALIKE, NARROWED, NOT_IDENTIFIED, ModelDiagnosis, Ranked, names_of
from .fitting import Distance, Fit, distance, fit, nearest
from .networks import Array, Network
from .responses import Responses, affine_norms, measure
from .subject import Subject, factors

BY = "BatchNorm statistics"
OWN_CONSTANTS = "a mean and std of its own"
LIMIT = 0.02
"""The divergence up to which a candidate may be the network's, where the noise is smaller: training crops, mirrors and jitters pictures,
which moves its features by a tenth of their deviation."""
FLOOR = 0.001
"""The divergence that is nothing: statistics that are averages of the last batches, of weights that still moved, have it."""
APART = 4.0
"""How many times further away than the best candidate, and than the noise, another one has to be to be ruled out."""
MOST = 6
"""Candidates that an answer may leave."""
_INSTEAD = (
    "what tells: --labels, pictures in a folder per class, or --pairs, pictures with tensors that the network's own program made of them"
)


def by_batch_norms(subject: Subject, pictures: Sequence[Array], progress: Progress) -> ModelDiagnosis:
    """pictures: (1, C, H, W) in grey levels, FEWEST or more, as Subject.read() has them."""
    progress("looking for BatchNorms behind the first layers")
    which = affine_norms(subject.network, pictures[0]) if subject.network.norms else []
    reason = _why_not(subject.network, which)
    if reason is not None:
        return ModelDiagnosis(subject.name, BY, CANNOT_BE_TOLD, f"{reason}; {_INSTEAD}", len(pictures))
    candidates = subject.variants()
    orders = list(dict.fromkeys(subject.order(variant) for variant in candidates))
    stage = "running the network up to its first BatchNorms"
    responses: dict[tuple[int, ...], Responses] = {}
    for order in paced(orders, stage, progress):
        responses[order] = measure(subject.network, which, pictures, order)
    progress("comparing the candidates")
    known, notes = _ranked(subject, candidates, responses, pictures)
    best = known[0][1]
    kept = _kept(known)
    ranked = tuple(
        Ranked(variant.name, variant.what, variant.steps, {"divergence": each.value, "noise": each.noise}, keep)
        for (variant, each), keep in zip(known, kept, strict=True)
    )
    fitted, color = _fitted(subject, known, responses, pictures)
    affine = any(keep and compose(subject.values(variant), subject.channels) for (variant, _), keep in zip(known, kept, strict=True))
    beaten = _is_beaten(subject, known[0][0], best, fitted, color)
    if not affine or beaten:
        ranked = (*ranked[: sum(kept)], *_own_constants(subject, fitted, color, best), *ranked[sum(kept) :])
    verdict, said = _verdict(best, ranked, fitted, beaten=beaten)
    notes += [_of_the_recipe(each, near=_is_near(best)) for each in ranked if each.name == OWN]
    norms = ", ".join(subject.network.norms[number].name for number in which)
    return ModelDiagnosis(
        subject.name, BY, verdict, said, len(pictures), ranked, fitted, color, notes=(*notes, f"behind the first layers: {norms}")
    )


def _why_not(network: Network, which: Sequence[int]) -> str | None:
    """Why a network's BatchNorms tell nothing, None where they do."""
    if not network.norms:
        others = f", but {' and '.join(network.other_norms)}, which keeps nothing of the pictures" if network.other_norms else ""
        return f"it has no BatchNorms, which hold mean and variance of what it was trained with (never there, or fused){others}"
    if not which:
        return "no BatchNorm stands behind the first layers, where features are affine in the picture: those in front are fused or missing"
    if all(network.norms[number].is_fresh for number in which):
        return "the BatchNorms behind the first layers are as a network begins: it was not trained, or its statistics were not saved"
    return None


def _ranked(
    subject: Subject, candidates: Sequence[Variant], responses: dict[tuple[int, ...], Responses], pictures: Sequence[Array]
) -> tuple[list[tuple[Variant, Distance]], list[str]]:
    """The nearest first; and which could not be compared."""
    known, left = [], []
    for variant in candidates:
        order = subject.order(variant)
        parts = factors(subject.values(variant), [picture[:, list(order)] for picture in pictures])
        if parts is None:
            left.append(variant.name)
        else:
            known.append((variant, distance(responses[order], parts)))
    notes = [f"not compared, for they are not affine on single channels: {', '.join(left)}"] if left else []
    return sorted(known, key=lambda pair: pair[1].value), notes


def _kept(known: Sequence[tuple[Variant, Distance]]) -> list[bool]:
    best = known[0][1]
    return [each.value <= APART * max(each.noise, best.value, FLOOR) for _, each in known]


def _fitted(
    subject: Subject, known: Sequence[tuple[Variant, Distance]], responses: dict[tuple[int, ...], Responses], pictures: Sequence[Array]
) -> tuple[Fit, str]:
    """Begun at the nearest candidate whose factors are the same for all pictures, in the order of colours that comes nearer."""
    found: dict[tuple[int, ...], tuple[Array, float, str]] = {}
    for variant, _ in known:
        order = subject.order(variant)
        parts = factors(subject.values(variant), pictures) if order not in found else None
        if parts is not None and parts.ndim == 1:
            found[order] = *nearest(responses[order], parts), getattr(variant.steps[0], "to", "")
    order = min(found, key=lambda each: found[each][1])
    return fit(responses[order], found[order][0]), found[order][2]


def _is_near(found: Distance) -> bool:
    """Whether it may be the network's."""
    return found.value <= max(found.noise, LIMIT)


def _of_the_recipe(own: Ranked, *, near: bool) -> str:
    """near: whether any candidate is."""
    if near and own.kept:
        return "the recipe's own is among them"
    return f"the recipe's own is {'ruled out' if near else 'not near either, so not what it was trained with'}, {IF_ALIKE}"


def _is_beaten(subject: Subject, variant: Variant, best: Distance, fitted: Fit, color: str) -> bool:
    """Whether a mean and std without candidates would rule out the nearest candidate, were it one of them, or have intervals that its own
    are not in: what is near a preset is not that preset."""
    if best.value > APART * max(fitted.distance.value, fitted.distance.noise, FLOOR):
        return True
    affine = compose(subject.values(variant), subject.channels)
    own = None if affine is None or getattr(variant.steps[0], "to", "") != color else affine.mean_and_std()
    if own is None or fitted.mean_interval is None or fitted.std_interval is None:
        return False
    return any(
        bool(((values < low) | (values > high)).any())
        for values, (low, high) in zip(own, (fitted.mean_interval, fitted.std_interval), strict=True)
    )


def _own_constants(subject: Subject, fitted: Fit, color: str, best: Distance) -> Iterator[Ranked]:
    """The mean and std that were found without candidates, where they are as near as the best one: of pictures that are like each other,
    each one's own are near those of all, and then nothing tells whose they were."""
    if not (fitted.std > 0).all() or fitted.distance.value > max(best.value, best.noise):
        return
    said = {"unit": "0-255", "origin": "BatchNorm statistics", "constants_because": "found by least squares"}
    constants = Normalize(mean=tuple(fitted.mean), std=tuple(fitted.std), **said)
    first = subject.front[0]
    front = (dataclasses.replace(first, to=color), *subject.front[1:]) if isinstance(first, FromPixels) else subject.front
    measured: dict[str, float | tuple[float, float]] = {"divergence": fitted.distance.value, "noise": fitted.distance.noise}
    yield Ranked(OWN_CONSTANTS, "a data set's own, perhaps: those below", (*front, constants), measured, kept=True)


def _verdict(best: Distance, ranked: Sequence[Ranked], fitted: Fit, *, beaten: bool) -> tuple[str, str]:
    kept = [each for each in ranked if each.kept]
    if not _is_near(best):
        if (fitted.std > 0).all() and _is_near(fitted.distance):
            return NOT_IDENTIFIED, (
                f"no candidate comes near: {best.value:.3g} for {ranked[0].name}, of which noise explains {best.noise:.2g}; the mean and "
                "std below do: the network's own, if these pictures are like those that it was trained with, else what makes up for that"
            )
        return NOT_IDENTIFIED, (
            f"no candidate comes near, {best.value:.3g} for {ranked[0].name}, nor does any mean and std: "
            "these pictures are not like those that it was trained with, or it was trained with something that is no mean and std"
        )
    if beaten and any(each.name == OWN_CONSTANTS for each in kept):
        others = [each for each in kept if each.name != OWN_CONSTANTS]
        return (NARROWED if len(others) <= MOST else NOT_IDENTIFIED), (
            f"{OWN_CONSTANTS}, as below, {fitted.distance.value:.2g} from what the norms hold, {IF_ALIKE}; or, if it was trained with "
            f"pictures that were changed at random, {names_of(others)}, {best.value:.2g} from it"
        )
    if len(kept) == 1:
        further = min((each.measured["divergence"] for each in ranked if not each.kept), default=np.inf)
        apart = f"the next candidate is at {further:.3g}, this one at {best.value:.3g}"
        return IDENTIFIED, f"{ranked[0].name}, {IF_ALIKE}: {ranked[0].what}; {apart}"
    if len(kept) <= MOST:
        return NARROWED, f"to these {len(kept)}, which these pictures do not tell apart, {IF_ALIKE}: {names_of(kept)}"
    return NOT_IDENTIFIED, f"{len(kept)} candidates are as near as so few pictures can tell: more pictures tell more"
