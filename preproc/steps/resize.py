"""Resizes and letterboxes, and whose arithmetic they have."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from ..errors import PreprocError, check_choice
from .base import Step, ValueRange
from .fields import MOST_SIDE, set_fill, set_side, set_size
from .geometry import Geometry, Sides, Size

INTERPOLATIONS = ("bilinear", "bicubic", "nearest", "lanczos", "box", "hamming")
FAST = ("bilinear", "bicubic")
"""Interpolations that an ONNX Resize node antialiases."""
FORMS = ("fast", "exact")
TORCHES = ("uint8", "float32")
"""Dtypes of the tensors that torchvision resizes with torch's own arithmetic."""
PILLOWS = (12, 13)
"""Whose order of passes a resize may have: 12 and older, 13 and newer."""


@dataclass(frozen=True, kw_only=True)
class Resampling(Geometry):
    """What a resize and a letterbox share.

    interpolation: bilinear, bicubic (a = -0.5), lanczos, box or hamming as Pillow's Image.resize computes them, with its 22-bit integer
    weights and a rounding to grey levels between the two passes; or nearest, Pillow's as well.  antialias: True, as Pillow always does,
    or for bilinear False: two taps however much it shrinks, with weights of 11 bits and one rounding, as OpenCV's INTER_LINEAR (within
    one grey level).
    form: of antialiased resizes in ONNX files. "fast": Resize nodes, some values one level off; "exact": none off, for pixels of
    one static size. Lanczos, box and hamming, which no node computes, are always exact. In torch all are, and nearest and antialias =
    False are so everywhere.
    pillow: of antialiased resizes, whose two passes each round: the Pillow whose order of passes this is. 12, and older: the horizontal one
    first, always. 13, and newer: the vertical one first where it removes more than twice as many rows as the other removes columns. Left
    out, that of the Pillow which is installed where the step is made. None for nearest and antialias = False, which have no such order.
    torch: in place of Pillow's the arithmetic of torchvision's Resize on tensors, for antialiased bilinear, bicubic and lanczos.
    "uint8": torch's kernel (without AVX2 torchvision goes through floats where it is bilinear); the horizontal pass first, weights of 16
    bits, as many of them behind the comma as the largest weight of the axis leaves, and a rounding behind each pass.
    "float32": on floats, which are not rounded at all; what follows then gets levels that are no whole numbers, and of bicubic and
    lanczos some beyond 0..255.
    """

    interpolation: str = "bilinear"
    antialias: bool = True
    form: str = "fast"
    pillow: int | None = None
    torch: str | None = None

    def __post_init__(self) -> None:
        check_choice("interpolation", self.interpolation, INTERPOLATIONS)
        check_choice("form", self.form, FORMS)
        if not isinstance(self.antialias, bool):
            raise PreprocError(f"{self.name}: expected antialias to be true or false, got {self.antialias!r}", name="step-value")
        if not self.antialias and self.interpolation not in ("bilinear", "nearest"):
            raise PreprocError(
                f"{self.name}: expected antialias = true for {self.interpolation}: without it no two libraries agree, got false",
                name="resize-combination",
            )
        if self.torch is not None:
            check_choice("torch", self.torch, TORCHES)
            if self.interpolation not in ("bilinear", "bicubic", "lanczos") or not self.antialias:
                raise PreprocError(
                    f"{self.name}: expected antialiased bilinear, bicubic or lanczos for torch = {self.torch!r}, got {self}",
                    name="resize-combination",
                )
        ordered = self.smooth and self.torch is None
        if self.pillow is not None and not ordered:
            raise PreprocError(
                f"{self.name}: expected pillow for antialiased resizes of Pillow's only, whose passes have an order, got {self.pillow!r}",
                name="resize-combination",
            )
        if self.smooth and self.interpolation not in FAST:
            object.__setattr__(self, "form", "exact")
        if ordered:
            object.__setattr__(self, "pillow", installed_pillow() if self.pillow is None else self.pillow)
            check_pillow(self.pillow, f"{self.name}: pillow")

    @property
    def smooth(self) -> bool:
        """Whether it is one of two passes with filters that grow with what they shrink."""
        return self.antialias and self.interpolation != "nearest"

    @property
    def rounds(self) -> bool:
        """Whether it makes whole grey levels, and so takes them only."""
        return self.torch != "float32"

    def value_range(self, incoming: ValueRange) -> ValueRange:
        if not incoming.spans(0, 255):
            raise PreprocError(
                f"{self.name}: expected 8-bit grey levels, 0..255, which its arithmetic is defined for, got {incoming}",
                name="grey-levels-needed",
            )
        return Geometry.value_range(self, incoming)


@dataclass(frozen=True, kw_only=True)
class Resize(Resampling):
    """torchvision.transforms.Resize on a PIL image.

    size: (height, width), or one number for the shorter side; the longer one keeps the ratio, truncated.  max_size: what the longer side
    may have at most; the shorter one follows.
    """

    name: ClassVar[str] = "resize"
    size: int | Size
    max_size: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.size, int) and not isinstance(self.size, bool):
            set_side(self, "size")
        else:
            set_size(self, "size")
        if self.max_size is not None:
            set_side(self, "max_size")
            if not isinstance(self.size, int) or self.max_size <= self.size:
                raise PreprocError(
                    f"resize: expected max_size with a size of one number below it, got {self.size} and {self.max_size}",
                    name="resize-combination",
                )

    def output_size(self, size: Size) -> Size:
        """As torchvision's _compute_resized_output_size."""
        if not isinstance(self.size, int):
            return self.size
        short, long = min(size), max(size)
        new_short, new_long = self.size, self.size * long // short
        if self.max_size is not None and new_long > self.max_size:
            new_short, new_long = self.max_size * new_short // new_long, self.max_size
        if new_short == 0 or new_long > MOST_SIDE:
            raise PreprocError(
                f"resize: expected a picture of a ratio that leaves pixels, got {size[0]}x{size[1]}, {self}", name="no-pixels-left"
            )
        return (new_short, new_long) if size[0] <= size[1] else (new_long, new_short)

    def output_sides(self, sides: Sides) -> Sides:  # noqa: ARG002
        """Which of the sides is the shorter one is not known where one is free."""
        return (None, None) if isinstance(self.size, int) else self.size


@dataclass(frozen=True, kw_only=True)
class Letterbox(Resampling):
    """The whole picture, as large as it fits, in the middle of `fill`: Ultralytics' LetterBox(auto=False), YOLO's convention.

    size: (height, width), or one number for both. As Ultralytics computes them, the ratio is a float, and a side times it is rounded half
    to even: 114 * (416 / 384) is below the 123.5 that it stands for. Of an odd border the smaller half is in front.
    antialias: False by default, as cv2.INTER_LINEAR.
    """

    name: ClassVar[str] = "letterbox"
    size: Size
    fill: int = 114
    antialias: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        set_size(self, "size")
        set_fill(self)

    def inner_size(self, size: Size) -> Size:
        """Of the resized picture inside the border; one pixel at least, where Ultralytics would fail."""
        (height, width), (most_height, most_width) = size, self.size
        ratio = min(most_height / height, most_width / width)
        return max(round(height * ratio), 1), max(round(width * ratio), 1)

    def output_size(self, size: Size) -> Size:  # noqa: ARG002
        return self.size

    def output_sides(self, sides: Sides) -> Sides:  # noqa: ARG002
        return self.size


def installed_pillow() -> int:
    """12 or 13: whose order of passes the Pillow that is installed here has."""
    from PIL import __version__

    return 12 if int(__version__.partition(".")[0]) < 13 else 13


def check_pillow(pillow: object, where: str) -> None:
    if type(pillow) is not int or pillow not in PILLOWS:
        raise PreprocError(
            f"{where}: expected 12 or 13, got {pillow!r}; 12 stands for every older Pillow, 13 for every newer one", name="step-value"
        )


def with_pillow(steps: Iterable[Step], pillow: int | None) -> tuple[Step, ...]:
    """The steps with that Pillow's order of passes, where they have one; as they are for None. Raises PreprocError for other numbers."""
    if pillow is None:
        return tuple(steps)
    check_pillow(pillow, "pillow")
    return tuple(replace(step, pillow=pillow) if isinstance(step, Resampling) and step.pillow is not None else step for step in steps)


def with_form(steps: Iterable[Step], form: str | None) -> tuple[Step, ...]:
    """The steps with their resizes in that form, but lanczos, box and hamming, which have one form; as they are for None."""
    return tuple(
        replace(step, form=form) if form and isinstance(step, Resampling) and step.smooth and step.interpolation in FAST else step
        for step in steps
    )
