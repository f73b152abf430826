"""torchvision's transforms -> steps, and steps -> torchvision's transforms. No torch but what is handed in.

What a transform does depends on what reaches it: a PIL image, a tensor of integers, one of floats. So the reader sends a picture through
them, one after another, and looks at what each gets and makes; and at the end compares the steps that it has read with the library itself.
"""

import functools
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PreprocError, did_you_mean, first_line
from ...oracle import reference
from ...steps import CenterCrop, FromPixels, Geometry, Normalize, Pad, Resampling, Rescale, Resize, Step, compose
from .base import UNJUDGED, Published, finished, resize_step, through_floats

DTYPES = ("uint8", "int16", "int32", "int64", "float32")
"""Of tensors between the transforms. Floats of other widths round what networks take."""
PROBES = ((45, 64), (131, 90))
"""(height, width) of the pictures on which the steps are compared with the library."""
MOST = {True: 1e-5, False: 1e-4}
"""How far they may be apart, relative to the largest value; where floats are resized, torch's own float32 is further off."""
CONVERSIONS = ("ToTensor", "MaybeToTensor", "PILToTensor", "ToImage", "ToPureTensor", "ToDtype", "ConvertImageDtype")
KNOWN = ("Resize", "CenterCrop", "Pad", *CONVERSIONS, "Normalize")
PRESETS = ("ImageClassification", "SemanticSegmentation", "ObjectDetection")


def from_torchvision(source: Any, *, pillow: int | None = None, constants_because: str | None = None) -> Published:
    """source: a member of a weights enum, its transforms(), or a Compose of torchvision.transforms (v1 or v2) as they run on a PIL image.

    Taken are Resize, CenterCrop, Pad, ToTensor, PILToTensor, ToImage, ToPureTensor, ToDtype, ConvertImageDtype, Normalize and Compose, and
    the presets ImageClassification, SemanticSegmentation and ObjectDetection. Resize on a tensor becomes a resize with torch's arithmetic;
    what moves pixels behind what scales them is put in front, where that is the same.
    Raises PreprocError for any other, for arguments that files have no word for, and if torchvision's pictures here are not those of the
    steps.
    """
    origin = "torchvision transforms"
    if hasattr(source, "transforms") and hasattr(source, "meta"):  # a member of a weights enum
        origin, source = str(source), source.transforms()
    if not type(source).__module__.startswith("torchvision.transforms"):
        name = type(source).__name__
        raise PreprocError(f"expected weights or transforms of torchvision, got {name} of {type(source).__module__}", name="unknown-source")
    reader, transforms = _Reader(origin), list(_flat(source))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torchvision says of antialias and of what it deprecates
        first, second = map(_picture, PROBES)
        made = functools.reduce(lambda value, transform: reader.read(transform, value), transforms, first)
        steps = tuple(reader.steps())
        _compare(steps, first, made)
        _compare(steps, second, functools.reduce(lambda value, transform: _run(transform, value), transforms, second))
    return Published("RGB", finished(steps, pillow, constants_because), origin)


def _flat(transform: Any) -> Iterator[Any]:
    """One by one, the presets as what their forward() calls."""
    kind, known = type(transform).__name__, type(transform).__module__
    if kind == "Compose" and known.startswith("torchvision.transforms"):
        for part in transform.transforms:
            yield from _flat(part)
        return
    if kind not in PRESETS or not known.startswith("torchvision.transforms"):
        yield transform
        return
    import torch
    from torchvision import transforms

    if getattr(transform, "resize_size", None) is not None:
        yield transforms.Resize(transform.resize_size, transform.interpolation)
    if kind == "ImageClassification":
        yield transforms.CenterCrop(transform.crop_size)
    yield from (transforms.PILToTensor(), transforms.ConvertImageDtype(torch.float))
    if kind != "ObjectDetection":
        yield transforms.Normalize(transform.mean, transform.std)


@dataclass
class _Reader:
    """geometry: on grey levels.  factor: what a grey level has become.  normalize: behind it.  least: (height, width) that any picture has
    at least."""

    origin: str
    geometry: list[Geometry] = field(default_factory=list)
    factor: float = 1.0
    normalize: Normalize | None = None
    least: tuple[int, int] = (1, 1)

    def steps(self) -> list[Step]:
        return [*self.geometry, *self.values()]

    def values(self) -> list[Step]:
        rescale = [] if self.factor == 1 else [Rescale() if self.factor == 1 / 255 else Rescale(scale=self.factor)]
        return [*rescale, *([self.normalize] if self.normalize else [])]

    def read(self, transform: Any, value: Any) -> Any:
        """value: what reaches the transform. Returns what it makes of it."""
        kind = type(transform).__name__
        if kind not in KNOWN or not type(transform).__module__.startswith(("torchvision.transforms", "timm.data")):
            known = ", ".join(sorted((*KNOWN, *PRESETS)))
            raise PreprocError(
                f"expected transforms of an evaluation pipeline, {known}, got {kind}{did_you_mean(kind, KNOWN)}", name="steps-cannot-say"
            )
        made = _run(transform, value)
        dtype = _dtype(made)
        if dtype not in DTYPES:
            raise PreprocError(f"{kind}: expected float32, which networks take, got {dtype}", name="steps-cannot-say")
        try:
            if kind in CONVERSIONS:
                self.convert(kind, _planes(value), _planes(made))
            elif kind == "Normalize":
                self.normalized(transform)
            else:
                self.moved(kind, transform, value)
        except PreprocError:
            raise
        except (TypeError, AttributeError, ValueError, ArithmeticError) as error:
            raise PreprocError(
                f"{kind}: expected settings of torchvision's, got others: {first_line(error)}", name="published-value"
            ) from error
        return made

    def convert(self, kind: str, before: NDArray[Any], after: NDArray[Any]) -> None:
        """Integers become floats that are scaled, or not; floats stay as they are."""
        factor = float(after.max()) / float(before.max())
        if not np.allclose(after, before * factor, rtol=1e-6, atol=0):
            raise PreprocError(
                f"{kind}: expected a conversion that keeps all values apart, got one that rounds them", name="steps-cannot-say"
            )
        whole = self.factor * factor
        near = [known for known in (1.0, 1 / 255) if math.isclose(whole, known, rel_tol=1e-6)]
        if self.normalize is None:
            self.factor = near[0] if near else whole

    def normalized(self, transform: Any) -> None:
        if self.normalize is not None:
            raise PreprocError("expected one Normalize, got a second one behind it: remove one of the two", name="normalized-twice")
        mean, std = (np.asarray(values, np.float64).reshape(-1) for values in (transform.mean, transform.std))
        mean, std = (values.repeat(3) if len(values) == 1 else values for values in (mean, std))  # one number for all channels
        unit = "0-255" if self.factor == 1 else "0-1"
        constants = {"mean": tuple(map(float, mean)), "std": tuple(map(float, std))}
        self.normalize = Normalize(**constants, unit=unit, origin=self.origin, constants_because=UNJUDGED)

    def moved(self, kind: str, transform: Any, value: Any) -> None:
        """Steps on grey levels, in front of what has scaled them, for they commute."""
        step: Geometry
        if kind == "Resize":
            step = self.resized(transform, value)
        elif kind == "CenterCrop":
            size = _sides(transform.size)
            padded = any(side > least for side, least in zip(size, self.least, strict=True))
            step = CenterCrop(size=size, fill=self.level(kind, (0,)) if padded else 0)
        else:
            step = Pad(padding=_padding(transform), fill=self.level(kind, _fill(transform, value)))  # type: ignore[arg-type]
        self.geometry.append(step)
        if isinstance(step, Resize) and isinstance(step.size, int):
            self.least = (step.size, step.size) if step.max_size is None else (1, 1)
        else:
            self.least = step.output_size(self.least)

    def resized(self, transform: Any, value: Any) -> Resize:
        dtype, new = _dtype(value), type(transform).__module__.startswith("torchvision.transforms.v2")
        method = getattr(transform.interpolation, "value", transform.interpolation)
        if not hasattr(value, "dtype"):
            return resize_step(transform.size, str(method).removesuffix("-exact"), transform.max_size, "Resize")
        if dtype == "uint8" and not new:
            raise PreprocError(
                "Resize: expected that of transforms.v2 on a tensor of uint8, got that of v1, which computes in float32 and rounds what "
                "falls on half a level by its noise; v2's, or one in front of the conversion to a tensor, makes a picture some levels away",
                name="steps-cannot-say",
            )
        if dtype not in ("uint8", "float32"):
            raise PreprocError(
                f"Resize: expected it on a PIL image, or a tensor of uint8 or float32, got it on one of {dtype}", name="steps-cannot-say"
            )
        if method not in ("bilinear", "bicubic", "lanczos") or not transform.antialias:
            raise PreprocError(
                "Resize: expected antialiased bilinear, bicubic or lanczos of a tensor, got "
                f"{method}{'' if transform.antialias else ' with antialias=False'}; in front of the conversion to a tensor it can be read, "
                "and makes another picture",
                name="steps-cannot-say",
            )
        return replace(resize_step(transform.size, method, transform.max_size, "Resize"), pillow=None, torch=dtype)

    def level(self, kind: str, fill: tuple[float, ...]) -> int:
        """The grey level that has become `fill` here, one number or one per channel."""
        affine = compose(self.values(), 3)
        assert affine is not None
        if len(fill) not in (1, 3):
            raise PreprocError(f"{kind}: expected a fill of one number or three, got {len(fill)}", name="steps-cannot-say")
        levels = (np.array(fill) - affine.offset) / affine.matrix.diagonal()
        level = round(float(levels[0]))
        if not np.allclose(levels, level, rtol=0, atol=1e-3) or not 0 <= level <= 255:
            got, told = (", ".join(f"{number:.4g}" for number in numbers) for numbers in (fill, levels))
            behind = (
                f" behind {self.values()[-1].name}, which stands for {told}; put it in front of the conversion" if self.values() else ""
            )
            raise PreprocError(
                f"{kind}: expected a border of one grey level for all channels, 0 to 255, got one of {got}{behind}", name="steps-cannot-say"
            )
        return level


def _sides(size: Any) -> tuple[int, int]:
    sides = [size] if isinstance(size, int) else list(size)
    return sides[0], sides[-1]


def _fill(transform: Any, value: Any) -> tuple[float, ...]:
    """One number, or one per channel. A table has it by the kind of what reaches the transform; None is black."""
    if transform.padding_mode != "constant":
        raise PreprocError(
            f"Pad: expected padding_mode constant, for steps have no other border, got {transform.padding_mode}", name="steps-cannot-say"
        )
    fill = transform.fill
    if isinstance(fill, Mapping):
        fill = fill.get(type(value), fill.get("others"))
    fill = [0] if fill is None else list(fill) if isinstance(fill, (list, tuple)) else [fill]
    if not all(isinstance(number, (int, float)) for number in fill):
        raise PreprocError(f"Pad: expected a fill of numbers, got {transform.fill}", name="published-value")
    return tuple(map(float, fill))


def _padding(transform: Any) -> tuple[int, ...]:
    return (transform.padding,) if isinstance(transform.padding, int) else tuple(transform.padding)


def _run(transform: Any, value: Any) -> Any:
    """Raises PreprocError where torchvision itself fails, with whatever error."""
    try:
        return transform(value.clone() if hasattr(value, "clone") else value)  # Normalize(inplace=True)
    except Exception as error:
        got = "a PIL image" if not hasattr(value, "dtype") else f"a tensor of {_dtype(value)}"
        raise PreprocError(
            f"{type(transform).__name__}: expected transforms that run on a PIL image one after another, got one that fails on {got}: "
            f"{first_line(error)}",
            name="published-value",
        ) from error


def _compare(steps: Sequence[Step], image: Any, made: Any) -> None:
    """Raises PreprocError where the library has made other values of a picture than the steps do."""
    theirs, ours = _planes(made), reference.apply([FromPixels(layout="NHWC"), *steps], np.asarray(image)[None])[0]
    floats = any(isinstance(step, Resampling) and not step.rounds for step in steps)
    apart = np.inf if theirs.shape != ours.shape else float(np.abs(theirs - ours).max(initial=0) / max(np.abs(ours).max(initial=0), 1e-6))
    if apart > MOST[not floats]:
        why = through_floats(steps)
        raise PreprocError(
            "expected transforms that compute here what their documentation says, got values "
            f"{apart:.1e} of the largest one away from the steps that were read of them ({', '.join(step.name for step in steps)})"
            + (f"; {why}" if why else ""),
            name="reading-disagrees",
        )


def _picture(size: tuple[int, int]) -> Any:
    """Noise, and black and white; no zeros, whose share of what it becomes would not be known."""
    from PIL import Image

    levels = np.random.default_rng(29).integers(1, 256, (*size, 3), dtype=np.uint8)
    levels[::3] = np.where(levels[::3] > 127, 255, 1)
    return Image.fromarray(levels)


def _dtype(value: Any) -> str:
    """Of a tensor; a PIL image is one of uint8."""
    return str(getattr(value, "dtype", "uint8")).removeprefix("torch.")


def _planes(value: Any) -> NDArray[np.float64]:
    """(C, H, W) of a tensor, or of a PIL image."""
    planes = np.asarray(value, np.float64)
    return planes if hasattr(value, "dtype") else np.moveaxis(planes, -1, 0)
