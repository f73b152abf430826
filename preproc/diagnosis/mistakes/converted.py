"""Mistakes in how Y, U and V become grey levels."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...oracle import reference
from ...steps import OTHER_CONVERSIONS, FromPixels, Geometry, mistaken
from .libswscale import by_libswscale
from .mistake import Array, Mistake
from .rounded import bounds, in_three_digits, three_digits, whole

CLIPPED, NOT_CLIPPED = OTHER_CONVERSIONS
CLIPPED_ALONE = "clipped and not rounded"
THREE_DIGITS = "clipped and not rounded, with OpenVINO's constants of three digits"
OTHERWISE = "clipped and rounded to 8 bits as other libraries than OpenCV may round"
KINDS = ("matrix", "range", "U and V")
"""What names of steps.mistaken() begin with that are tried together."""
Convert = Callable[[NDArray[Any]], Array]


def converted_mistakes(first: FromPixels, moves: Sequence[Geometry]) -> Iterator[Mistake]:
    """Those of steps.mistaken(), one by one: where the recipe has whole levels chroma that is aside comes to such, too. moves: of what is
    whole; behind it nothing is left unrounded. Of the planes where these are converted behind it: the mistake converts as it does."""
    for name, other in mistaken(first).items():
        known, own = _conversions(other, first, moves), name not in OTHER_CONVERSIONS
        conversion = _own(first) if own else name
        if conversion in known:
            yield Mistake(name, _read_with(name) if own else name, **known[conversion])


def converted_together(first: FromPixels, moves: Sequence[Geometry]) -> Iterator[list[Mistake]]:
    """What no single one of converted_mistakes() is: several ways of misreading at once, and each with every conversion; the fewer at once
    the earlier. Behind these, in lists of their own, those that round to 8 bits as other libraries may, and libswscale's."""
    found: dict[int, list[Mistake]] = {}
    for names, other in readings(first).items():
        for conversion, fields in _conversions(other, first, moves).items():
            said = names if conversion == _own(first) else (*names, conversion)
            usual = other.chroma == first.chroma or conversion in (_own(first), CLIPPED)
            if usual and said and not (len(said) == 1 and said[0] in mistaken(first)):
                found.setdefault(len(said), []).append(_named(names, said[len(names) :], fields))
    yield from (found[count] for count in sorted(found))
    if first.conversion is None or first.of_luma:
        return
    if not moves:
        yield [_named(names, (OTHERWISE,), _otherwise(other)) for names, other in readings(first).items()]
    own_chroma = [(names, other) for names, other in readings(first).items() if other.chroma == first.chroma]
    yield [
        _named(names, (name,), _whole(convert, first, moves))
        for names, other in own_chroma
        for name, convert in by_libswscale(other).items()
    ]


def readings(first: FromPixels) -> dict[tuple[str, ...], FromPixels]:
    """Each way to misread Y, U and V, but for the conversion, by the names of what is wrong, in this order; nothing wrong first."""
    found: dict[tuple[str, ...], FromPixels] = {(): first}
    for kind in KINDS:
        found |= {(*names, name): other for names, step in found.items() for name, other in mistaken(step).items() if name.startswith(kind)}
    return found | {(*names, name): step for names, other in found.items() for name, step in _other_chroma(other, first)}


def _other_chroma(step: FromPixels, first: FromPixels) -> Iterator[tuple[str, FromPixels]]:
    """Interpolated for replicated, and the other way round."""
    if first.chroma == step.chroma == "replicate":
        between: dict[str, Any] = {"chroma": "bilinear", "siting": "center", "conversion": "linear" if step.conversion else None}
        yield "chroma interpolated between the middles of blocks", replace(step, **between)
    if first.chroma == "bilinear" and step.siting == first.siting:
        yield "chroma replicated", replace(step, chroma="replicate", siting=None)


def _own(first: FromPixels) -> str:
    """The recipe's conversion."""
    return CLIPPED if first.conversion == "rgb8" else NOT_CLIPPED


def _named(names: Sequence[str], conversion: Sequence[str], fields: Mapping[str, Any]) -> Mistake:
    words = ([_read_with(*names)] if names else []) + list(conversion)
    return Mistake(", and ".join((*names, *conversion)), ", ".join(words), **fields)


def _read_with(*names: str) -> str:
    return f"Y, U and V read with {' and '.join(names)}"


def _conversions(other: FromPixels, first: FromPixels, moves: Sequence[Geometry]) -> dict[str, dict[str, Any]]:
    """How grey levels may come of pixels that are read as `other` says: what a Mistake has of it. Where whole pictures move behind that,
    whole levels alone."""
    if first.conversion is None:
        return {NOT_CLIPPED: _exactly(other, first, moves)}
    exact = replace(other, conversion="linear")
    linear = functools.partial(_as_said, exact)
    by_integers = other.chroma != "bilinear" and not other.of_luma
    rounded = functools.partial(_as_said, replace(other, conversion="rgb8")) if by_integers else lambda pixels: whole(linear(pixels))
    if moves:
        behind = _whole(rounded, first, moves)
        return {CLIPPED: behind} | ({NOT_CLIPPED: _exactly(exact, first, moves)} if first.moves_planes else {})
    found: dict[str, Convert] = {NOT_CLIPPED: linear, CLIPPED: rounded, CLIPPED_ALONE: lambda pixels: np.clip(linear(pixels), 0, 255)}
    if not other.of_luma and in_three_digits(other):
        found[THREE_DIGITS] = lambda pixels: np.clip(three_digits(other, pixels), 0, 255)
    return {name: {"planes": convert} for name, convert in found.items()}


def _exactly(other: FromPixels, first: FromPixels, moves: Sequence[Geometry]) -> dict[str, Any]:
    """As the step itself does, which moves Y, U and V before."""
    if not (moves and first.moves_planes):
        return {"planes": functools.partial(_as_said, other)}
    return {"levels": lambda it: it.read(other, tuple(moves))}


def _whole(convert: Convert, first: FromPixels, moves: Sequence[Geometry]) -> dict[str, Any]:
    """Converted to whole levels, which move as a picture behind that."""
    return {"levels": lambda it: it.made(moves, convert(it.yuv))} if moves and first.moves_planes else {"planes": convert}


def _otherwise(other: FromPixels) -> dict[str, Any]:
    return {
        "planes": lambda pixels: whole(_as_said(replace(other, conversion="linear"), pixels)),
        "within": lambda it: bounds(other, it.yuv),
    }


def _as_said(step: FromPixels, pixels: NDArray[Any]) -> Array:
    return reference.apply([step], pixels)
