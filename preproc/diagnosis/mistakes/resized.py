"""Mistakes in how a picture is resized, cropped and put into a border."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ...steps import INTERPOLATIONS, PILLOWS, CenterCrop, Geometry, Letterbox, Pad, Resampling, Resize
from .mistake import Array, Mistake, Moves, Picture

ALIASED = "resize without antialiasing"
_ALIASED: dict[str, Any] = {"interpolation": "bilinear", "antialias": False, "pillow": None, "torch": None}
"""What a resize by other libraries is."""
FILLS = (0, 114, 127, 128, 255)
"""Grey levels that borders have: black, Ultralytics', the two middles, white."""
SIDES = {"right": (0, 1), "left": (0, -1), "bottom": (1, 0), "top": (-1, 0)}
"""Where a window may be moved to by one pixel: (down, across)."""


def resized_mistakes(moves: Moves, *, windows: bool = True) -> Iterator[Mistake]:
    """What is done in place of each of these steps. windows: whether they are done to one picture, of which a crop may be elsewhere."""
    if moves:
        aliased = tuple(replace(step, **_ALIASED) if isinstance(step, Resampling) and step.antialias else step for step in moves)
        yield _otherwise(ALIASED, "resized without antialiasing (OpenCV linear)", aliased)
    for position, step in enumerate(moves):
        for name, words, instead in _instead(step, moves[position + 1 :]):
            yield _otherwise(name, words, (*moves[:position], *instead))
        if isinstance(step, CenterCrop) and windows:
            yield from _windows(moves, position)
        if isinstance(step, Letterbox):
            yield Mistake(
                "letterboxed in the corner",
                "letterboxed with the border right and below alone, in place of around",
                levels=_cornered(moves, position),
            )


def _otherwise(name: str, words: str, moves: Moves) -> Mistake:
    return Mistake(name, words, levels=moves)


Instead = Iterator[tuple[str, str, Moves]]


def _instead(step: Geometry, rest: Moves) -> Instead:
    """Name, words and what stands in place of a step and the rest."""
    if isinstance(step, Resampling):
        for name, words, other in _resampled(step):
            yield name, words, (other, *rest)
    if isinstance(step, Resize):
        yield from _resized(step, rest)
    if isinstance(step, (Letterbox, Pad, CenterCrop)):
        for fill in FILLS:
            if fill != step.fill:
                what = "letterbox filled" if isinstance(step, Letterbox) else "border filled"
                yield f"{what} with {fill}", f"{what} with {fill} for {step.fill}", (replace(step, fill=fill), *rest)
    if isinstance(step, Letterbox):
        yield "squashed for letterboxed", f"squashed to {_size(step.size)} in place of letterboxed", (_resize(step, step.size), *rest)
    if isinstance(step, CenterCrop):
        for rounding in ("half_even", "floor", "trunc"):
            if rounding != step.rounding:
                yield (
                    f"crop rounded {rounding}",
                    f"half a pixel of the crop rounded {rounding} for {step.rounding}",
                    (replace(step, rounding=rounding), *rest),
                )


def _resampled(step: Resampling) -> Iterator[tuple[str, str, Resampling]]:
    """With another filter, or another library's arithmetic."""
    aliased = not step.antialias and step.interpolation != "nearest"
    on = "" if step.torch is None else f"torchvision's on a {step.torch} tensor"
    own = on or f"{step.interpolation}{' without antialiasing' if aliased else ''}"
    plain: dict[str, Any] = {"antialias": True, "torch": None, "form": "fast"}
    for interpolation in INTERPOLATIONS:
        if interpolation != step.interpolation or aliased or on:
            pillow = None if interpolation == "nearest" else step.pillow
            words = f"resized by Pillow's {interpolation} in place of {own}"
            yield f"resized {interpolation}", words, replace(step, interpolation=interpolation, pillow=pillow, **plain)
    for pillow in PILLOWS:
        if step.pillow not in (None, pillow):
            yield (
                f"passes of Pillow {pillow}",
                f"resized in the order of passes of Pillow {pillow} in place of {step.pillow}",
                replace(step, pillow=pillow),
            )
    if step.antialias and step.interpolation in ("bilinear", "bicubic", "lanczos"):
        for torch in ("uint8", "float32"):
            if torch != step.torch:
                words = f"resized by torchvision on a {torch} tensor in place of {on or 'Pillow'}"
                yield f"resized by torch on {torch}", words, replace(step, torch=torch, pillow=None)


def _resized(step: Resize, rest: Moves) -> Instead:
    """To another size: squashed for the shorter side, without a margin for the crop, and the other ways round."""
    crop = next((other for other in rest if isinstance(other, CenterCrop)), None)
    if isinstance(step.size, int):
        if crop is not None:
            yield (
                "squashed to the crop",
                f"squashed to {_size(crop.size)} in place of the shorter side to {step.size} and a crop",
                (_resize(step, crop.size),),
            )
            yield (
                "resized to the crop",
                f"the shorter side resized to {min(crop.size)} for {step.size}, in front of the crop",
                (replace(step, size=min(crop.size), max_size=None), *rest),
            )
            yield "cropped alone", f"cropped to {_size(crop.size)} without a resize", rest
        yield (
            "squashed",
            f"squashed to {step.size}x{step.size} in place of the shorter side to {step.size}",
            (_resize(step, (step.size, step.size)), *rest),
        )
        return
    height, width = step.size
    yield (
        "shorter side for squashed",
        f"the shorter side resized to {min(step.size)} and cropped to {_size(step.size)} in place of squashed",
        (replace(step, size=min(step.size)), CenterCrop(size=step.size), *rest),
    )
    yield (
        "letterboxed for squashed",
        f"letterboxed into {_size(step.size)}, with black borders, in place of squashed",
        (
            Letterbox(
                size=step.size,
                fill=0,
                interpolation=step.interpolation,
                antialias=step.antialias,
                form=step.form,
                pillow=step.pillow,
                torch=step.torch,
            ),
            *rest,
        ),
    )
    if height != width:
        yield (
            "height and width exchanged",
            f"squashed to {width}x{height} in place of {height}x{width}",
            (replace(step, size=(width, height)), *rest),
        )


def _resize(step: Resampling, size: tuple[int, int]) -> Resize:
    return Resize(
        size=size, interpolation=step.interpolation, antialias=step.antialias, form=step.form, pillow=step.pillow, torch=step.torch
    )


def _windows(moves: Moves, position: int) -> Iterator[Mistake]:
    """The crop elsewhere. Not behind a resize of floats, whose levels no step takes but in one go."""
    before, behind = moves[:position], moves[position:]
    if any(isinstance(step, Resampling) and not step.rounds for step in before):
        return
    for side, (down, across) in SIDES.items():
        yield Mistake(f"crop off to the {side}", f"crop off by one pixel to the {side}", levels=_shifted(before, behind, down, across))
    yield Mistake("cropped in the corner", "cropped at the top left corner in place of the middle", levels=_from_corner(before, behind))


def _shifted(before: Moves, behind: Moves, down: int, across: int) -> Callable[[Picture], Array]:
    """The picture moved the other way, its edge repeated."""

    def levels(picture: Picture) -> Array:
        x = picture.made(before)
        rows, columns = (np.clip(np.arange(size) + by, 0, size - 1) for size, by in zip(x.shape[2:], (down, across), strict=True))
        return picture.made(behind, x[:, :, rows[:, None], columns])

    return levels


def _from_corner(before: Moves, behind: Moves) -> Callable[[Picture], Array]:
    def levels(picture: Picture) -> Array:
        height, width = behind[0].size  # type: ignore[attr-defined]
        x = picture.made(before)[:, :, :height, :width]
        return picture.made(behind, x)

    return levels


def _cornered(moves: Moves, position: int) -> Callable[[Picture], Array]:
    box = moves[position]
    assert isinstance(box, Letterbox)

    def levels(picture: Picture) -> Array:
        x = picture.made(moves[:position])
        height, width = box.inner_size((x.shape[2], x.shape[3]))
        border = Pad(padding=(0, 0, box.size[1] - width, box.size[0] - height), fill=box.fill)
        return picture.made((_resize(box, (height, width)), border, *moves[position + 1 :]), x)

    return levels


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
