"""The options of `preproc attach` that move pixels: --letterbox alone, or --resize and then --crop, as recipes have them."""

from ..errors import PreprocError, check_choice
from ..steps import INTERPOLATIONS, CenterCrop, Geometry, Letterbox, Resize

GEOMETRY = ("--letterbox", "--resize", "--crop", "--interpolation")


def geometry_steps(
    *, letterbox: str | None = None, resize: str | None = None, crop: str | None = None, interpolation: str | None = None
) -> list[Geometry]:
    """The steps on grey levels, none where nothing is given.

    letterbox, crop: "height,width", or one number for both.  resize: "height,width", or one number for the shorter side.
    interpolation: of the resize. Raises PreprocError where they do not go together, or are no sizes.
    """
    if letterbox is not None and (resize is not None or crop is not None):
        beside = " and ".join(name for name, value in (("--resize", resize), ("--crop", crop)) if value is not None)
        raise PreprocError(
            f"--letterbox: expected alone, for it resizes and fills up itself, got {beside} beside it", name="conflicting-options"
        )
    if interpolation is not None and resize is None:
        raise PreprocError(
            f"--interpolation: expected beside --resize, whose it is, got {interpolation} without", name="option-without-effect"
        )
    if letterbox is not None:
        return [Letterbox(size=_both(_sides("--letterbox", letterbox)))]
    found: list[Geometry] = []
    if resize is not None:
        check_choice("--interpolation", interpolation or Resize.interpolation, INTERPOLATIONS)
        sides = _sides("--resize", resize)
        found.append(Resize(size=sides if len(sides) == 2 else sides[0], interpolation=interpolation or Resize.interpolation))
    if crop is not None:
        found.append(CenterCrop(size=_both(_sides("--crop", crop))))
    return found


def _both(sides: tuple[int, ...]) -> tuple[int, int]:
    return sides[0], sides[-1]


def _sides(option: str, text: str) -> tuple[int, ...]:
    try:
        sides = tuple(int(part) for part in text.split(","))
    except ValueError:
        sides = ()
    if len(sides) not in (1, 2) or min(sides) < 1:
        raise PreprocError(f"{option}: expected height and width, as 224,224, or one number of pixels, got {text!r}", name="option-value")
    return sides
