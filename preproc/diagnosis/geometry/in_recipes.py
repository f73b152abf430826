"""A Geometry and a recipe's steps: which of either the other one can say."""

from collections.abc import Sequence
from typing import Any

from ...steps import CenterCrop, Letterbox, Resampling, Resize, Step
from ...steps import Geometry as Moving
from .framing import Fit, Window
from .geometry import Geometry
from .resampling import Resampler


def resampler_of(step: Resampling) -> Resampler:
    """What a recipe's resize or letterbox asks for."""
    kernel = step.interpolation
    if step.torch == "uint8":
        return Resampler("torchvision", kernel, antialias=True)
    if step.torch == "float32":
        return Resampler("torch", kernel, antialias=True, floats=True)
    if kernel == "nearest":
        return Resampler("Pillow", "nearest")
    return Resampler("Pillow", kernel, antialias=True, passes=step.pillow) if step.antialias else Resampler("OpenCV", "linear")


def _said(how: Resampler) -> dict[str, Any] | None:
    """The other way round: the keys of a step; None where no step has them."""
    if how == Resampler("Pillow", "nearest"):
        return {"interpolation": "nearest"}
    if how == Resampler("OpenCV", "linear"):
        return {"interpolation": "bilinear", "antialias": False}
    if how.library == "Pillow" and how.gap is None and how.passes is not None:
        return {"interpolation": how.kernel, "antialias": True, "pillow": how.passes}
    if how.library in ("torch", "torchvision") and how.antialias and not how.align_corners and not how.clamps:
        return {"interpolation": how.kernel, "antialias": True, "torch": "uint8" if how.library == "torchvision" else "float32"}
    return None


def geometry_of(sequence: Sequence[Step]) -> Geometry | None:
    """What a recipe's steps do to a picture's pixels: None where they are more than one resize, crop or border after the other."""
    match [step for step in sequence if isinstance(step, Moving)]:
        case []:
            return Geometry(Fit("as it is"))
        case [Letterbox() as step]:
            return Geometry(Fit("inside", step.size, "round"), resampler_of(step), Window(step.size, "trunc", fill=(step.fill,) * 3))
        case [Resize() as step]:
            return Geometry(_fit(step), resampler_of(step))
        case [CenterCrop() as crop]:
            return Geometry(Fit("as it is"), after=_window(crop))
        case [Resize() as step, CenterCrop() as crop]:
            return Geometry(_fit(step), resampler_of(step), _window(crop))
        case [CenterCrop() as crop, Resize() as step]:
            return Geometry(_fit(step), resampler_of(step), before=_window(crop))
        case _:
            return None


def steps_of(geometry: Geometry) -> tuple[Step, ...] | None:
    """What a recipe says of it, in front of the affine part: None where no recipe says that. Decoder and turn are the caller's."""
    resize = geometry.fit.how != "as it is"
    said = _said(geometry.resampler) if geometry.resampler is not None else None
    if resize and said is None:
        return None
    after, fit = geometry.after, geometry.fit
    if fit.how == "inside" and fit.rounding == "round" and after is not None and after.sides == fit.sides and geometry.before is None:
        fill = _grey(after)
        if said is None or fill is None or after.at not in ("trunc", "half_even") or after.shift != (0, 0):
            return None
        return (Letterbox(size=fit.sides, fill=fill, **said),)
    if not (fit.how in ("as it is", "to") or (fit.how == "shorter" and fit.rounding == "floor")):
        return None
    crops = [_crop(window) for window in (geometry.before, after) if window is not None]
    if any(crop is None for crop in crops):
        return None
    found: list[Step | None] = [_crop(geometry.before)] if geometry.before is not None else []
    if resize and said is not None:
        size = fit.sides if fit.how == "to" else fit.sides[0]
        found.append(Resize(size=size, max_size=fit.sides[1] or None if fit.how == "shorter" else None, **said))
    found += [_crop(after)] if after is not None else []
    return tuple(step for step in found if step is not None)


def _grey(window: Window) -> int | None:
    """Its fill as a recipe has it, one whole grey level; 0 where none is needed."""
    levels = set(window.fill or (0.0,))
    return int(levels.pop()) if len(levels) == 1 and float(min(levels)).is_integer() and 0 <= min(levels) <= 255 else None


def _crop(window: Window | None) -> Step | None:
    if window is None or not isinstance(window.sides, tuple) or window.shift != (0, 0) or window.at not in ("half_even", "floor", "trunc"):
        return None
    fill = _grey(window)
    return None if fill is None else CenterCrop(size=window.sides, rounding=window.at, fill=fill)


def _fit(step: Resize) -> Fit:
    return Fit("shorter", (step.size, step.max_size or 0)) if isinstance(step.size, int) else Fit("to", step.size)


def _window(crop: CenterCrop) -> Window:
    return Window(crop.size, crop.rounding, fill=(float(crop.fill),) * 3)
