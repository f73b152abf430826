"""From coarse to fine: which framings, then which kernels, on few pairs; what is left is judged on all."""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from ...errors import PreprocError
from ...host import Progress
from ..geometry import DECODERS, GREYS, RESAMPLERS, TURNS, Fit, Geometry, Grey, Resampler, Source, absent, beside, families, simplicity
from ..solving import KERNELS_DIFFER, Moments
from .bench import Bench

FEW = 3
"""Pairs that the search looks at."""
GLANCED, PROBED, KERNELS, LEFT = 24, 4, 4, 24
"""Framings: looked at closely, with neighbours, with all kernels; and geometries that are judged on all pairs."""
PROBES = (
    Resampler("Pillow", "bilinear", antialias=True, passes=12),
    Resampler("Pillow", "bicubic", antialias=True, passes=12),
    Resampler("Pillow", "nearest"),
    Resampler("torch", "bilinear", floats=True),
    Resampler("torch", "nearest", floats=True),
    Resampler("torch", "bilinear", floats=True, align_corners=True),
)
"""Kernels that every other one is near to: also those that begin at another half pixel."""
KEPT = 12
"""Of what geometries make of a picture: they share resizes and small versions."""
GREYED = 4
"""Geometries of which every way to grey is tried."""
ROUNDS = 4
"""At most, of looking at neighbours of the best."""


class Search:
    """benches: the pairs. scored: every geometry that was tried, with the mean square of its residual on the few pairs."""

    def __init__(self, benches: Sequence[Bench], progress: Progress) -> None:
        self.benches, self.few, self.progress = benches, _chosen(benches), progress
        for bench in self.few:
            bench.keep = KEPT
        self.kernels = [how for how in RESAMPLERS if how.library not in absent()]
        self.mixes = len(benches[0].pair.tensor) == 1
        self.scored: dict[Geometry, float] = {}
        self._by_plan: dict[Hashable, float] = {}
        self._ranked = list[tuple[float, tuple[int, ...], Geometry]]()

    def run(self) -> list[Geometry]:
        """What is worth being judged on all pairs, the best first: one of each plan, and what lies beside it."""
        self.progress("how the pictures were framed")
        framings = self._glanced()
        self._score(replace(each, resampler=how) for each in framings for how in self.kernels if how in PROBES)
        self._climb(2)
        self.progress("which kernel resized them")
        self._kernels(KERNELS)
        self._climb(3)
        self._kernels(2)
        self._decoders()
        if self.mixes:
            self.progress("how colours became grey")
            self._greys()
        return self._left()

    def best(self, count: int) -> list[Geometry]:
        return [each for _, _, each in sorted(self._ranked, key=_order)[:count]]

    def _framings(self, count: int) -> list[list[Geometry]]:
        """The best ones, whatever their kernel: those that come to the same with these pictures together, the simplest first."""
        found: dict[Hashable, dict[Geometry, None]] = {}
        for each in self.best(len(self.scored)):
            if math.isfinite(self.scored[each]):
                framing = replace(each, resampler=RESAMPLERS[0])
                plan = self.plan(framing, self.benches)
                if plan in found or len(found) < count:
                    found.setdefault(plan, {})[framing] = None
        return [list(alike) for alike in found.values()]

    def _kernels(self, count: int) -> None:
        """Of so many framings all kernels."""
        self._score(replace(each, resampler=how) for alike in self._framings(count) for each in alike for how in self.kernels)

    def _score(self, geometries: Iterable[Geometry]) -> None:
        for each in geometries:
            if each in self.scored:
                continue
            plan = self.plan(each, self.few)
            if plan not in self._by_plan:
                scores = [bench.score(each, own) for bench, own in zip(self.few, plan, strict=True)]
                self._by_plan[plan] = sum(scores) / len(scores)
            self.scored[each] = self._by_plan[plan]
            self._ranked.append((self._by_plan[plan], simplicity(each), each))

    def plan(self, geometry: Geometry, benches: Sequence[Bench]) -> tuple[Hashable, ...]:
        return tuple(bench.plan(geometry) for bench in benches)

    def _climb(self, count: int) -> None:
        """Neighbours of the best framings, with as many of the best kernels, until none is better."""
        for _ in range(ROUNDS):
            kernels = [how for how in dict.fromkeys(each.resampler for each in self.best(len(self.scored))) if how][:count]
            before = self.best(1)
            for each, *_ in self._framings(PROBED):
                self._score(replace(other, resampler=how) for other in beside(each) if self._fits(other) for how in kernels)
            if self.best(1) == before:
                return

    def _fits(self, geometry: Geometry) -> bool:
        for bench in self.benches:
            frame = geometry.frame(bench.size(geometry))
            if min(*frame.cut[2:], *frame.size) < 1 or frame.window[2:] != bench.pair.size:
                return False
        return True

    def _glanced(self) -> list[Geometry]:
        """The framings that look best, and the two best of every family."""
        turns = ["as stored", *(["upright"] if any(bench.source.turned != 1 for bench in self.benches) else [])]
        found = self._looked(turns)
        nearest = min((family[0][0] for family in found), default=math.inf)
        if math.sqrt(nearest) > 0.3 * self._contrast():
            rough = self._looked([turn for turn in TURNS if turn not in turns], every=8)
            first = min((family[0] for family in rough), key=lambda both: both[0], default=None)
            if first is not None and first[0] < nearest / 2:
                found += self._looked([first[1].turn])
        every = sorted((both for family in found for both in family), key=_first)
        firsts = [both for family in found for both in family[:2]]
        return list(dict.fromkeys(geometry for _, geometry in (*every[:GLANCED], *firsts)))

    def _looked(self, turns: Sequence[str], *, every: int = 1) -> list[list[tuple[float, Geometry]]]:
        """Of each family the framings, or every so many of them, with their score, the best first."""
        found = []
        for turn in turns:
            sizes = [bench.size(Geometry(Fit("as it is"), turn=turn)) for bench in self.benches]
            for family in families(sizes, [bench.pair.size for bench in self.benches]):
                turned = [replace(each, turn=turn) for each in family[::every]]
                scores = [(float(np.mean([bench.glance(each) for bench in self.few])), each) for each in turned]
                found.append(sorted((both for both in scores if math.isfinite(both[0])), key=_first))
        return [family for family in found if family]

    def _contrast(self) -> float:
        """The standard deviation of the few pictures' levels."""
        return float(np.mean([bench.source.picture().std() for bench in self.few]))

    def _decoders(self) -> None:
        """Other decoders of JPEG files, where they make other pixels."""
        files = [bench.source for bench in self.few if bench.source.is_jpeg]
        for decoder in DECODERS:
            if decoder not in absent() and any(_differs(file, decoder) for file in files):
                self._score(replace(each, decoder=decoder) for each in self.best(4))

    def _greys(self) -> None:
        """Of the best geometries, with whatever mix of colours, each way to grey; of the best ways more geometries."""
        found = self._plans(LEFT)
        first = [each for alike in found[:GREYED] for each in alike]
        self._score(replace(each, grey=grey) for each in first for grey in self._ways(each))
        ways = list(dict.fromkeys(each.grey for each in self.best(len(self.scored)) if each.grey))[:2]
        self._score(replace(each, grey=grey) for alike in found for each in alike for grey in ways if grey in self._ways(each))
        mixed = Moments.all(Moments.undivided(bench.levels(first[0]), bench.pair.tensor) for bench in self.few).mixed() if first else None
        known = min((score for each, score in self.scored.items() if each.grey), default=math.inf)
        if mixed is not None and math.sqrt(known) > math.sqrt(mixed[1]) + KERNELS_DIFFER:
            own = [tuple(round(weight, digits) for weight in mixed[0].tolist()) for digits in (2, 3, 4)]
            self._score(replace(each, grey=Grey(f"with the weights {weights}", weights)) for each in first for weights in own)

    def _ways(self, geometry: Geometry) -> list[Grey]:
        """One of pictures that are grey. What makes whole levels does so of whole ones."""
        if all(bench.source.is_grey for bench in self.benches):
            return [GREYS[0]]
        whole = geometry.resampler is None or geometry.resampler.rounds or geometry.fit.how == "as it is"
        return [grey for grey in GREYS if grey.library.split(" ")[0] not in absent() and (whole or grey.first or not grey.rounds)]

    def _plans(self, count: int) -> list[list[Geometry]]:
        """The best ones, those together that come to the same with the few pictures."""
        found: dict[Hashable, list[Geometry]] = {}
        for each in self.best(len(self.scored)):
            plan = self.plan(each, self.few)
            if plan in found or len(found) < count:
                found.setdefault(plan, []).append(each)
        return list(found.values())

    def _left(self) -> list[Geometry]:
        """Those near enough to the best, and the next one."""
        ordered = [each for each in self.best(len(self.scored)) if (each.grey is not None) == self.mixes]
        if not ordered:
            return []
        most = (2 * math.sqrt(self.scored[ordered[0]]) + 0.3) ** 2
        plans: set[Hashable] = set()
        kept: list[Geometry] = []
        for each in ordered:
            plan = self.plan(each, self.few)
            if plan not in plans and len(plans) > 1 and (len(plans) >= LEFT or self.scored[each] > most):
                break
            plans.add(plan)
            kept.append(each)
        return kept


def _differs(file: Source, decoder: str) -> bool:
    """Whether it makes other pixels of it; not where it makes none."""
    try:
        return not np.array_equal(file.picture(decoder), file.picture())
    except PreprocError:
        return False


def _order(ranked: tuple[float, tuple[int, ...], Geometry]) -> tuple[float, tuple[int, ...]]:
    return ranked[:2]


def _first(both: tuple[float, Geometry]) -> tuple[float, tuple[int, ...]]:
    return both[0], simplicity(both[1])


def _chosen(benches: Sequence[Bench]) -> list[Bench]:
    """Few pairs, of different sizes if there are, the ones with the most contrast."""
    contrast = {id(bench): float(bench.source.picture().std()) for bench in benches}
    ordered = sorted(benches, key=lambda bench: -contrast[id(bench)])
    sizes: dict[tuple[int, ...], int] = {}
    ranked: list[tuple[int, int, Bench]] = []
    for bench in ordered:
        size = bench.source.picture().shape[:2]
        ranked.append((sizes.get(size, 0), len(ranked), bench))
        sizes[size] = sizes.get(size, 0) + 1
    return [bench for _, _, bench in sorted(ranked, key=lambda each: each[:2])[:FEW]]
