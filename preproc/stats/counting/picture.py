"""One picture -> its kind and its counts, or for floats its moments."""

from array import array
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, features

from ...errors import PreprocError, first_line
from ...host.decoding import KINDS, orientation
from ..sums import Counted, Moments

CONVERT: Mapping[str, str] = MappingProxyType({"RGB": "RGB", "GRAY": "L"})
"""What --color may ask for -> Pillow's mode."""


def decoder() -> str:
    """What decodes, with its version: other versions may decode other pixels."""
    turbo = features.version_feature("libjpeg_turbo")
    return f"Pillow {PIL.__version__}, " + (f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version('jpg')}")


def count_image(image: Image.Image, color: str | None = None) -> Counted:
    """A PIL image, at the frame where it stands, as it lies in the file. color: "RGB" or "GRAY" converts, None keeps the kind."""
    try:
        return count_decoded(image, color, None)
    except OSError as error:  # a lazy one that turns out to be truncated
        raise PreprocError(f"expected an image, got: {first_line(error)}", name="unreadable-picture") from error


def count_decoded(image: Image.Image, color: str | None, mask: Image.Image | None) -> Counted:
    """An image whose pixels are there. mask: as fitting() makes it."""
    image = convert(image, color)
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


def convert(image: Image.Image, color: str | None) -> Image.Image:
    """To "RGB" or "GRAY", or None for as it is. Raises PreprocError for what would lose bits on the way, and for modes of no known kind."""
    if image.mode not in KINDS:
        raise PreprocError(
            f"expected one of the kinds {', '.join(sorted(set(KINDS.values())))}, got Pillow's mode {image.mode}", name="picture-unfit"
        )
    if color is None or image.mode == CONVERT[color]:
        return image
    if KINDS[image.mode].endswith(("16 bit", "float")):
        raise PreprocError(f"expected 8 bits to convert to {color}, got {KINDS[image.mode]}, which Pillow would cut", name="lossy-decoding")
    return image.convert(CONVERT[color])


def fitting(mask: Image.Image, image: Image.Image) -> Image.Image:
    """A mask as which of the picture's pixels count. Raises PreprocError where it does not fit the picture, or may be meant for the picture
    as viewers turn it."""
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
