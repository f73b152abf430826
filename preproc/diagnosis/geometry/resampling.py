"""Resizes as libraries compute them: one frozen Resampler each, which runs the library."""

import importlib
import importlib.util
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...steps import Size

Pixels = NDArray[Any]
_PILLOW = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
_OPENCV = ("nearest", "linear", "cubic", "area", "lanczos4", "nearest_exact", "linear_exact")


@dataclass(frozen=True)
class Resampler:
    """library: Pillow, OpenCV, torch (interpolate on floats) or torchvision (Resize on uint8 tensors).  kernel: as the library calls it.
    antialias: whether filters grow with what they shrink.  floats: whether it computes on float32, which is not rounded; clamps: but cut to
    0..255.  align_corners: torch's.  passes: 12 or 13, whose order Pillow's two passes have.  gap: Pillow's reducing_gap."""

    library: str
    kernel: str
    antialias: bool = False
    floats: bool = False
    align_corners: bool = False
    passes: int | None = None
    gap: float | None = None
    clamps: bool = False

    @property
    def words(self) -> str:
        told = [
            "antialiased" if self.antialias and self.library != "Pillow" else "",
            "align_corners" if self.align_corners else "",
            "on float32" if self.floats and self.library == "OpenCV" else "",
            f"passes of Pillow {self.passes}" if self.passes else "",
            "clamped to 0..255" if self.clamps else "",
            f"reducing_gap {self.gap:g}" if self.gap else "",
        ]
        name = {
            "Pillow": f"Pillow {self.kernel}",
            "OpenCV": f"OpenCV INTER_{self.kernel.upper()}",
            "torch": f"torch interpolate {self.kernel}",
            "torchvision": f"torchvision {self.kernel} on uint8 tensors",
        }[self.library]
        if self.library in ("torch", "torchvision") and self.kernel in ("bilinear", "bicubic") and not self.antialias:
            told.insert(0, "not antialiased")
        return ", ".join([name, *filter(None, told)])

    def instead_of(self, other: "Resampler") -> str:
        """In words, as two that differ: the order of passes is told where they differ in that alone."""
        apart = replace(self, passes=None) != replace(other, passes=None)
        one, two = (replace(how, passes=None).words if apart else how.words for how in (self, other))
        return f"{one}{',' if ', ' in one else ''} in place of {two}"

    @property
    def rounds(self) -> bool:
        """Whether it makes whole grey levels."""
        return self.library != "torch" and not self.floats

    def told_by(self, old: Size, new: Size) -> "Resampler":
        """The same without what makes no difference from that size to that one: an order of passes, a gap that nothing is reduced by."""
        found = self
        if found.gap and max(old[0] / new[0] / found.gap, old[1] / new[1] / found.gap) < 2:
            found = replace(found, gap=None, passes=12)
        if found.passes and found.passes == 13 and not _vertical_first(old, new):
            found = replace(found, passes=12)
        return found

    def __call__(self, picture: Pixels, size: Size) -> Pixels:
        """picture: (H, W, C) uint8, C 3 or 1. Returns (height, width, C), uint8 or float32, of that size."""
        made = _RUN[self.library](self, picture, size).reshape(*size, picture.shape[2])
        return np.clip(made, 0, 255) if self.clamps else made


def _pillow(how: Resampler, picture: Pixels, size: Size) -> Pixels:
    image, method = Image.fromarray(picture.squeeze(2) if picture.shape[2] == 1 else picture), Image.Resampling[how.kernel.upper()]
    across, down = (size[1], image.height), (image.width, size[0])
    if how.kernel == "nearest" or how.gap:
        return np.asarray(image.resize(size[::-1], method, reducing_gap=how.gap))
    vertical = how.passes == 13 and _vertical_first((image.height, image.width), size)
    return np.asarray(image.resize(down if vertical else across, method).resize(size[::-1], method))


def _vertical_first(old: Size, new: Size) -> bool:
    """In Pillow from 13.0 on."""
    removed = old[0] - new[0], old[1] - new[1]
    return removed[0] > 0 and removed[0] > 2 * removed[1]


def _opencv(how: Resampler, picture: Pixels, size: Size) -> Pixels:
    cv2 = importlib.import_module("cv2")
    method = getattr(cv2, f"INTER_{how.kernel.upper()}")
    return np.asarray(cv2.resize(picture.astype(np.float32) if how.floats else picture, size[::-1], interpolation=method))


def _torch(how: Resampler, picture: Pixels, size: Size) -> Pixels:
    import torch
    from torch.nn import functional

    x = torch.from_numpy(picture.transpose(2, 0, 1).copy())[None].to(torch.float32)
    options: dict[str, Any] = {"antialias": True} if how.antialias else {}
    if how.kernel in ("bilinear", "bicubic"):
        options["align_corners"] = how.align_corners
    return functional.interpolate(x, size=size, mode=how.kernel, **options)[0].permute(1, 2, 0).numpy()


def _torchvision(how: Resampler, picture: Pixels, size: Size) -> Pixels:
    import torch
    from torchvision.transforms.v2 import InterpolationMode, functional

    x = torch.from_numpy(picture.transpose(2, 0, 1).copy())
    made = functional.resize(x, list(size), interpolation=InterpolationMode(how.kernel), antialias=how.antialias)
    return np.asarray(made.permute(1, 2, 0).numpy())


_RUN = {"Pillow": _pillow, "OpenCV": _opencv, "torch": _torch, "torchvision": _torchvision}
_NEEDS = {"Pillow": "PIL", "OpenCV": "cv2", "torch": "torch", "torchvision": "torchvision"}

RESAMPLERS = (
    *(Resampler("Pillow", kernel, antialias=kernel != "nearest", passes=None if kernel == "nearest" else 13) for kernel in _PILLOW),
    *(Resampler("Pillow", kernel, antialias=True, passes=12) for kernel in _PILLOW[1:]),
    *(Resampler("Pillow", kernel, antialias=True, gap=gap) for kernel in ("bilinear", "bicubic", "lanczos") for gap in (1.01, 2.0, 3.0)),
    *(Resampler("OpenCV", kernel) for kernel in _OPENCV),
    *(Resampler("OpenCV", kernel, floats=True) for kernel in ("linear", "cubic", "area", "lanczos4")),
    *(Resampler("torch", kernel, floats=True) for kernel in ("nearest", "nearest-exact", "area")),
    *(
        Resampler("torch", kernel, antialias=antialias, align_corners=corners, floats=True)
        for kernel in ("bilinear", "bicubic")
        for antialias in (True, False)
        for corners in (False, True)
    ),
    *(Resampler("torch", "bicubic", antialias=antialias, floats=True, clamps=True) for antialias in (True, False)),
    *(Resampler("OpenCV", kernel, floats=True, clamps=True) for kernel in ("cubic", "lanczos4")),
    *(Resampler("torchvision", kernel, antialias=antialias) for kernel in ("bilinear", "bicubic") for antialias in (True, False)),
    *(Resampler("torchvision", kernel) for kernel in ("nearest", "nearest-exact")),
)
"""All that are tried."""


def absent() -> dict[str, str]:
    """The libraries that are not installed, and what is not tried without them."""
    return {
        library: f"not tried: {library} is not installed" for library, module in _NEEDS.items() if importlib.util.find_spec(module) is None
    }
