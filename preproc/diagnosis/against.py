"""Tensors that somebody made of pictures, against a recipe: which known mistake reproduces them, if one does."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..host import Progress, silent
from ..sources import Recipe
from ..steps import Step, as_steps
from .geometry import Source
from .pairs import read_pairs
from .trying import CONSTANTS, OWN, Fit, Sample, Search, Tried

REPRODUCED = 0.5
"""Grey levels, root mean square, that what reproduces tensors may be off: one rounding to whole levels makes 0.29."""
ALIKE = 0.02
"""Grey levels below which nobody can tell one cause from another, whatever the best one is off."""
NEAR = 1.1
"""What is off by this many times what the best one is off cannot be told from it."""
KEPT = 8
"""Causes that are tried on all pictures."""
_UNITS = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24}
"""The largest relative error of one rounding. Of tensors that were stored in a wider dtype than they had, see _unit()."""


@dataclass(frozen=True)
class Against:
    """What tensors were made by. verdict: "identified", "narrowed" (to `mistakes`) or "not identified".  mistakes: those that reproduce the
    tensors, and cannot be told apart; none where the recipe does itself.  recipe: how far it is off; None where it makes another size.
    second: the nearest of those that are not named.  pictures: how many were compared.  notes: what was noticed while they were read."""

    verdict: str
    mistakes: tuple[Fit, ...]
    recipe: Fit | None
    second: Fit | None
    pictures: int
    notes: tuple[str, ...] = ()

    @property
    def right(self) -> bool:
        """Whether the recipe itself reproduces the tensors."""
        return self.verdict == "identified" and not self.mistakes

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"right": self.right}

    def lines(self) -> Iterator[str]:
        """For people: what was done, and the figures that say so."""
        if self.right and self.recipe is not None:
            yield f"identified: no mistake. The recipe makes these tensors, {_figures(self.recipe)}"
        else:
            yield f"{self.verdict}: {' or '.join(fit.words for fit in self.mistakes) or 'no known mistake makes these tensors'}"
            for fit in self.mistakes:
                yield f"  {fit.words}: {_figures(fit)}"
            own = "makes pictures of another size" if self.recipe is None else f"is {_figures(self.recipe)}"
            yield f"  the recipe itself {own}"
        if self.second is not None:
            yield f"  {'nearest' if self.verdict == 'not identified' else 'next'}: {self.second.words}: {_figures(self.second)}"
        counted = f"{self.pictures} picture{'' if self.pictures == 1 else 's'}"
        yield f"  over {counted}; what is named is off by {REPRODUCED} grey levels at most"
        yield from (f"  note: {note}" for note in self.notes)


def _figures(fit: Fit) -> str:
    unit = f", of which the tensors' own dtype explains {fit.unit:.2g}" if fit.unit > ALIKE else ""
    return f"{fit.residual:.2g} grey levels off (root mean square; {fit.most:.2g} at most){unit}"


def diagnose_against(
    place: str | Path | Callable[..., Any], recipe: object, *, images: Path | None = None, progress: Progress = silent
) -> Against:
    """Names the mistake by which tensors are not what a recipe makes of their pictures. place, images: as read_pairs()'s.

    recipe: a Recipe, or a Pipeline, layers or steps of preproc, a FromPixels first.

    Every known mistake is tried and, where none reproduces the tensors, every two at once that touch different things; then each with
    whatever constants fit best, which narrows the cause, but names none. Raises PreprocError for pairs that cannot be read, for steps that
    do not start at pixels of 8 bits, and for tensors of other channels than they make.
    """
    sequence = recipe.steps if isinstance(recipe, Recipe) else as_steps(recipe)
    progress("reading the pairs")
    pairs = read_pairs(place, images=images)
    unit = _UNITS.get(pairs.dtype, _UNITS["float32"])
    samples = [Sample(pair.name, Source(pair.picture), pair.tensor, _unit(pair.tensor, unit)) for pair in pairs.pairs]
    progress("trying the known mistakes")
    found = find_mistake(sequence, samples)
    return Against(found.verdict, found.mistakes, found.recipe, found.second, found.pictures, pairs.notes)


def _unit(tensor: Any, unit: float) -> float:
    """Of numbers that all are float16's, though they lie in a wider dtype."""
    with np.errstate(over="ignore"):
        return max(unit, _UNITS["float16"]) if (tensor.astype(np.float16) == tensor).all() else unit


def find_mistake(sequence: Sequence[Step], samples: Sequence[Sample]) -> Against:
    """As diagnose_against(), of pairs that were read."""
    search = Search(sequence, samples)
    own = search.fit(OWN, samples)
    if own is not None and own.residual <= ALIKE:
        return Against("identified", (), own, None, len(samples))
    rounds: list[list[Fit]] = []
    for causes in _rounds(search, samples):
        chosen = sorted(causes, key=lambda tried: tried.residual)[:KEPT]
        fits = [fit for tried in chosen if (fit := search.fit(tried.mistake, samples)) is not None]
        rounds.append(sorted(fits, key=lambda fit: fit.residual))
        if any(fit.residual <= ALIKE + fit.unit for fit in fits):
            break
    return _judged(own, rounds, len(samples))


def _rounds(search: Search, samples: Sequence[Sample]) -> Iterator[Iterator[Tried]]:
    """The likeliest causes first: one mistake, one of other libraries', two at once, and one with whatever constants fit."""
    hardest = search.hardest(samples)
    yield search.one(hardest)
    yield search.one(hardest, libraries=True)
    yield search.two()
    yield search.free()


def _judged(own: Fit | None, rounds: Sequence[Sequence[Fit]], pictures: int) -> Against:
    """The simplest that is as near as any: two mistakes are not named where one will do."""
    fits = sorted((fit for each in rounds for fit in each), key=lambda fit: fit.residual)
    best = min((fit.residual for fit in (*fits, *filter(None, [own]))), default=0.0)
    if own is not None and _reproduces(own) and _alike(own, best):
        return Against("identified", (), own, next(iter(fits), None), pictures)
    each = ([fit for fit in tried if _reproduces(fit) and _alike(fit, best)] for tried in rounds)
    named = next(filter(None, each), [])
    second = next((fit for fit in fits if fit not in named), None)
    causes = [fit for fit in named if CONSTANTS not in fit.name]
    verdict = "not identified" if not named else "identified" if len(named) == len(causes) == 1 else "narrowed"
    return Against(verdict, tuple(named), own, second, pictures)


def _reproduces(fit: Fit) -> bool:
    return fit.residual <= REPRODUCED + fit.unit


def _alike(fit: Fit, best: float) -> bool:
    return fit.residual <= max(ALIKE + fit.unit, NEAR * best)
