"""Pictures -> their statistics, by kind; nothing is converted unless it is asked for."""

import contextlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, features

from ..errors import PreprocError, first_line
from ..host.decoding import KINDS, Data, ImageFile, is_array, looks_otherwise, orientation, read_array
from .histogram import Counted, Moments
from .sources import Broken

CHANNELS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"GRAY + alpha": ("GRAY", "A"), "palette": ("index",), "palette + alpha": ("index", "A"), "bilevel": ("GRAY",)}
    | {"YCbCr": ("Y", "Cb", "Cr"), "LAB": ("L", "a", "b")}
)
"""The names of channels, where they are not the kind's first letters."""
CONVERT: Mapping[str, str] = MappingProxyType({"RGB": "RGB", "GRAY": "L"})
"""What --color may ask for -> Pillow's mode."""


def decoder() -> str:
    """What decodes, with its version: other versions may decode other pixels."""
    turbo = features.version_feature("libjpeg_turbo")
    return f"Pillow {PIL.__version__}, " + (f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version('jpg')}")


def channel_names(kind: str, channels: int) -> tuple[str, ...]:
    """One per channel."""
    word = kind.split()[0]
    names = CHANNELS.get(kind) or ((word,) if word == "GRAY" else tuple(word))
    return names if len(names) == channels else tuple(str(number) for number in range(channels))


@dataclass
class Told:
    """What there is to say of the files beside their counts. broken: pictures that cannot be read, and why.  skipped: pages or frames that
    do not count, and why.  stacks: how many files have several that count.  oriented: how many pictures have an EXIF orientation."""

    broken: list[Broken] = field(default_factory=list)
    skipped: list[Broken] = field(default_factory=list)
    stacks: int = 0
    oriented: int = 0

    def __add__(self, other: "Told") -> "Told":
        return Told(self.broken + other.broken, self.skipped + other.skipped, self.stacks + other.stacks, self.oriented + other.oriented)


def count_file(
    data: Data, *, name: str, told: Told, color: str | None = None, mask: Data | None = None, frames: str = "all"
) -> Iterator[Counted]:
    """Each picture in a file: an image's pages or frames, or the pictures of a .npy array (H, W), (H, W, C) or (N, H, W, C).

    name: what the file is called in `told`, where its pictures are name[0], name[1], ...  color: "RGB" or "GRAY" converts, None keeps the
    kind.  mask: an image file of the same sizes and as many frames, whose non-zero pixels are the ones that count.  frames: "all" or
    "first".  Raises PreprocError with the reason why the file cannot be read; what is wrong with one picture goes to told.broken.
    """
    if is_array(data):
        yield from _count_arrays(data, name, told, color, mask, frames)
        return
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(ImageFile(data, frames=frames))
        masks = None if mask is None else stack.enter_context(ImageFile(mask, frames=frames))
        if masks is not None and len(masks.numbers) != len(file.numbers):
            raise PreprocError(
                f"expected a mask with as many frames as the picture, {len(file.numbers)}, got {len(masks.numbers)}", name="mask-unfit"
            )
        told.skipped += [(name + file.name(number), reason) for number, reason in file.passed.items()]
        told.stacks += len(file.numbers) > 1
        for number, number_of_mask in zip(file.numbers, file.numbers if masks is None else masks.numbers, strict=True):
            try:
                image = file.read(number)
                turned = orientation(image)
                selected = None if masks is None else _mask(masks.read(number_of_mask), image)
                found = _of_image(image, color, selected)
            except Exception as error:  # noqa: BLE001 - Pillow's conversions raise whatever they like
                told.broken.append((name + file.name(number), first_line(error)))
            else:
                told.oriented += turned != 1
                yield found


def _count_arrays(data: Data, name: str, told: Told, color: str | None, mask: Data | None, frames: str) -> Iterator[Counted]:
    values = read_array(data)
    if values.ndim in (3, 4) and looks_otherwise(values.shape, first=False):
        raise PreprocError(
            f"expected (H, W, C) or (N, H, W, C), got {values.shape}, which may be (C, H, W): move the channels last, or say "
            'which it is in Python, preproc.compute_stats(array, layout="NHWC")',
            name="layout-ambiguous",
        )
    if color is not None or mask is not None:
        raise PreprocError(
            "expected an image file to convert or to mask, got a .npy array, which is counted as it is", name="option-without-effect"
        )
    pictures = values if values.ndim == 4 else values[None]
    if frames == "first":
        told.skipped += [(f"{name}[{number}]", "behind the first, which alone is asked for") for number in range(1, len(pictures))]
        pictures = pictures[:1]
    told.stacks += len(pictures) > 1
    for number, picture in enumerate(pictures):
        try:
            yield count_array(picture)
        except PreprocError as error:
            told.broken.append((f"{name}[{number}]" if values.ndim == 4 else name, first_line(error)))


def count_image(image: Image.Image, color: str | None = None) -> Counted:
    """A PIL image, at the frame where it stands, as count_file()."""
    try:
        return _of_image(image, color, None)
    except OSError as error:  # a lazy one that turns out to be truncated
        raise PreprocError(f"expected an image, got: {first_line(error)}", name="unreadable-picture") from error


def _of_image(image: Image.Image, color: str | None, mask: Image.Image | None) -> Counted:
    image = converted(image, color)
    return KINDS[image.mode], _statistics(image, mask)


def count_array(picture: NDArray[Any]) -> Counted:
    """A picture as an array: (H, W) or (H, W, C), uint8, uint16 or float. Raises PreprocError for anything else."""
    if picture.ndim == 2:
        picture = picture[..., None]
    if picture.ndim != 3 or picture.size == 0:
        raise PreprocError(f"expected pictures of shape (H, W) or (H, W, C), got {picture.shape}", name="picture-unfit")
    name = {1: "GRAY", 3: "RGB", 4: "RGBA"}.get(picture.shape[2], f"{picture.shape[2]} channels")
    if picture.dtype in (np.uint8, np.uint16):
        bins = 256 if picture.dtype == np.uint8 else 65536
        counts = [np.bincount(picture[..., channel].ravel(), minlength=bins) for channel in range(picture.shape[2])]
        return name + (" 16 bit" if bins == 65536 else ""), np.array(counts, np.int64)
    if np.issubdtype(picture.dtype, np.floating):
        return f"{name} float", Moments.of(picture.reshape(-1, picture.shape[2]).T)
    raise PreprocError(f"expected pictures of uint8, uint16 or floats, got {picture.dtype}", name="picture-unfit")


def converted(image: Image.Image, color: str | None) -> Image.Image:
    if image.mode not in KINDS:
        raise PreprocError(
            f"expected one of the kinds {', '.join(sorted(set(KINDS.values())))}, got Pillow's mode {image.mode}", name="picture-unfit"
        )
    if color is None or image.mode == CONVERT[color]:
        return image
    if KINDS[image.mode].endswith(("16 bit", "float")):
        raise PreprocError(f"expected 8 bits to convert to {color}, got {KINDS[image.mode]}, which Pillow would cut", name="lossy-decoding")
    return image.convert(CONVERT[color])


def _mask(mask: Image.Image, image: Image.Image) -> Image.Image:
    """Which pixels count. Raises PreprocError where it does not fit the picture, or may be meant for the picture as viewers turn it."""
    if mask.size != image.size:
        raise PreprocError(
            f"expected a mask of the picture's size, {image.size[0]}x{image.size[1]}, got {mask.size[0]}x{mask.size[1]}", name="mask-unfit"
        )
    if orientation(mask) != orientation(image):
        raise PreprocError(
            f"expected a mask of the picture's EXIF orientation, {orientation(image)}, got {orientation(mask)}: it may be drawn on the "
            "turned picture; save the picture turned (PIL.ImageOps.exif_transpose) or without the tag",
            name="mask-unfit",
        )
    if mask.mode in ("LA", "RGBA", "PA"):  # a selection is drawn in colours, not in how opaque they are
        mask = mask.getchannel(0) if mask.mode != "RGBA" else mask.convert("RGB")
    there = np.asarray(mask)
    return Image.fromarray((there.reshape(*there.shape[:2], -1) != 0).any(axis=2))


def _statistics(image: Image.Image, mask: Image.Image | None) -> NDArray[np.int64] | Moments:
    if mask is not None and not mask.getbbox():
        raise PreprocError("expected a mask that selects pixels, got one without any", name="mask-unfit")
    if image.mode == "F":
        values = np.asarray(image)
        return Moments.of((values.ravel() if mask is None else values[np.asarray(mask)])[None])
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        chosen = values.ravel() if mask is None else values[np.asarray(mask)]
        return np.bincount(chosen, minlength=65536)[None].astype(np.int64)
    return np.frombuffer(array("q", image.histogram(mask)), np.int64).reshape(-1, 256)  # a third of np.array's time
