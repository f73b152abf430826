"""Where a tensor's pixels lie in the picture: cut, resized, cut or filled up again, by rules that depend on the picture's size."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from ...steps import Size

Box = tuple[int, int, int, int]
"""top, left, height, width; partly outside where a border is filled."""
Fill = tuple[float, ...]
"""Grey levels of R, G, B, or of grey alone."""


def _half_even(half: float) -> int:
    """As torchvision's center_crop: where the picture is smaller, the smaller border is in front."""
    return round(half) if half > 0 else math.trunc(half)


_HALVES: dict[str, Callable[[float], int]] = {"half_even": _half_even, "floor": math.floor, "ceil": math.ceil, "trunc": math.trunc}
_ROUNDED: dict[str, Callable[[float], int]] = {"floor": math.floor, "round": round, "ceil": math.ceil}


@dataclass(frozen=True)
class Frame:
    """What is done to one picture. cut: of the picture.  size: (height, width) that this is resized to.  window: of that."""

    cut: Box
    size: Size
    window: Box

    @property
    def resizes(self) -> bool:
        return self.size != self.cut[2:]


@dataclass(frozen=True)
class Window:
    """A part of a picture, or the picture inside a border.

    sides: (height, width); or a share of both sides; or "shorter" or "longer", the square of that side.
    at: where it lies: in the middle, with the half pixel by "half_even", "floor", "ceil" or "trunc", or in the "corner", at the top left.
    shift: (down, right) in pixels, from there.  fill: of a border, where it is known.
    """

    sides: Size | float | str
    at: str = "half_even"
    shift: tuple[int, int] = (0, 0)
    fill: Fill | None = None

    def box(self, size: Size) -> Box:
        """In a picture of that size."""
        height, width = self._sides(size)
        if self.at == "corner":
            top, left = 0, 0
        else:
            half = _HALVES[self.at]
            top, left = half((size[0] - height) / 2), half((size[1] - width) / 2)
        return top + self.shift[0], left + self.shift[1], height, width

    def _sides(self, size: Size) -> Size:
        if isinstance(self.sides, tuple):
            return self.sides
        if isinstance(self.sides, str):
            side = {"shorter": min, "longer": max}[self.sides](size)
            return side, side
        return max(int(size[0] * self.sides), 1), max(int(size[1] * self.sides), 1)

    @property
    def words(self) -> str:
        where = {"corner": "at the top left", "half_even": "in the middle"}.get(self.at, f"in the middle, half a pixel by {self.at}")
        moved = [f"{abs(by)} px {words[by > 0]}" for by, words in zip(self.shift, (("up", "down"), ("left", "right")), strict=True) if by]
        return f"{self._what} {where}" + (f", {' and '.join(moved)} of it" if moved else "")

    @property
    def filled(self) -> str:
        """In words, behind those; "" where no fill is known."""
        levels = [f"{level:.4g}" for level in self.fill or ()]
        return f", filled with {', '.join(levels[:1] if len(set(levels)) == 1 else levels)}" if levels else ""

    @property
    def _what(self) -> str:
        if isinstance(self.sides, tuple):
            return f"{self.sides[0]}x{self.sides[1]}"
        return f"the square of the {self.sides} side" if isinstance(self.sides, str) else f"{self.sides:.4g} of both sides"


@dataclass(frozen=True)
class Fit:
    """How large the picture becomes. how: "as it is"; "to" sides; "shorter" or "longer", (that side, what the other may
    have at most, or 0), the ratio kept; "inside" or
    "over" (height, width), as large as it fits, or as small as it covers, the ratio kept.  rounding: of the side that follows."""

    how: str
    sides: Size = (0, 0)
    rounding: str = "floor"

    def size(self, size: Size) -> Size:
        """Of a picture of that size."""
        height, width = size
        if self.how == "as it is":
            return size
        if self.how == "to":
            return self.sides
        if self.how in ("shorter", "longer"):
            first = (height <= width) == (self.how == "shorter")  # whether it is the height that is told
            side, told, other = self.sides[0], *((height, width) if first else (width, height))
            follows = side * other // told if self.rounding == "floor" else _ROUNDED[self.rounding](other * (side / told))
            if self.sides[1] and follows > self.sides[1]:
                side, follows = self.sides[1] * side // follows, self.sides[1]
            return (side, max(follows, 1)) if first else (max(follows, 1), side)
        ratio = (min if self.how == "inside" else max)(self.sides[0] / height, self.sides[1] / width)
        rounded = _ROUNDED[self.rounding]
        return max(rounded(height * ratio), 1), max(rounded(width * ratio), 1)

    @property
    def words(self) -> str:
        most = f", at most {self.sides[1]} on the other" if self.sides[1] else ""
        by = "" if self.rounding == "floor" and self.how in ("shorter", "longer") else f", by {self.rounding}"
        return {
            "as it is": "not resized",
            "to": f"resized to {self.sides[0]}x{self.sides[1]}",
            "shorter": f"resized to {self.sides[0]} on the shorter side{most}{by}",
            "longer": f"resized to {self.sides[0]} on the longer side{most}{by}",
            "inside": f"resized to fit into {self.sides[0]}x{self.sides[1]}{by}",
            "over": f"resized to cover {self.sides[0]}x{self.sides[1]}{by}",
        }[self.how]


def frame(before: Window | None, fit: Fit, after: Window | None, size: Size) -> Frame:
    """Of a picture of that size."""
    cut = (0, 0, *size) if before is None else before.box(size)
    resized = fit.size(cut[2:])
    return Frame(cut, resized, (0, 0, *resized) if after is None else after.box(resized))
