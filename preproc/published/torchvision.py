"""torchvision's transforms -> steps, and steps -> torchvision's transforms. No torch but what is handed in."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..checks import did_you_mean
from ..errors import PreprocError, first_line
from ..steps import CenterCrop, Normalize, Pad, Rescale, Resize, Step, installed_pillow, with_pillow
from ._base import Published, resize_step


def from_torchvision(source: Any, *, pillow: int | None = None) -> Published:
    """source: a member of a weights enum, its transforms(), or a Compose of torchvision.transforms (v1 or v2) as they run on a PIL image.

    Taken are Resize, CenterCrop, Pad, ToTensor, PILToTensor, ToImage, ToDtype, ConvertImageDtype, Normalize, and Compose.
    Raises PreprocError for any other, and for arguments that files have no word for.
    """
    origin = "torchvision transforms"
    if hasattr(source, "transforms") and hasattr(source, "meta"):  # a member of a weights enum
        origin, source = str(source), source.transforms()
    name = type(source).__name__
    if name == "ImageClassification":
        resize = resize_step(source.resize_size, source.interpolation, None, "ImageClassification")
        crop = CenterCrop(size=_sides(source.crop_size))
        values = (Rescale(), Normalize(mean=tuple(source.mean), std=tuple(source.std), unit="0-1", origin=origin))
        return Published("RGB", with_pillow((resize, crop, *values), pillow), origin)
    if not type(source).__module__.startswith("torchvision.transforms"):
        raise PreprocError(f"expected weights or transforms of torchvision, got {name} of {type(source).__module__}")
    found = list[Step]()
    scaled = tensor = False
    for transform in _flat(source):
        kind = type(transform).__name__
        if kind not in _TRANSFORMS or not type(transform).__module__.startswith(("torchvision.transforms", "timm.data")):
            known = ", ".join(sorted(_TRANSFORMS))
            raise PreprocError(f"expected transforms of an evaluation pipeline, {known}, got {kind}{did_you_mean(kind, _TRANSFORMS)}")
        if tensor and kind == "Resize":
            raise PreprocError(
                "expected Resize on the PIL image, got it behind a conversion to a tensor, which torchvision resizes otherwise"
            )
        tensor = tensor or kind in ("ToTensor", "MaybeToTensor", "PILToTensor", "ToImage", "ToDtype", "ConvertImageDtype")
        try:
            made = _TRANSFORMS[kind](transform)
        except PreprocError:
            raise
        except (TypeError, AttributeError, ValueError, ArithmeticError) as error:
            raise PreprocError(f"{kind}: expected settings of torchvision's, got others: {first_line(error)}") from error
        if isinstance(made, Rescale) and scaled:
            continue  # from floats to floats
        if isinstance(made, Normalize):
            made = Normalize(mean=made.mean, std=made.std, unit="0-1" if scaled else "0-255", origin=origin)
        scaled = scaled or isinstance(made, Rescale)
        found += [made] if made is not None else []
    return Published("RGB", with_pillow(found, pillow), origin)


def _flat(transform: Any) -> list[Any]:
    if type(transform).__name__ == "Compose":
        return [inner for part in transform.transforms for inner in _flat(part)]
    return [transform]


def _sides(size: Any) -> tuple[int, int]:
    sides = [size] if isinstance(size, int) else list(size)
    return sides[0], sides[-1]


def _fill(transform: Any) -> int:
    fill = transform.fill
    fill = list(fill) if isinstance(fill, (list, tuple)) else [fill]
    if len(set(fill)) != 1 or getattr(transform, "padding_mode", "constant") != "constant" or not isinstance(fill[0], (int, float)):
        mode = getattr(transform, "padding_mode", "constant")
        raise PreprocError(f"Pad: expected one fill for all channels and padding_mode constant, got {transform.fill} and {mode}")
    return int(fill[0])


def _padding(transform: Any) -> tuple[int, ...]:
    return (transform.padding,) if isinstance(transform.padding, int) else tuple(transform.padding)


def _to_dtype(transform: Any) -> Step | None:
    dtype = str(transform.dtype)
    if dtype != "torch.float32":
        raise PreprocError(f"{type(transform).__name__}: expected float32, which networks take, got {dtype}")
    return Rescale() if getattr(transform, "scale", True) else None


_TRANSFORMS: Mapping[str, Callable[[Any], Step | None]] = {
    "Resize": lambda t: resize_step(t.size, t.interpolation, t.max_size, "Resize"),
    "CenterCrop": lambda t: CenterCrop(size=_sides(t.size)),
    "Pad": lambda t: Pad(padding=_padding(t), fill=_fill(t)),  # type: ignore[arg-type]
    "ToTensor": lambda _: Rescale(),
    "MaybeToTensor": lambda _: Rescale(),  # timm's
    "PILToTensor": lambda _: None,
    "ToImage": lambda _: None,
    "ToPureTensor": lambda _: None,
    "ToDtype": _to_dtype,
    "ConvertImageDtype": _to_dtype,
    "Normalize": lambda t: Normalize(mean=tuple(map(float, t.mean)), std=tuple(map(float, t.std))),
}


def to_torchvision(steps: Sequence[Step]) -> Any:
    """The v2 transform that computes on a PIL image what these steps compute behind from_pixels. Raises PreprocError for those that
    torchvision has no transform for, and for resizes with the order of passes of another Pillow than the one here."""
    import torch
    from torchvision.transforms import v2

    found: list[Any] = []
    turned = False
    for step in steps:
        match step:
            case Resize(pillow=int(pillow)) if pillow != installed_pillow():
                here = installed_pillow()
                raise PreprocError(f"expected resizes with the order of passes of Pillow {here}, which is installed, got {pillow}'s")
            case Resize(antialias=True) if not turned:
                size = [step.size] if isinstance(step.size, int) else list(step.size)
                method = v2.InterpolationMode(step.interpolation)
                found.append(v2.Resize(size, interpolation=method, max_size=step.max_size, antialias=True))
            case CenterCrop(fill=0, rounding="half_even") if not turned:
                found.append(v2.CenterCrop(list(step.size)))
            case Pad() if not turned:
                found.append(v2.Pad(list(step.padding), fill=step.fill))
            case Rescale(offset=0) if not turned and math.isclose(step.scale, 1 / 255, rel_tol=1e-9):
                found += [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
                turned = True
            case Normalize():
                found += [] if turned else [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=False)]
                found.append(v2.Normalize(mean=list(step.mean), std=list(step.std)))
                turned = True
            case _:
                raise PreprocError(f"expected steps that torchvision has transforms for, got {step}")
    return v2.Compose(found if turned else [*found, v2.PILToTensor(), v2.ToDtype(torch.float32, scale=False)])
