"""What is met on the way from a network's input to its first layers, as flat planes tell it, and what that comes to. NumPy only."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..steps import UNITS, Affine, presets
from .guard import InputEffect
from .planes import HALF, OTHERS, SAME, Rows


def ways(found: Rows) -> list[Affine]:
    """The maps that distinct rows are of: each reads a channel once. Sums of channels are one map; what changes nothing is none."""
    rows = found.map
    if rows is None:
        return []
    single = (rows.matrix != 0).sum(axis=1) == 1
    turns: dict[int, list[int]] = {}
    seen: dict[int, int] = {}
    for row in np.flatnonzero(single):
        channel = int(np.argmax(rows.matrix[row] != 0))
        turns.setdefault(seen.get(channel, 0), []).append(int(row))
        seen[channel] = seen.get(channel, 0) + 1
    maps = [Affine(rows.matrix[turn], rows.offset[turn]) for turn in turns.values()]
    if not single.all():
        maps.append(Affine(rows.matrix[~single], rows.offset[~single]))
    return [way for way in maps if not _changes_nothing(way, found.digits)]


def _changes_nothing(way: Affine, digits: float) -> bool:
    """Whether it is x, or some channels of it in their order, as far as that can be told."""
    read, scale = np.argmax(way.matrix != 0, axis=1), way.matrix.sum(axis=1)
    same = np.abs(scale - 1).max() <= digits and np.abs(way.offset).max() <= digits
    return way.is_monomial and bool(same and (np.diff(read) > 0).all())


def is_preset(way: Affine) -> bool:
    """Whether the map is one of the presets, in whichever unit."""
    found = way.mean_and_std() if way.is_monomial else None
    return found is not None and any(presets.recognize(found[0].tolist(), found[1].tolist(), unit) for unit in UNITS)


def is_single(weight: NDArray[Any]) -> bool:
    """Whether each of a convolution's outputs reads one number. weight: (channels_out, channels_in / groups, *kernel)."""
    return bool((np.count_nonzero(weight, axis=tuple(range(1, weight.ndim))) <= 1).all())


class Look:
    """What is met on the way from the input to the first layers, and how far it can be followed. top: of the planes."""

    def __init__(self, top: float) -> None:
        self.top = top
        self.maps = list[Affine]()
        self.learned = self.ended = self.half = False
        self.raw: str | None = None
        self.met, self.stopped = list[str](), list[str]()

    def meet(self, name: str, kind: str, read: Iterable[Rows], made: Sequence[Rows | None]) -> bool:
        """Whether what the operation makes can be followed.

        kind: "layer", behind which nothing is the input's any more; "linear", which may be a layer or a normalization; "batch_norm";
        the unit of raw pixels, for a cast to them; "test", which tells something of the values but hands none on; "part", which cuts,
        perhaps where there are no pixels; else "".
        """
        self.met.append(name)
        read = list(read)
        known = all(rows is not None for rows in made)
        moves = any(rows is not None and rows.map is not None for rows in made)
        if kind in UNITS:
            self.raw = kind
        if kind == "layer" or (kind == "linear" and not (known and moves and all(rows.are_single for rows in made if rows and rows.map))):
            self._end(read)
            return False
        if kind == "batch_norm" and not (known and moves and all(any(map(is_preset, ways(r))) for r in made if r and r.map)):
            self.learned = True
            self._end(read)
            return False
        if kind in ("test", "part") and known and not moves:
            return False
        if known and moves:
            return True
        self._end(read, known=False)
        self.stopped.append(name)
        return False

    def stop(self, name: str, read: Iterable[Rows]) -> None:
        """At an operation that cannot be run."""
        self.meet(name, "", read, ())

    def finish(self) -> None:
        """At the end of the network."""
        if not self.ended:
            self.stopped.append("its end, for no layer was seen to read its input")

    def _end(self, read: Iterable[Rows], *, known: bool = True) -> None:
        """known: whether in a layer. Else what is no share of the brightness is a contrast on the way to something: x - x.mean()."""
        self.ended = True
        for rows in read:
            self.half |= rows.half
            for way in ways(rows):
                contrast = np.abs(way.matrix.sum(axis=1)) < OTHERS * np.abs(way.matrix).max(axis=1)
                if (known or not contrast.any()) and not self.has(way):
                    self.maps.append(way)

    def has(self, way: Affine, top: float = 1.0) -> bool:
        """Whether one of the maps does the same to values in 0..top."""
        return any(
            Affine(known.matrix * top, known.offset).close_to(Affine(way.matrix * top, way.offset), tolerance=HALF if self.half else SAME)
            for known in self.maps
        )

    def effect(self) -> InputEffect:
        return InputEffect(tuple(self.maps), self.learned, self.raw, tuple(self.met), tuple(dict.fromkeys(self.stopped)))


def clearest(looks: Iterable[Look]) -> InputEffect:
    """What was seen with pictures of 0..1, if all of the way was, and if with pictures of 0..255 nothing else was; or else what the one
    that saw most saw. A network that looks at its values to choose what it does is not told, whatever it does."""
    tried = list[Look]()
    for look in looks:
        tried.append(look)
        first = tried[0]
        if (first.stopped and not look.stopped) or (first.raw and not first.stopped):
            break
        if len(tried) == 2 and not first.stopped:
            more = [way for way in look.maps if not first.has(way, look.top)]
            less = not look.stopped and any(not look.has(way, look.top) for way in first.maps)
            if more or less:
                stopped = ("what it does to its input, which depends on the values",)
                return replace(first.effect(), maps=(*first.maps, *more), stopped=stopped)
            return replace(first.effect(), raw=look.raw)
    best = tried[-1] if not tried[-1].stopped else max(tried, key=lambda look: (len(look.maps), len(look.met)))
    return replace(best.effect(), raw=next((look.raw for look in tried if look.raw is not None), None))
