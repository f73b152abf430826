"""The pictures that a model is verified with: photographs, noise, and those on which known mistakes show. NumPy and Pillow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from .errors import PreprocError
from .recipe import PixelsSpec
from .steps import COLORS, PIXEL_DTYPES

Pixels = NDArray[Any]
PHOTOGRAPHS = Path(__file__).parent / "pictures"
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm")


def standard(pixels: PixelsSpec, size: tuple[int, int]) -> Iterator[tuple[str, Pixels]]:
    """Names and pictures, each a batch of one as the model takes it. The same arrays on every machine but for JPEG decoding."""
    height, width = size
    shape, rng = (height, width, pixels.channels), np.random.default_rng(20)
    top = int(PIXEL_DTYPES[pixels.dtype])
    for file in sorted(PHOTOGRAPHS.glob("*.jpg")):
        yield f"photo-{file.stem}", _arrange(_photograph(file, size), pixels)
    planes: dict[str, NDArray[Any]] = {"noise": rng.integers(0, top, shape, endpoint=True)}
    planes["black"], planes["white"] = np.zeros(shape), np.full(shape, top)
    planes["corner-impulse"], planes["border-impulse"] = np.zeros(shape), np.full(shape, top)
    planes["corner-impulse"][0, 0] = top
    planes["border-impulse"][-1, width // 2] = 0
    planes["flat-color"] = np.broadcast_to(np.linspace(0.8, 0.1, pixels.channels) * top, shape)
    planes["low-contrast"] = rng.integers(int(top * 250 / 255), int(top * 251 / 255), shape, endpoint=True)
    planes["gradient"] = np.broadcast_to((top // 3 + np.arange(width))[None, :, None].clip(0, top), shape)
    for name, plane in planes.items():
        yield name, _batch(np.floor(plane), pixels)


def from_folder(folder: Path, pixels: PixelsSpec, size: tuple[int, int]) -> Iterator[tuple[str, Pixels]]:
    """Every picture in a folder, scaled to `size` where it has another. Raises PreprocError for a file that is no picture."""
    if not folder.is_dir():
        raise PreprocError(f"{folder}: expected a folder of pictures, got {'a file' if folder.exists() else 'nothing there'}")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise PreprocError(f"{folder}: expected pictures ({', '.join(SUFFIXES)}), got none")
    stems = [file.stem for file in files]
    for file in files:
        name = file.stem if stems.count(file.stem) == 1 else file.name.replace(".", "-")
        yield f"image-{name}", _arrange(_photograph(file, size), pixels)


def photographs(pixels: PixelsSpec, size: tuple[int, int]) -> Iterator[tuple[str, Image.Image, Pixels]]:
    """The photographs once more: the name, the picture as Python pipelines take it (RGB), and a batch of one as the model takes it."""
    for file in sorted(PHOTOGRAPHS.glob("*.jpg")):
        rgb = _photograph(file, size)
        yield f"photo-{file.stem} {size[0]}x{size[1]}", Image.fromarray(rgb), _arrange(rgb, pixels)


def one_picture(file: Path, pixels: PixelsSpec) -> Pixels:
    """A picture as the model takes it, a batch of one; scaled where the model takes one size only. Raises PreprocError for no picture."""
    return _arrange(_photograph(file, pixels.size), pixels)


def _photograph(file: Path, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 RGB; size None: as it is."""
    try:
        with Image.open(file) as image:
            picture = image.convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise PreprocError(f"{file}: expected a picture, got: {error}") from error
    if size is not None and picture.size != (size[1], size[0]):
        picture = picture.resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def _arrange(rgb: NDArray[np.uint8], pixels: PixelsSpec) -> Pixels:
    """A photograph with the channels, depth and layout that the model takes."""
    grey = np.asarray(Image.fromarray(rgb).convert("L"))
    alpha = np.random.default_rng(21).integers(0, 256, grey.shape)  # must not matter, so it is noise
    by_name = {"R": rgb[..., 0], "G": rgb[..., 1], "B": rgb[..., 2], "Y": grey, "A": alpha}
    names = COLORS[pixels.color]
    if names:
        picture = np.stack([by_name[name] for name in names], axis=-1)
    else:
        turns = [np.roll(rgb[..., c % 3], 7 * (c // 3), axis=1) for c in range(pixels.channels)]
        picture = np.stack(turns, axis=-1)
    if pixels.dtype == "uint16":
        noise = np.random.default_rng(22).integers(0, 257, picture.shape)
        picture = np.minimum(picture.astype(np.int64) * 257 + noise, 65535)
    return _batch(picture, pixels)


def _batch(picture: NDArray[Any], pixels: PixelsSpec) -> Pixels:
    planes = picture if pixels.layout == "NHWC" else np.moveaxis(picture, 2, 0)
    return np.ascontiguousarray(planes[None].astype(pixels.dtype))
