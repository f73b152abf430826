"""What is beside a candidate: how far its scale and mean may be moved until the network answers worse, or better, by more than chance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...steps import ChannelAffine, Step
from .likelihoods import Likelihoods
from .networks import Array

SCALES = (0.5, 0.67, 0.8, 0.9, 1.1, 1.25, 1.5, 2.0)
"""Times the candidate's, around the mean of what it makes of the pictures."""
SHIFTS = (-1.0, -0.5, -0.25, -0.1, 0.1, 0.25, 0.5, 1.0)
"""Deviations of what it makes of the pictures, which are added."""

Ends = tuple[float | None, float | None]


@dataclass(frozen=True)
class Room:
    """scale, shift: of those that were tried, the nearest below and above the candidate with which the network answers worse; None: none
    does.  better: the first with which it answers better, in words."""

    scale: Ends
    shift: Ends
    better: str | None

    def to_json(self) -> dict[str, list[float | None]]:
        return {"scale": list(self.scale), "shift": list(self.shift)}

    def __str__(self) -> str:
        scales, shifts = _between(self.scale, SCALES), _between(self.shift, SHIFTS)
        return f"as good are scales {scales} times its own, and shifts {shifts} deviations of the pictures"


def _between(ends: Ends, tried: Sequence[float]) -> str:
    low, high = (f"{end:g}" for end in (ends[0] or tried[0], ends[1] or tried[-1]))
    return f"between {low if ends[0] is not None else f'{low} or less'} and {high if ends[1] is not None else f'{high} or more'}"


def room_of(asked: Callable[[Step], Likelihoods], best: Likelihoods, mean: Array, std: Array) -> Room:
    """asked: what the network answers where a step follows the candidate's.  best: what it answers without.  mean, std: (C,), of what the
    candidate makes of the pictures."""
    scaled = {scale: asked(_about(mean, scale, 0 * mean)) for scale in SCALES}
    moved = {shift: asked(_about(mean, 1.0, shift * std)) for shift in SHIFTS}
    better = [f"with {scale:g} times its scale" for scale, found in scaled.items() if best.is_worse(found)]
    better += [f"moved by {shift:+g} deviations of the pictures" for shift, found in moved.items() if best.is_worse(found)]
    return Room(_ends(scaled, best, 1.0), _ends(moved, best, 0.0), next(iter(better), None))


def _ends(tried: dict[float, Likelihoods], best: Likelihoods, own: float) -> Ends:
    worse = [by for by, found in tried.items() if found.is_worse(best)]
    return max((by for by in worse if by < own), default=None), min((by for by in worse if by > own), default=None)


def _about(middle: Array, scale: float, shift: Array) -> Step:
    offset = middle * (1 - scale) + shift
    return ChannelAffine(matrix=tuple(map(tuple, (scale * np.eye(len(middle))).tolist())), offset=tuple(offset.tolist()))
