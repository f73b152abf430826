"""Tensors that somebody made of pictures, against a recipe: which known mistake reproduces them, if one does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import PreprocError
from ..steps import ChannelAffine, Step, compose
from .mistake import Array, Mistake, Picture, valued
from .mistakes import Mistakes
from .sums import Sums

REPRODUCED = 0.5
"""Grey levels, root mean square, that what reproduces tensors may be off: one rounding to whole levels makes 0.29."""
ALIKE = 0.02
"""Grey levels below which nobody can tell one cause from another, whatever the best one is off."""
NEAR = 1.1
"""What is off by this many times what the best one is off cannot be told from it."""
FEW = 4
"""Pictures that every cause is tried on: those that the recipe is furthest off on."""
KEPT = 8
"""Causes that are tried on all pictures."""
IDENTIFIED, NARROWED, NOT_IDENTIFIED = "identified", "narrowed", "not identified"
OWN = Mistake("recipe", "as the recipe has it")
CONSTANTS = "other constants"


@dataclass(frozen=True)
class Sample:
    """A picture and what was made of it. planes: (1, C, H, W) float64, its grey levels in the network's colours.  tensor: (C, h, w)
    float64.  unit: the largest relative error of a rounding to the dtype that the tensor had.  orientation: the EXIF tag of its file."""

    name: str
    planes: Array
    tensor: Array
    unit: float = 2.0**-24
    orientation: int = 1


@dataclass(frozen=True)
class Fit:
    """How far a cause is off the tensors. residual: root mean square, in grey levels.  most: the largest, in grey levels.  unit: what the
    roundings of the tensors' own dtype come to, in grey levels."""

    name: str
    words: str
    residual: float
    most: float
    unit: float

    @property
    def reproduces(self) -> bool:
        return self.residual <= REPRODUCED + self.unit


@dataclass(frozen=True)
class Found:
    """What tensors were made by. verdict: identified, narrowed (to `mistakes`) or not identified.  mistakes: those that reproduce the
    tensors, and cannot be told apart; none where the recipe does itself.  recipe: how far it is off; None where it makes another size.
    next: the nearest of those that are not named.  pictures: how many were compared."""

    verdict: str
    mistakes: tuple[Fit, ...]
    recipe: Fit | None
    next: Fit | None
    pictures: int

    @property
    def right(self) -> bool:
        """Whether the recipe reproduces the tensors."""
        return self.verdict == IDENTIFIED and not self.mistakes


def find_mistake(sequence: Sequence[Step], samples: Sequence[Sample]) -> Found:
    """Tries every known mistake and, where none reproduces the tensors, every two at once that touch different things; then the mistakes
    with whatever constants fit best, which narrows the cause to constants that nobody published.

    Raises PreprocError for tensors of other channels than the recipe makes.
    """
    search = _Search(sequence, samples)
    own = search.fit(OWN, samples)
    if own is not None and own.residual <= ALIKE:
        return Found(IDENTIFIED, (), own, None, len(samples))
    tried = list(search.tried(search.hardest()))
    fits: list[Fit] = []
    for depth in (1, 2, 3):
        chosen = sorted((one for one in tried if one.depth == depth), key=lambda one: one.residual)[:KEPT]
        fits += [fit for one in chosen if (fit := search.fit(one.mistake, samples)) is not None]
        if any(fit.reproduces for fit in fits) or (own is not None and own.reproduces):
            break
    return _judged(own, sorted(fits, key=lambda fit: fit.residual), len(samples))


def _judged(own: Fit | None, fits: Sequence[Fit], pictures: int) -> Found:
    best = min((fit.residual for fit in (*fits, *filter(None, [own]))), default=0.0)
    near = [fit for fit in fits if fit.reproduces and fit.residual <= max(ALIKE + fit.unit, NEAR * best)]
    if own is not None and own.reproduces and own.residual <= max(ALIKE + own.unit, NEAR * best):
        return Found(IDENTIFIED, (), own, next(iter(fits), None), pictures)
    others = next((fit for fit in fits if fit not in near), None)
    guessed = any(fit.name.startswith(CONSTANTS) for fit in near)
    verdict = NOT_IDENTIFIED if not near else IDENTIFIED if len(near) == 1 and not guessed else NARROWED
    return Found(verdict, tuple(near), own, others, pictures)


@dataclass(frozen=True)
class _Tried:
    """depth: 1 for one mistake, 2 for two at once, 3 with constants that are not known."""

    mistake: Mistake
    residual: float
    depth: int


class _Search:
    def __init__(self, sequence: Sequence[Step], samples: Sequence[Sample]) -> None:
        self.made, self.samples = Mistakes(sequence, samples[0].planes.shape[1]), samples
        for sample in samples:
            if len(sample.tensor) != self.made.channels:
                raise PreprocError(
                    f"{sample.name}: expected a tensor of {self.made.channels} channels, as the recipe makes, got {len(sample.tensor)}",
                    name="channel-mismatch",
                )

    def hardest(self) -> list[Sample]:
        """Those that the recipe is furthest off on, and of which it makes another size."""
        off = [float("inf") if (fit := self.fit(OWN, [sample])) is None else fit.residual for sample in self.samples]
        return [self.samples[place] for place in np.argsort(off, kind="stable")[::-1][:FEW]]

    def tried(self, samples: Sequence[Sample]) -> Iterator[_Tried]:
        """Every mistake, and every two, that make tensors of these sizes. Steps that are no affine map are tried with one mistake only."""
        moving = [mistake for mistake in self.made.all if mistake.levels is not None]
        others = [mistake for mistake in self.made.all if mistake.levels is None]
        orders = [mistake for mistake in others if mistake.values is None]
        for moved in (OWN, *moving):
            levels = [self._levels(moved, sample) for sample in samples]
            if any(found is None for found in levels):
                continue
            own = [found for found in levels if found is not None]
            sums = Sums.all(Sums.of(one, sample.tensor) for one, sample in zip(own, samples, strict=True))
            depth = 0 if moved is OWN else 1
            for other in (OWN, *others):
                both = moved if other is OWN else other if moved is OWN else moved.beside(other)
                if both is not None and both is not OWN:
                    yield self._scored(both, depth + (other is not OWN), own, samples, sums)
            for order in orders if moved is OWN else ():
                yield from (self._scored(both, 2, own, samples, sums) for other in others if (both := order.beside(other)) is not None)
            if (solved := sums.solved()) is not None:
                steps = (ChannelAffine(matrix=tuple(map(tuple, solved.matrix.tolist())), offset=tuple(solved.offset.tolist())),)
                told = Mistake(CONSTANTS, _constants(steps), values=steps)
                both = told if moved is OWN else moved.beside(told)
                yield self._scored(both or told, 3, own, samples, sums)

    def _scored(self, mistake: Mistake, depth: int, levels: Sequence[Array], samples: Sequence[Sample], sums: Sums) -> _Tried:
        """levels: before the mistake's order."""
        values = self.made.later if mistake.values is None else mistake.values
        affine = None if callable(values) else compose(values, self.made.channels)
        if affine is not None:
            return _Tried(mistake, sums.ordered(mistake.order).residual(affine), depth)
        if depth > 1 and mistake.values is not None:
            return _Tried(mistake, float("inf"), depth)
        found = [self._off(mistake, one, sample) for one, sample in zip(levels, samples, strict=True)]
        return _Tried(mistake, float(np.sqrt(np.mean([np.mean(off**2) for off, _ in found]))), depth)

    def fit(self, mistake: Mistake, samples: Sequence[Sample]) -> Fit | None:
        """None where it makes another size."""
        squares, most, unit, count = 0.0, 0.0, 0.0, 0
        for sample in samples:
            levels = self._levels(mistake, sample)
            if levels is None:
                return None
            off, scale = self._off(mistake, levels, sample)
            squares, count, most = squares + float((off**2).sum()), count + off.size, max(most, float(np.abs(off).max()))
            unit = max(unit, sample.unit * float(np.abs(sample.tensor).max()) / scale if scale else float("inf"))
        return Fit(mistake.name, mistake.words, float(np.sqrt(squares / count)), most, unit)

    def _levels(self, mistake: Mistake, sample: Sample) -> Array | None:
        """(C, h, w), before the mistake's order."""
        picture = Picture(sample.planes, sample.orientation)
        try:
            levels = self.made.levels(picture, mistake)[0]
        except PreprocError:  # a picture of which this leaves no pixels
            return None
        return levels if levels.shape == sample.tensor.shape else None

    def _off(self, mistake: Mistake, levels: Array, sample: Sample) -> tuple[Array, float]:
        """By how many grey levels each number is off, and how many of the tensor's units one level is, about."""
        values = self.made.later if mistake.values is None else mistake.values
        x = levels if mistake.order is None else levels[list(mistake.order)]
        ready = valued(values, x[None])[0]
        affine = None if callable(values) else compose(values, self.made.channels)
        if affine is not None:
            scale = np.abs(affine.matrix).sum(axis=1)[:, None, None]
        else:
            scale = np.full((len(ready), 1, 1), float(ready.std() / max(x.std(), 1e-9)))
        off = ready - sample.tensor
        if not (scale > 0).all():  # one value for all grey levels
            return np.where(np.abs(off) <= 4 * sample.unit * np.abs(ready), 0.0, np.inf), 0.0
        return off / scale, float(scale.mean())


def _constants(steps: tuple[ChannelAffine]) -> str:
    """Which mean and std, of full brightness of 8 bits, are told by a map."""
    matrix, offset = np.array(steps[0].matrix), np.array(steps[0].offset)
    scale, taken = matrix.sum(axis=1), np.abs(matrix).argmax(axis=1)
    mean, std = -offset / scale / 255, 1 / scale / 255
    order = "" if (taken == np.arange(len(taken))).all() else f", of the channels {taken.tolist()}"
    return f"other constants, of nobody known: mean {_list(mean)}, std {_list(std)} in 0-1{order}"


def _list(numbers: NDArray[np.float64]) -> str:
    return "[" + ", ".join(f"{number:.5g}" for number in numbers) + "]"
