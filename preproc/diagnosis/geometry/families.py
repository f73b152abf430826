"""Which framings are tried: the ways in which pictures become of the tensors' size, and what lies beside each."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...steps import Size
from .framing import Fit, Window
from .geometry import Geometry
from .grey import GREYS
from .resampling import Resampler

USUAL = Resampler("Pillow", "bilinear", antialias=True, passes=12)
"""What framings are told apart with, before any other kernel is tried."""
LARGEST = 2.5
"""How much larger than the crop the resized picture is at most."""
SHARES = tuple(round(0.5 + 0.005 * step, 3) for step in range(100))
"""Of the sides, that are cut out in front of a resize."""
AT = ("half_even", "floor", "ceil")
ROUNDINGS = ("floor", "round", "ceil")


def families(pictures: Sequence[Size], tensors: Sequence[Size]) -> list[list[Geometry]]:
    """All framings that make tensors of those sizes of pictures of those sizes, family by family. Which kernel it is, is not told here."""
    sizes = set(tensors)
    found = [list(family) for family in (_fixed(next(iter(sizes)), pictures) if len(sizes) == 1 else _free(tensors))]
    alike = [[each for each in family if fits(each, pictures, tensors)] for family in found]
    return [family for family in alike if family]


def fits(geometry: Geometry, pictures: Sequence[Size], tensors: Sequence[Size]) -> bool:
    """Whether it makes tensors of those sizes, and leaves pixels."""
    return all(_makes(geometry, picture) == tensor for picture, tensor in zip(pictures, tensors, strict=True))


def _makes(geometry: Geometry, picture: Size) -> Size | None:
    frame = geometry.frame(picture)
    return None if min(*frame.cut[2:], *frame.size) < 1 else frame.window[2:]


def _fixed(size: Size, pictures: Sequence[Size]) -> Iterator[Iterator[Geometry]]:
    """To one size."""
    shorter, longer, least = min(size), max(size), min(min(picture) for picture in pictures)
    middle, corner = Window(size), Window(size, "corner")
    yield iter([_of(Fit("as it is"))])
    yield iter([_of(Fit("to", size))])
    yield (_of(Fit("as it is"), window) for window in (middle, corner))
    yield (_of(Fit("shorter", (side, 0)), middle) for side in range(shorter, int(shorter * LARGEST) + 1))
    yield (_of(Fit("to", (side, side)), middle) for side in range(longer + 1, int(longer * LARGEST) + 1))
    yield (_of(Fit("over", size, "round"), middle) for _ in range(shorter != longer))
    yield iter([_of(Fit("to", size), before=Window("shorter", at)) for at in ("half_even", "corner")])
    yield (_of(Fit("to", size), before=Window(share)) for share in SHARES)
    yield (_of(Fit("to", size), before=Window((side, side))) for side in range(max(shorter // 2, 2), min(least, 4 * longer)))
    yield (_of(Fit("inside", size, rounding), window) for rounding in ROUNDINGS for window in (middle, corner))
    yield (_of(Fit("to", size), before=Window("longer", at)) for at in ("half_even", "corner"))


def _free(tensors: Sequence[Size]) -> Iterator[Iterator[Geometry]]:
    """To sizes that depend on the picture's."""
    yield iter([_of(Fit("as it is"))])
    shorter, longer = {min(size) for size in tensors}, {max(size) for size in tensors}
    most = max(longer)
    yield (_of(Fit("shorter", (side, limit), rounding)) for side in shorter for limit in (0, most) for rounding in ROUNDINGS)
    yield (_of(Fit("longer", (most, 0), rounding)) for rounding in ROUNDINGS)
    yield (_of(Fit("shorter", (max(shorter), limit), rounding)) for limit in (0, most) for rounding in ROUNDINGS)


def _of(fit: Fit, after: Window | None = None, *, before: Window | None = None) -> Geometry:
    return Geometry(fit, USUAL, after, before)


def beside(geometry: Geometry) -> Iterator[Geometry]:
    """What is easily mistaken for it: a pixel more or less, the half pixel rounded otherwise, a pixel aside."""
    fit, before, after = geometry.fit, geometry.before, geometry.after
    for more in (-3, -2, -1, 1, 2, 3):
        if fit.how == "shorter" and after is not None:
            yield replace(geometry, fit=replace(fit, sides=(fit.sides[0] + more, fit.sides[1])))
        if fit.how == "to" and after is not None and (fit.sides[0] + more, fit.sides[1] + more) != after.sides:
            yield replace(geometry, fit=replace(fit, sides=(fit.sides[0] + more, fit.sides[1] + more)))
        if before is not None and isinstance(before.sides, tuple):
            yield replace(geometry, before=replace(before, sides=(before.sides[0] + more, before.sides[1] + more)))
    if fit.how not in ("as it is", "to"):
        yield from (replace(geometry, fit=replace(fit, rounding=rounding)) for rounding in ROUNDINGS if rounding != fit.rounding)
    yield from (replace(geometry, after=window) for window in _moved(after))
    yield from (replace(geometry, before=window) for window in _moved(before))


def _moved(window: Window | None) -> Iterator[Window]:
    if window is None:
        return
    if window.at != "corner":
        yield from (replace(window, at=at) for at in AT if at != window.at)
    for down, right in itertools.product((-1, 0, 1), repeat=2):
        if (down, right) != (0, 0):
            yield replace(window, shift=(window.shift[0] + down, window.shift[1] + right))


def simplicity(geometry: Geometry) -> tuple[int, ...]:
    """Of several that do the same, the one that says the least comes first."""
    windows = [window for window in (geometry.before, geometry.after) if window is not None]
    return (
        geometry.turn != "as stored",
        geometry.decoder != "Pillow",
        sum(abs(by) for window in windows for by in window.shift),
        len(windows),
        geometry.fit.how not in ("as it is", "to"),
        geometry.before is not None,
        sum(AT.index(window.at) if window.at in AT else 0 for window in windows),
        ROUNDINGS.index(geometry.fit.rounding),
        GREYS.index(geometry.grey) if geometry.grey in GREYS else len(GREYS),
    )
