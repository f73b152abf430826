"""Random preprocessing in the libraries themselves, for diagnose to name; and whether its answer is right, judged on other pictures."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch.nn import functional
from torchvision.transforms import v2

from preproc.diagnosis import Diagnosis, Pair, Pairs, answered
from preproc.diagnosis.geometry import Source

PILLOW = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
OPENCV = ("nearest", "linear", "cubic", "area", "lanczos4")
TORCH = ("bilinear", "bicubic", "bilinear antialias", "bicubic antialias", "bilinear align_corners")
KERNELS = (
    *(f"Pillow {name}" for name in PILLOW),
    *(f"OpenCV {name}" for name in OPENCV),
    *(f"torch {name}" for name in TORCH),
    "torchvision bilinear",
)
FRAMINGS = ("squash", "shorter and crop", "square and crop", "crop", "crop, then squash", "letterbox", "nothing")
CONSTANTS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 255.0),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 255.0),
    "0..1": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 255.0),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 1.0),
    "caffe": ((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), 1.0),
    "its own": ((0.31, 0.52, 0.43), (0.21, 0.27, 0.19), 255.0),
    "over 256": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 256.0),
    "-1..1 by 128": ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), 128.0),
}
GREYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Pillow": lambda x: np.asarray(Image.fromarray(x).convert("L")),
    "torchvision": lambda x: v2.functional.rgb_to_grayscale(torch.from_numpy(x.transpose(2, 0, 1).copy()))[0].numpy(),
    "Rec. 601": lambda x: x @ np.array([0.299, 0.587, 0.114]),
    "Rec. 709": lambda x: x @ np.array([0.2126, 0.7152, 0.0722]),
    "average": lambda x: x.mean(axis=2),
    "green": lambda x: x[..., 1],
}
"""Of (H, W, 3), uint8 or floats. The first two are of uint8, in front of a resize or behind one that makes whole levels."""
FILL = re.compile("what a border would be filled with is not told")
DTYPES = ("float32", "float16")


def picture(size: tuple[int, int], seed: int) -> np.ndarray:
    """(H, W, 3) uint8, in colours, with structure at several scales, as a photograph has."""
    rng = np.random.default_rng(seed)
    levels = np.zeros((*size, 3))
    for cells, strength in ((3, 90.0), (9, 45.0), (27, 20.0)):
        coarse = rng.uniform(-1, 1, (3, cells, cells)).astype(np.float32)
        planes = [Image.fromarray(plane).resize(size[::-1], Image.Resampling.BICUBIC) for plane in coarse]
        levels += strength * np.stack([np.asarray(plane) for plane in planes], axis=-1)
    return np.clip(np.rint(levels + 128 + rng.normal(0, 3, levels.shape)), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Pipeline:
    """framing, kernel, constants, dtype: of those above.  size: (height, width) of the tensors.  larger: of the resized picture before the
    crop.  bgr: the order of the tensors' channels.  grey: one of GREYS, or "" for three channels; those of uint8 in front of all."""

    framing: str
    kernel: str
    constants: str
    size: tuple[int, int]
    larger: int
    bgr: bool
    dtype: str
    grey: str = ""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """x: (H, W, 3) uint8. Returns the tensor (3, H, W)."""
        levels = self.greyed(x).astype(np.float32)
        mean, std, unit = CONSTANTS[self.constants]
        channels = levels.shape[2]
        made = (levels / np.float32(unit) - np.float32(mean[:channels])) / np.float32(std[:channels])
        return np.ascontiguousarray(made[..., ::-1] if self.bgr else made).transpose(2, 0, 1).astype(self.dtype)

    def greyed(self, x: np.ndarray) -> np.ndarray:
        """framed(), of one channel where it is made grey."""
        if not self.grey:
            return self.framed(x)
        if self.grey in ("Pillow", "torchvision"):
            return self.framed(GREYS[self.grey](x)[..., None])
        return GREYS[self.grey](self.framed(x))[..., None]

    def framed(self, x: np.ndarray) -> np.ndarray:
        (height, width), side = self.size, max(self.size) + self.larger
        match self.framing:
            case "squash":
                return resized(self.kernel, x, self.size)
            case "shorter and crop":
                h, w = x.shape[:2]
                new = (side, int(side * w / h)) if h <= w else (int(side * h / w), side)
                return center(resized(self.kernel, x, new), height, width)
            case "square and crop":
                return center(resized(self.kernel, x, (side, side)), height, width)
            case "crop":
                return center(x, height, width)
            case "crop, then squash":
                side = min(x.shape[:2])
                return resized(self.kernel, center(x, side, side), self.size)
            case "letterbox":
                ratio = min(height / x.shape[0], width / x.shape[1])
                inner = resized(self.kernel, x, (round(x.shape[0] * ratio), round(x.shape[1] * ratio)))
                made = np.full((height, width, x.shape[2]), 114, inner.dtype)
                top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
                made[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
                return made
        return x


def center(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """torchvision's CenterCrop."""
    return np.asarray(v2.functional.center_crop(torch.from_numpy(x.transpose(2, 0, 1).copy()), [height, width])).transpose(1, 2, 0)


def resized(kernel: str, x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """By the library itself."""
    library, name = kernel.split(" ", 1)
    if x.shape[:2] == size:
        return x
    if x.shape[2] == 1 and library in ("Pillow", "OpenCV"):
        x = x[..., 0]
    return _resized(library, name, x, size).reshape(*size, -1)


def _resized(library: str, name: str, x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if library == "Pillow":
        return np.asarray(Image.fromarray(x).resize(size[::-1], Image.Resampling[name.upper()]))
    if library == "OpenCV":
        import cv2

        return cv2.resize(x, size[::-1], interpolation=getattr(cv2, f"INTER_{name.upper()}"))
    planes = torch.from_numpy(x.transpose(2, 0, 1).copy())
    if library == "torchvision":
        return v2.functional.resize(planes, list(size), antialias=True).permute(1, 2, 0).numpy()
    mode, _, option = name.partition(" ")
    made = functional.interpolate(
        planes[None].float(), size=size, mode=mode, antialias=option == "antialias", align_corners=option == "align_corners"
    )
    return made[0].permute(1, 2, 0).numpy()


def pairs_of(make: Callable[[np.ndarray], np.ndarray], sizes: list[tuple[int, int]], seed: int = 0) -> Pairs:
    pictures = [picture(size, seed + number) for number, size in enumerate(sizes)]
    tensors = [make(each) for each in pictures]
    pairs = tuple(Pair(f"{len(x)} rows", x, tensor.astype(np.float64)) for x, tensor in zip(pictures, tensors, strict=True))
    return Pairs(pairs, "NCHW", str(tensors[0].dtype))


def off(found: Diagnosis, make: Callable[[np.ndarray], np.ndarray], sizes: list[tuple[int, int]]) -> float:
    """How far the nearest of the geometries that the answer names is from the truth, on pictures of other sizes, in grey levels."""
    fresh = [picture(size, 1000 + number) for number, size in enumerate(sizes)]
    return min(
        max(difference(geometry, candidate.solved.affine, each, make(each)) for each in fresh)
        for candidate in found.fits
        for geometry in (candidate.geometry, *candidate.alike)
    )


def difference(geometry, affine, x: np.ndarray, truth: np.ndarray) -> float:
    levels = geometry.pixels(Source(x)).transpose(2, 0, 1)
    if levels.shape != truth.shape or not np.isfinite(levels).any():
        return np.inf
    return float(np.nanmax(np.abs((affine(levels) - truth) / affine.scale[:, None, None]), where=np.isfinite(levels), initial=0))


def wrong(pipeline: Pipeline, sizes: list[tuple[int, int]], seed: int = 0) -> tuple[str | None, Diagnosis]:
    """In what the answer about pairs of these sizes is wrong, or None; and the answer."""
    found = answered(pairs_of(pipeline, sizes, seed))
    precise = 0.05 if pipeline.dtype == "float32" else 0.6
    if found.verdict == "not identified":
        return "not identified", found
    if not found.exact:
        return f"a residual of {found.fits[0].largest}", found
    if any("no picture was resized" in each for each in found.ambiguous):
        return ("identified" if found.verdict == "identified" else None), found
    least = max(max(pipeline.size), 24)
    others = sizes if pipeline.framing == "nothing" else [(least + 17, least + 40), (least + 33, least + 9), (least + 21, least + 22)]
    no_border = all(height * pipeline.size[1] == width * pipeline.size[0] for height, width in sizes)
    if pipeline.framing == "letterbox" and no_border and not any(map(FILL.match, found.ambiguous)):
        return "a fill that no picture shows", found
    apart = off(found, pipeline, others)
    return (f"{apart:.3g} levels off on other pictures" if apart > precise else None), found
