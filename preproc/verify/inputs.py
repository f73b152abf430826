"""The pictures that a model is verified with: photographs, noise, and those on which known mistakes show. NumPy and Pillow."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import PreprocError, first_line
from ..host.decoding import KINDS, ImageFile, is_array, is_picture, orientation, read_array
from ..oracle import packed
from ..sources import PixelsSpec
from ..steps import PIXEL_DTYPES, YUV, Sides, Size
from .video import as_array, whole_blocks

Pixels = NDArray[Any]
PHOTOGRAPHS = Path(__file__).parent / "pictures"
PHOTO, MADE, OWN = "photo-", "made-of-", "image-"
"""What the names begin with of our photographs; of pictures that are made of these for networks of other channels or depths; of the
user's own pictures."""


@dataclass(frozen=True)
class _AsTaken:
    """Y, U and V as they lie in memory, which nothing scales."""

    values: NDArray[Any]
    file: Path


_Read = NDArray[Any] | _AsTaken
"""A picture (H, W, C), of Y, U and V in RGB; or what the model takes."""


def standard(pixels: PixelsSpec, size: tuple[int, int]) -> Iterator[tuple[str, Pixels]]:
    """Names and pictures, each a batch of one as the model takes it. The same arrays on every machine but for JPEG decoding."""
    height, width = size
    depth = len(pixels.letters) or pixels.channels
    shape, rng = (height, width, depth), np.random.default_rng(20)
    top = int(PIXEL_DTYPES[pixels.dtype])
    for file in sorted(PHOTOGRAPHS.glob("*.jpg")):
        yield f"{_word(pixels)}{file.stem}", _arrange(_photograph(file, size), pixels)
    noise = rng.integers(0, top, pixels.shape(1, size)[1:] if pixels.color in YUV else shape, endpoint=True)
    yield "noise", noise[None].astype(np.uint8) if pixels.color in YUV else laid_out(noise, pixels)
    planes: dict[str, NDArray[Any]] = {}
    planes["black"], planes["white"] = np.zeros(shape), np.full(shape, top)
    planes["corner-impulse"], planes["border-impulse"] = np.zeros(shape), np.full(shape, top)
    planes["corner-impulse"][0, 0] = top
    planes["border-impulse"][-1, width // 2] = 0
    planes["flat-color"] = np.broadcast_to(np.linspace(0.8, 0.1, depth) * top, shape)
    planes["low-contrast"] = rng.integers(int(top * 250 / 255), int(top * 251 / 255), shape, endpoint=True)
    planes["gradient"] = np.broadcast_to((top // 3 + np.arange(width))[None, :, None].clip(0, top), shape)
    for name, plane in planes.items():
        yield name, laid_out(np.floor(plane), pixels)


def _word(pixels: PixelsSpec) -> str:
    """A photograph has colours, or is grey, and 8 bits."""
    return PHOTO if pixels.dtype == "uint8" and (pixels.letters or pixels.channels == 3) else MADE


def from_folder(folder: Path, pixels: PixelsSpec, size: tuple[int, int] | None) -> Iterator[tuple[str, Pixels]]:
    """Every picture in a folder, scaled to `size` where it has another; None: as one_picture() does, to the sides that the model fixes.
    Image files, with all their pages and frames, and .npy arrays
    (H, W, C) of the model's own pixels, in its dtype and colour order; of Y, U and V as one picture lies in memory, of the size that is
    taken.

    Image files of 8 bits are converted to the model's colours as Pillow does; grey ones of 16 bits serve any colours. Depths are never
    converted, channels never made up, and EXIF orientations not applied (see notes()). Raises PreprocError for a file that is no picture,
    and for one that does not have what the model takes.
    """
    for name, picture in _named(folder, pixels):
        yield name, _as_taken(picture, size, pixels)


def check(folder: Path, pixels: PixelsSpec) -> None:
    """Reads every picture in a folder, before anything is computed. Raises what from_folder() would."""
    for _ in _named(folder, pixels):
        pass


def how_many(folder: Path) -> int:
    """Pictures in a folder, pages and frames each, by the heads of their files alone. Raises PreprocError for a file that is no picture."""
    count = 0
    for file in _files(folder):
        try:
            with contextlib.nullcontext() if is_array(file) else ImageFile(file) as opened:
                count += 1 if opened is None else len(opened.numbers)
        except PreprocError as error:
            raise PreprocError(f"{file}: {error}") from error
    return count


def _named(folder: Path, pixels: PixelsSpec) -> Iterator[tuple[str, _Read]]:
    """The pictures as they are, each by its name."""
    files, seen = _files(folder), set[str]()
    stems = [file.stem for file in files]
    for file in files:
        stem = file.stem if stems.count(file.stem) == 1 else file.name.replace(".", "-")
        for behind, picture in _pictures(file, pixels):
            name = f"{OWN}{stem}{behind}"
            if name in seen:
                raise PreprocError(
                    f"{file}: expected pictures of different names, got {name} again; rename one of them", name="target-collision"
                )
            seen.add(name)
            yield name, picture


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise PreprocError(
            f"{folder}: expected a folder of pictures, got {'a file' if folder.exists() else 'nothing there'}",
            name="option-value" if folder.exists() else "nothing-there",
        )
    files = sorted(file for file in folder.iterdir() if is_picture(file.name) or file.suffix.lower() == ".npy")
    if not files:
        raise PreprocError(f"{folder}: expected pictures, image files or .npy arrays, got none", name="no-pictures")
    return files


def photographs(pixels: PixelsSpec, size: tuple[int, int]) -> Iterator[tuple[str, Image.Image, Pixels]]:
    """The photographs once more: the name, the picture as Python pipelines take it (RGB), and a batch of one as the model takes it."""
    for file in sorted(PHOTOGRAPHS.glob("*.jpg")):
        rgb = _photograph(file, size)
        yield f"{PHOTO}{file.stem} {size[0]}x{size[1]}", Image.fromarray(rgb), _arrange(rgb, pixels)


def unscaled(file: Path, pixels: PixelsSpec) -> NDArray[Any]:
    """A picture (H, W, C) with the channels and the dtype that the model takes, of Y, U and V in RGB, as large as it is; read as
    from_folder() does, the first frame of several. Raises PreprocError."""
    _, picture = next(_pictures(file, pixels))
    if isinstance(picture, _AsTaken):
        raise PreprocError(f"{file}: expected an image file for a model that takes {pixels.color}, got an array", name="picture-unfit")
    return picture


def one_picture(file: Path, pixels: PixelsSpec) -> Pixels:
    """A picture as the model takes it, a batch of one, read as from_folder() does, the first frame of several; scaled to the sides that the
    model fixes: where one is free, with its ratio kept. Raises PreprocError for no picture."""
    _, picture = next(_pictures(file, pixels))
    return _as_taken(picture, None, pixels)


def _as_taken(picture: _Read, size: Size | None, pixels: PixelsSpec) -> Pixels:
    """A batch of one, scaled to `size`, or to the sides that the model fixes."""
    if not isinstance(picture, _AsTaken):
        fitted = size or whole_blocks(_fitted(picture.shape[:2], pixels.size), pixels)
        return laid_out(scaled(picture, fitted), pixels)
    own = YUV[pixels.color].size(pixels.layout, picture.values.shape)
    wanted = size or _fitted(own, pixels.size)
    if own != wanted:
        raise PreprocError(
            f"{picture.file}: expected a picture of {wanted[0]}x{wanted[1]} in an array of {pixels.color}, which is not scaled, got "
            f"{own[0]}x{own[1]}; save one of that size, or an image file, which is scaled",
            name="picture-unfit",
        )
    return picture.values[None]


def _fitted(size: Size, sides: Sides) -> Size:
    """The size of a picture whose sides are these, and as they are where both are free."""
    (height, width), (new_height, new_width) = size, sides
    if new_height is None:
        return (height, width) if new_width is None else (max(1, round(height * new_width / width)), new_width)
    return new_height, max(1, round(width * new_height / height)) if new_width is None else new_width


def notes(path: Path) -> list[str]:
    """What there is to know of a picture that is drawn, or of those in a folder: EXIF orientations that are not applied, frames that are
    not drawn. Of files that cannot be read, nothing: from_folder() and one_picture() say why."""
    found = []
    for file in _files(path) if path.is_dir() else [path]:
        turned, frames = 1, list[int]()
        with contextlib.suppress(PreprocError):
            if not is_array(file):
                with ImageFile(file) as opened:
                    turned, frames = orientation(opened.image), opened.numbers
        if turned != 1:
            found.append(f"{file.name}: its EXIF orientation, {turned}, is not applied, as PIL.Image.open() does not apply it")
        if len(frames) > 1 and file == path:
            found.append(f"{file.name}: the first of its {len(frames)} pages or frames is drawn")
    return found


def _pictures(file: Path, pixels: PixelsSpec) -> Iterator[tuple[str, _Read]]:
    """Each picture in a file, and what stands behind its name."""
    try:
        if is_array(file):
            yield "", _checked(read_array(file), file, pixels)
            return
        with ImageFile(file) as opened:
            for number in opened.numbers:
                yield f"-{number}" if len(opened.numbers) > 1 else "", _as_asked(opened.read(number), pixels)
    except PreprocError as error:
        raise PreprocError(f"{file}: {error}") from error


def _checked(array: NDArray[Any], file: Path, pixels: PixelsSpec) -> _Read:
    """An array of the model's own pixels."""
    if pixels.color in YUV and array.dtype == pixels.dtype:
        YUV[pixels.color].size(pixels.layout, array.shape)
        return _AsTaken(array, file)
    picture = array[..., None] if array.ndim == 2 and pixels.channels == 1 else array
    if picture.ndim != 3 or picture.shape[2] != pixels.channels or picture.dtype != pixels.dtype or picture.size == 0:
        wanted, got = as_array(pixels), f"{array.shape} of {array.dtype}"
        own = "; raw ones: the file normalizes them itself" if array.dtype.kind == "f" else ""
        raise PreprocError(f"expected one picture {wanted}, as the model's pixels are, got {got}{own}", name="picture-unfit")
    return picture


def _as_asked(image: Image.Image, pixels: PixelsSpec) -> NDArray[Any]:
    """An image with the channels that the model takes. Raises PreprocError for another depth, and where they are not told by a colour."""
    if image.mode in ("P", "PA", "1"):
        colors = "L" if image.mode == "1" else "RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB"
        image = image.convert(colors)
    kind = KINDS.get(image.mode, f"Pillow's mode {image.mode}")
    dtype = "uint16" if kind.endswith("16 bit") else kind if kind.endswith("float") or image.mode not in KINDS else "uint8"
    array = f"a .npy array {as_array(pixels)}"
    if dtype != pixels.dtype:
        raise PreprocError(
            f"expected pictures of {pixels.dtype}, as the model's pixels are, got {kind}, which is not scaled in silence; save what the "
            f"model takes, as {array} for one",
            name="picture-unfit",
        )
    names = pixels.letters
    if not names and len(image.getbands()) != pixels.channels:
        raise PreprocError(
            f"expected pictures of {pixels.channels} channels, as the model's pixels have, got {kind}; save them as {array}",
            name="picture-unfit",
        )
    if not names:
        return np.asarray(image).reshape(image.height, image.width, pixels.channels)
    if dtype == "uint16":
        planes = dict.fromkeys("RGBY", np.asarray(image))
    else:
        try:
            planes = _planes(np.asarray(image.convert("RGB")))
            planes["Y"] = np.asarray(image.convert("L"))
        except ValueError as error:
            raise PreprocError(
                f"expected a picture that Pillow converts to RGB, got {kind}: {first_line(error)}", name="picture-unfit"
            ) from error
    planes["A"] = np.asarray(image.getchannel("A")) if "A" in image.getbands() else _alpha(planes["Y"].shape, pixels)
    return np.stack([planes[name] for name in names], axis=-1)


def _planes(rgb: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    return {"R": rgb[..., 0], "G": rgb[..., 1], "B": rgb[..., 2], "Y": np.asarray(Image.fromarray(rgb).convert("L"))}


def _alpha(shape: tuple[int, ...], pixels: PixelsSpec) -> NDArray[Any]:
    """It must not matter, so it is noise."""
    return np.random.default_rng(21).integers(0, int(PIXEL_DTYPES[pixels.dtype]) + 1, shape)


def scaled(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """A picture (H, W, C) of that (height, width): bicubic, plane by plane; 16 bits in float32."""
    if picture.shape[:2] == size:
        return picture
    dtype = picture.dtype
    planes = np.moveaxis(picture.astype(np.uint8 if dtype == np.uint8 else np.float32), 2, 0)
    resized = np.stack([np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BICUBIC)) for plane in planes], axis=-1)
    return resized if dtype == np.uint8 else np.clip(np.rint(resized), 0, 65535).astype(dtype)


def _photograph(file: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """One of ours: (height, width, 3) uint8 RGB."""
    with Image.open(file) as image:
        picture = image.convert("RGB")
    return np.asarray(picture if picture.size == size[::-1] else picture.resize(size[::-1], Image.Resampling.BICUBIC))


def _arrange(rgb: NDArray[np.uint8], pixels: PixelsSpec) -> Pixels:
    """One of our photographs with the channels, depth and layout that the model takes: made up where it has other channels or more bits."""
    names, planes = pixels.letters, _planes(rgb) | {"A": np.random.default_rng(21).integers(0, 256, rgb.shape[:2])}
    if names:
        picture = np.stack([planes[name] for name in names], axis=-1)
    else:
        turns = [np.roll(rgb[..., c % 3], 7 * (c // 3), axis=1) for c in range(pixels.channels)]
        picture = np.stack(turns, axis=-1)
    if pixels.dtype == "uint16":
        noise = np.random.default_rng(22).integers(0, 257, picture.shape)
        picture = np.minimum(picture.astype(np.int64) * 257 + noise, 65535)
    return laid_out(picture, pixels)


def laid_out(picture: NDArray[Any], pixels: PixelsSpec) -> Pixels:
    """A picture (H, W, C), of Y, U and V in RGB, as a batch of one that the model takes."""
    if pixels.color in YUV:
        return packed(picture, pixels)[None]
    planes = picture if pixels.layout == "NHWC" else np.moveaxis(picture, 2, 0)
    return np.ascontiguousarray(planes[None].astype(pixels.dtype))
