"""A known mistake: what is done in place of a recipe's steps."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...oracle import reference
from ...steps import FromPixels, Geometry, Step
from ..geometry import Source, geometry_of

Array = NDArray[np.float64]


Moves = tuple[Geometry, ...]


@dataclass(frozen=True)
class Picture:
    """planes: (N, C, H, W) float64, grey levels in the channels that the network takes.  source: the file or the pixels that they are of,
    as stored; None where only the planes are at hand.  opencv: whether OpenCV computes the resizes that steps are named for it.
    pixels: Y, U and V that the planes are made of, as the recipe takes them; None where it takes other pixels.  first: what converts
    these behind the steps, which move each of them by itself; None where the steps move the planes.  moves: the recipe's own; what they
    make is made once."""

    planes: Array
    source: Source | None = None
    opencv: bool = False
    pixels: NDArray[Any] | None = None
    first: FromPixels | None = None
    moves: Moves = ()

    @property
    def yuv(self) -> NDArray[Any]:
        """pixels, where the recipe takes Y, U and V."""
        assert self.pixels is not None
        return self.pixels

    def made(self, moves: Moves, planes: Array | None = None) -> Array:
        """What steps make of the planes, or of those in their place."""
        return self._own if planes is None and moves == self.moves else self._made(moves, planes)

    @functools.cached_property
    def _own(self) -> Array:
        return self._made(self.moves)

    def read(self, step: FromPixels, moves: Moves) -> Array:
        """What a step that moves planes makes of Y, U and V, each moved as a picture of its own: once for all matrices and ranges."""
        plain, affine = step.apart(step.channels() or 3)
        if (plain, moves) not in self._moved:
            self._moved[plain, moves] = reference.apply((plain, *moves), self.yuv)
        mixed = np.tensordot(affine.matrix, self._moved[plain, moves], axes=(1, 1)) + affine.offset[:, None, None, None]
        return np.ascontiguousarray(np.moveaxis(mixed, 0, 1))

    @functools.cached_property
    def _moved(self) -> dict[tuple[FromPixels, Moves], Array]:
        return {}

    def _made(self, moves: Moves, planes: Array | None = None) -> Array:
        if self.first is not None and self.pixels is not None and planes is None:
            return self.read(self.first, moves)
        x = self.planes if planes is None else planes
        if not self.opencv:
            return reference.apply(moves, x)
        for step in moves:
            x = _by_opencv(step, x) if is_opencvs(step) else reference.apply([step], x)
        return x


@dataclass(frozen=True)
class Mistake:
    """name: as reports have it.  words: what was done, and in place of what, for people.

    planes: what makes the planes (N, C, H, W) of a picture of Y, U and V.
    levels: the steps of geometry, or what makes the grey levels (N, C, h, w) of a picture.  order: the channel that each channel is taken
    from, behind that.  values: the steps behind the geometry, or what makes model-ready numbers of the levels.  None: as the recipe has it.
    library: which one computes the levels; "" for the oracle, or where it is the mistake itself.  within: the lowest and the highest grey
    levels that the mistake may leave, where it is not known which: the nearest of them to the tensor's are taken for its levels."""

    name: str
    words: str
    levels: Moves | Callable[[Picture], Array] | None = None
    order: tuple[int, ...] | None = None
    values: tuple[Step, ...] | Callable[[Array], Array] | None = None
    library: str = ""
    planes: Callable[[NDArray[Any]], Array] | None = None
    within: Callable[[Picture], tuple[Array, Array]] | None = None

    @property
    def is_of_numbers(self) -> bool:
        """Whether it is made with grey levels that are right, of a picture in its place."""
        return self.levels is None and self.planes is None

    def beside(self, other: "Mistake") -> "Mistake | None":
        """Both at once, of which neither touches what the other does; else None."""
        fields = ("planes", "levels", "order", "values", "within")
        if any(getattr(self, field) is not None and getattr(other, field) is not None for field in fields):
            return None
        taken: dict[str, Any] = {field: getattr(self, field) or getattr(other, field) for field in fields}
        return replace(self, name=f"{self.name}, and {other.name}", words=f"{self.words}; and {other.words}", **taken)


def is_opencvs(step: Geometry) -> bool:
    """Whether it is a resize whose name is OpenCV's, which alone rounds otherwise than the oracle here and there."""
    own = geometry_of((step,))
    return own is not None and own.resampler is not None and own.resampler.library == "OpenCV"


def _by_opencv(step: Geometry, planes: Array) -> Array:
    own = geometry_of((step,))
    assert own is not None
    pictures = np.moveaxis(planes, 1, 3).astype(np.uint8)
    return np.stack([own.pixels(Source(each)) for each in pictures]).transpose(0, 3, 1, 2).astype(np.float64)


def valued(values: tuple[Step, ...] | Callable[[Array], Array], levels: Array) -> Array:
    """Model-ready numbers of grey levels, (N, C, H, W)."""
    return values(levels) if callable(values) else reference.apply(values, levels)
