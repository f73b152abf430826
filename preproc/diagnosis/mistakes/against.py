"""Tensors that somebody made of pictures, against a recipe: which known mistake reproduces them, if one does."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...host import Progress, silent
from ...sources import Recipe
from ...steps import Step, as_steps
from ..geometry import Source, absent
from ..pairs import read_pairs
from ..solving import KERNELS_DIFFER
from .mistakes import PILLOWS
from .parts import Sample
from .trying import CONSTANTS, KEPT, NEAR, OWN, Fit, Search, Tried

ALIKE = 1.1
"""What is off by this many times what the best one is off cannot be told from it; nor can what is off by KERNELS_DIFFER."""
FAR = 2 * NEAR
"""Grey levels, root mean square, from which on nothing near is expected."""
GREY_PIXELS = f"the recipe takes grey pixels, and the pictures were {PILLOWS.words} for it"
NOT_OPENCV = (
    "the recipe's resize is OpenCV's, which is not installed (the extra opencv): where it rounds a level otherwise than what stands for it "
    "here is not known, so up to one level is left unexplained"
)


@dataclass(frozen=True)
class Against:
    """What tensors were made by. verdict: "identified", "narrowed" (to `mistakes`) or "not identified".  mistakes: those that reproduce the
    tensors, and cannot be told apart; none where the recipe does itself.  Where nothing reproduces them the verdict is "narrowed" to the
    nearest at best, the recipe among them where it is one.  recipe: how far it is off; None where it makes another size, told by
    other_size.  second: the nearest of those that are not named.  pictures: how many were compared.  notes: what was noticed while they
    were read."""

    verdict: str
    mistakes: tuple[Fit, ...]
    recipe: Fit | None
    second: Fit | None
    pictures: int
    notes: tuple[str, ...] = ()
    other_size: str | None = None

    @property
    def right(self) -> bool:
        """Whether the recipe itself reproduces the tensors."""
        return self.verdict == "identified" and not self.mistakes

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"right": self.right}

    def lines(self) -> Iterator[str]:
        """For people: what was done, and the figures that say so."""
        reproduced = all(fit.reproduces for fit in self.mistakes)
        if self.right and self.recipe is not None:
            yield f"identified: no mistake. The recipe makes these tensors, {_figures(self.recipe)}"
        else:
            words = " or ".join(fit.words for fit in self.mistakes) or "no known mistake makes these tensors"
            yield f"{self.verdict}: {'' if reproduced else 'nothing known makes just these tensors, the nearest is: '}{words}"
            for fit in self.mistakes:
                yield f"  {fit.words}: {_figures(fit)}{'' if fit.reproduces else f', of which {fit.explained:.2g} are explained'}"
            if self.recipe not in self.mistakes:
                own = self.other_size if self.recipe is None else f"is {_figures(self.recipe)}"
                yield f"  the recipe itself {own}"
                if self.recipe is None:
                    yield "  without --against it is searched for what makes tensors of that size"
        if self.second is not None:
            yield f"  {'nearest' if self.verdict == 'not identified' else 'next'}: {self.second.words}: {_figures(self.second)}"
        yield f"  over {self.pictures} picture{'' if self.pictures == 1 else 's'}"
        yield from (f"  note: {note}" for note in self.notes)


def _figures(fit: Fit) -> str:
    computed = f", computed by {fit.library}" if fit.library else ""
    return f"{fit.residual:.2g} grey levels off (root mean square; {fit.most:.2g} at most){computed}"


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
    samples = [Sample(pair.name, Source(pair.picture), pair.tensor) for pair in pairs.pairs]
    progress("trying the known mistakes")
    found = find_mistake(sequence, samples)
    missing = () if found.verdict == "identified" else tuple(absent().values())
    return replace(found, notes=(*pairs.notes, *found.notes, *missing))


def find_mistake(sequence: Sequence[Step], samples: Sequence[Sample]) -> Against:
    """As diagnose_against(), of pairs that were read."""
    search = Search(sequence, samples)
    own = search.closest(OWN, samples)
    rounds: list[list[Fit]] = [[] if own is None else [own]]
    for causes in () if own is not None and _is_exact(own) else _rounds(search, samples):
        fits = _fitted(search, sorted(causes, key=lambda tried: tried.residual)[:KEPT], samples)
        rounds.append(sorted(fits, key=lambda fit: fit.residual))
        if any(map(_is_exact, fits)):
            break
    found = _judged(own, rounds, len(samples))
    notes = [NOT_OPENCV] if search.made.without_opencv and not found.right else []
    notes += [GREY_PIXELS] if search.made.first.color == "GRAY" else []
    return replace(found, other_size=search.otherwise(samples) if own is None else None, notes=tuple(notes))


def _fitted(search: Search, chosen: Sequence[Tried], samples: Sequence[Sample]) -> list[Fit]:
    """Of all pictures. Where the likeliest is far off, those are left out that are so in what they were tried on, even if all else were
    right."""
    fits: list[Fit] = []
    for tried in chosen:
        if fits and min(fits[0].residual, tried.residual / len(samples) ** 0.5) > FAR:
            break
        if (fit := search.closest(tried.mistake, samples)) is not None:
            fits.append(fit)
    return fits


def _is_exact(fit: Fit) -> bool:
    return fit.reproduces and fit.residual <= KERNELS_DIFFER


def _rounds(search: Search, samples: Sequence[Sample]) -> Iterator[Iterator[Tried]]:
    """The likeliest causes first: one mistake, one of other libraries', several in the conversion of Y, U and V, the fewer the earlier, two
    at once, and one with whatever constants fit."""
    hardest = search.hardest(samples)
    few, of_colours = search.parts(hardest)
    yield search.one(few)
    yield search.of(few, search.made.of_libraries(jpeg=any(sample.source.is_jpeg for sample in few)))
    for together in search.made.of_conversions([sample.source for sample in hardest]):
        yield search.of(of_colours, together)
    yield search.two()
    yield search.free()


def _judged(own: Fit | None, rounds: Sequence[Sequence[Fit]], pictures: int) -> Against:
    """The simplest that is as near as any: two mistakes are not named where one will do, and none where the recipe will."""
    fits = sorted((fit for each in rounds for fit in each), key=lambda fit: fit.residual)
    possible = [fit for fit in fits if fit.reproduces] or [fit for fit in fits if fit.is_near]
    best = min((fit.residual for fit in possible), default=0.0)
    alike = [fit for fit in possible if fit.residual <= max(KERNELS_DIFFER, ALIKE * best)]
    named = next(filter(None, ([fit for fit in each if fit in alike] for each in rounds)), [])
    second = next((fit for fit in fits if fit not in named and fit is not own), None)
    if own is not None and named == [own] and own.reproduces:
        return Against("identified", (), own, second, pictures)
    told = len(named) == 1 and named[0].reproduces and CONSTANTS not in named[0].name
    verdict = "not identified" if not named else "identified" if told else "narrowed"
    return Against(verdict, tuple(named), own, second, pictures)
