"""Every known mistake, and every two at once, tried on tensors."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import PreprocError
from ...steps import Affine, ChannelAffine, Step, compose
from ..solving import KERNELS_DIFFER, Moments, Precision
from .mistake import Array, Mistake, Picture, valued
from .mistakes import Mistakes
from .parts import Sample, enough, mosaic

FEW = 4
"""Pictures that every cause is tried on: those that the recipe is furthest off on."""
NEAR = 0.5
"""Grey levels, root mean square, that what comes near may be off: a rounding to whole levels makes 0.29. Coarser tensors tell nothing."""
OWN = Mistake("recipe", "as the recipe has it")
CONSTANTS = "other constants"
KEPT = 8
"""Causes, of a round, that are tried on all pictures."""


@dataclass(frozen=True)
class Fit:
    """How far a cause is off the tensors, in grey levels. residual: root mean square.  most: the largest.  explained: what any may be where
    the cause is the right one, at most.  exact: whether each is no larger than its own number's rounding explains.  library: which one
    computed it, where the oracle comes only near."""

    name: str
    words: str
    residual: float
    most: float
    explained: float
    exact: bool
    library: str = ""

    @property
    def reproduces(self) -> bool:
        return self.is_near and self.exact

    @property
    def is_near(self) -> bool:
        return self.residual <= NEAR


@dataclass(frozen=True)
class Tried:
    """residual: on parts of few pictures."""

    mistake: Mistake
    residual: float


class Search:
    """Raises PreprocError for tensors of other channels than the steps make."""

    def __init__(self, sequence: Sequence[Step], samples: Sequence[Sample]) -> None:
        self.made = Mistakes(sequence)
        self.precision = Precision.of([sample.tensor for sample in samples])
        self.composed: dict[int, Affine | None] = {}
        self.others = [mistake for mistake in self.made.all if mistake.is_of_numbers]
        self.sums = list[tuple[Mistake, Moments]]()
        self.pictures = {sample: self._picture(sample) for sample in samples}
        for sample in samples:
            made, got = self.made.leaves, len(sample.tensor)
            if made != got:
                raise PreprocError(
                    f"{sample.name}: expected a tensor of {made} channel{'' if made == 1 else 's'}, as the recipe makes, got {got}",
                    name="channel-mismatch",
                )

    def _picture(self, sample: Sample) -> Picture:
        try:
            return self.made.picture_of(sample.source)
        except PreprocError as error:  # of a size that no camera's picture has
            raise PreprocError(f"{sample.name}: {error}") from error

    def _picture_of(self, sample: Sample) -> Picture:
        """Made once."""
        if sample not in self.pictures:
            self.pictures[sample] = self._picture(sample)
        return self.pictures[sample]

    def hardest(self, samples: Sequence[Sample]) -> list[Sample]:
        """Those that the recipe is furthest off on, and of which it makes another size."""
        off = [float("inf") if (fit := self.fit(OWN, [sample])) is None else fit.residual for sample in samples]
        return [samples[place] for place in np.argsort(off, kind="stable")[::-1][:FEW]]

    def parts(self, samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
        """Of these, the hardest first, what tells apart whatever may be done wrong, and conversions of colours. Where pixels stay in their
        places, and each becomes its number by itself, a part of a picture does."""
        few = list(enough(samples))
        return few, few if self.made.moves or self._affine(OWN) is None else [mosaic(sample) for sample in samples]

    def one(self, samples: Sequence[Sample]) -> Iterator[Tried]:
        """Each mistake that makes tensors of these sizes."""
        yield from self.of(samples, (OWN, *(mistake for mistake in self.made.all if not mistake.is_of_numbers)))

    def of(self, samples: Sequence[Sample], causes: Iterable[Mistake]) -> Iterator[Tried]:
        """Each of these that makes tensors of these sizes; with OWN whatever is done to grey levels that are right."""
        right = [self._levels(OWN, sample) for sample in samples]
        for moved in causes:
            found = right if moved is OWN else [self._levels(moved, sample) for sample in samples]
            levels = [one for one in found if one is not None]
            same = moved is not OWN and all(
                one is not None and own is not None and np.array_equal(one, own) for one, own in zip(found, right, strict=True)
            )
            if len(levels) == len(samples) and not same:  # what changes nothing on these pictures is no mistake there
                compared = ((sample.compared(one), sample.compared(sample.tensor)) for one, sample in zip(levels, samples, strict=True))
                sums = Moments.all(Moments.undivided(*both) for both in compared).merged()
                self.sums.append((moved, sums))
                yield from self._scored(self.others if moved is OWN else [moved], levels, samples, sums)

    def two(self) -> Iterator[Tried]:
        """Every two that touch different things, of what one() has tried, where the values are an affine map of the levels."""
        alone = self._mapped(self.others)
        orders = [other for other in self.others if other.values is None]
        jointly = self._mapped(both for order in orders for other, _ in alone if (both := order.beside(other)) is not None)
        for moved, sums in self.sums:
            causes = jointly if moved is OWN else alone
            residuals = sums.residuals([found for _, found in causes]) if causes else np.zeros(0)
            for place in np.argsort(residuals)[:KEPT]:
                cause = causes[place][0] if moved is OWN else moved.beside(causes[place][0])
                if cause is not None:
                    yield Tried(cause, float(residuals[place]))

    def free(self) -> Iterator[Tried]:
        """What one() has tried, with the constants that fit best."""
        for moved, sums in self.sums:
            if (solved := sums.solved()) is not None:
                step = ChannelAffine(matrix=tuple(map(tuple, solved.matrix.tolist())), offset=tuple(solved.offset.tolist()))
                told = Mistake(CONSTANTS, _constants(step), values=(step,))
                yield Tried(told if moved is OWN else moved.beside(told) or told, float(sums.residuals([solved])[0]))

    def _scored(self, causes: Sequence[Mistake], levels: Sequence[Array], samples: Sequence[Sample], sums: Moments) -> Iterator[Tried]:
        """levels: before the causes' orders."""
        maps = self._mapped(causes)
        if maps:
            residuals = sums.residuals([found for _, found in maps])
            yield from (Tried(cause, float(residual)) for (cause, _), residual in zip(maps, residuals, strict=True))
        for cause in causes:
            if self._affine(cause) is None:
                off = [sample.compared(self._off(cause, one, sample)[0]) for one, sample in zip(levels, samples, strict=True)]
                yield Tried(cause, float(np.sqrt(np.mean([np.mean(each**2) for each in off]))))

    def fit(self, mistake: Mistake, samples: Sequence[Sample]) -> Fit | None:
        """None where it makes another size."""
        squares, most, explained, exact, count = 0.0, 0.0, 0.0, True, 0
        for sample in samples:
            levels = self._levels(mistake, sample)
            if levels is None:
                return None
            off, scale = self._off(mistake, levels, sample)
            squares, count, most = squares + float((off**2).sum()), count + off.size, max(most, float(np.abs(off).max()))
            may = self.precision.rounded_by(sample.tensor) / np.where(scale > 0, scale, np.inf) + KERNELS_DIFFER
            explained, exact = max(explained, float(may.max())), exact and bool((np.abs(off) <= may).all())
        return Fit(mistake.name, mistake.words, float(np.sqrt(squares / count)), most, explained, exact, mistake.library)

    def closest(self, mistake: Mistake, samples: Sequence[Sample]) -> Fit | None:
        """fit(), and where that is near, and not all explained, of what the mistake's own library computes if that is."""
        found = self.fit(mistake, samples)
        if found is None or found.reproduces or not found.is_near or (other := self.made.by_library(mistake)) is None:
            return found
        again = self.fit(other, samples)
        return again if again is not None and again.reproduces else found

    def otherwise(self, samples: Sequence[Sample]) -> str:
        """Of the first picture of which the recipe makes another size: what it makes, beside the tensor's."""
        for sample in samples:
            try:
                made = self.made.levels(self._picture_of(sample), OWN)[0].shape
            except PreprocError as error:
                return f"makes nothing of {sample.name}: {error}"
            if made[1:] != sample.tensor.shape[1:]:
                return f"makes {_size(made)} of {sample.name}, and its tensor is {_size(sample.tensor.shape)}"
        return ""

    def _levels(self, mistake: Mistake, sample: Sample) -> Array | None:
        """(C, h, w), before the mistake's order; None where a picture has another size then, or no pixels."""
        try:
            levels = self.made.levels(self._picture_of(sample), mistake)[0]
        except PreprocError:
            return None
        if levels.shape[1:] != sample.tensor.shape[1:]:
            return None
        return levels if mistake.within is None else self._nearest(mistake, levels, sample)

    def _nearest(self, mistake: Mistake, levels: Array, sample: Sample) -> Array:
        """Of what it may leave what the tensor says; the levels where that says nothing of each of them."""
        affine = self._map(mistake)
        if mistake.within is None or affine is None or not affine.is_monomial or affine.channels_in != affine.channels_out:
            return levels
        said = np.linalg.solve(affine.matrix, (sample.tensor - affine.offset[:, None, None]).reshape(len(levels), -1))
        low, high = mistake.within(self._picture_of(sample))
        return np.clip(said.reshape(levels.shape), low[0], high[0])

    def _affine(self, mistake: Mistake) -> Affine | None:
        """What it does to grey levels, if that is an affine map."""
        values = self.made.later if mistake.values is None else mistake.values
        if CONSTANTS in mistake.name or id(values) not in self.composed:  # those constants live no longer than they are tried
            self.composed[id(values)] = None if callable(values) else compose(values, self.made.channels)
        return self.composed[id(values)]

    def _mapped(self, causes: Iterable[Mistake]) -> list[tuple[Mistake, Affine]]:
        """Those that have a map, with it."""
        return [(cause, found) for cause in causes if (found := self._map(cause)) is not None]

    def _map(self, mistake: Mistake) -> Affine | None:
        """_affine(), of the levels in front of its order."""
        affine = self._affine(mistake)
        if affine is None or mistake.order is None:
            return affine
        matrix = np.zeros_like(affine.matrix)
        matrix[:, list(mistake.order)] = affine.matrix
        return Affine(matrix, affine.offset)

    def _off(self, mistake: Mistake, levels: Array, sample: Sample) -> tuple[Array, Array]:
        """By how many grey levels each number is off, and how many of the tensor's units one level is, about, (C, 1, 1)."""
        values = self.made.later if mistake.values is None else mistake.values
        x = levels if mistake.order is None else levels[list(mistake.order)]
        ready = valued(values, x[None])[0]
        off, affine = ready - sample.tensor, self._affine(mistake)
        if affine is not None:
            scale = np.abs(affine.matrix).sum(axis=1)[:, None, None]
        else:
            spread = float(ready.std()) if np.ptp(ready) else 0.0  # std() of equal numbers is not quite 0
            scale = np.full((len(ready), 1, 1), spread / max(float(x.std()), 1e-9))
        if not (scale > 0).all():  # one value for all grey levels
            return np.where(np.abs(off) <= self.precision.rounded_by(sample.tensor), 0.0, np.inf), np.zeros_like(scale)
        return off / scale, scale


def _size(shape: tuple[int, ...]) -> str:
    """Of (C, h, w)."""
    return f"{shape[1]}x{shape[2]}"


def _constants(step: ChannelAffine) -> str:
    """Which mean and std, of full brightness of 8 bits, a map says."""
    matrix, offset = np.array(step.matrix), np.array(step.offset)
    scale, taken = matrix.sum(axis=1), np.abs(matrix).argmax(axis=1)
    mixed = f", of the channels mixed by {_list(matrix[0] / scale[0])}" if matrix.shape[1] > len(matrix) else ""
    order = mixed or ("" if (taken == np.arange(len(taken))).all() else f", of the channels {taken.tolist()}")
    return f"other constants, nobody's: mean {_list(-offset / scale / 255)}, std {_list(1 / scale / 255)} in 0-1{order}"


def _list(numbers: NDArray[np.float64]) -> str:
    return "[" + ", ".join(f"{number if abs(number) > 1e-9 else 0.0:.5g}" for number in numbers) + "]"
