"""One picture -> its statistics, by kind. Pillow decodes; nothing is converted unless it is asked for."""

import functools
import io
import stat
import warnings
from array import array
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError, features

from ..errors import PreprocError, first_line
from .histogram import Counted, Moments
from .sources import STUBS

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "L": "GRAY",
        "RGB": "RGB",
        "RGBA": "RGBA",
        "LA": "GRAY + alpha",
        "CMYK": "CMYK",
        "YCbCr": "YCbCr",
        "LAB": "LAB",
        "HSV": "HSV",
        "P": "palette",
        "PA": "palette + alpha",
        "1": "bilevel",
        "I;16": "GRAY 16 bit",
        "I;16B": "GRAY 16 bit",
        "I;16L": "GRAY 16 bit",
        "F": "GRAY float",
    }
)
"""Pillow's modes -> kinds. A palette's pixels are indices, which have no statistics as colours."""
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


def count_file(data: bytes | str | Path, *, color: str | None = None, mask: bytes | str | Path | None = None) -> Counted:
    """An image file, its path or its bytes. color: "RGB" or "GRAY" converts, None keeps the kind.  mask: an image of the same size,
    whose non-zero pixels are the ones that count. Only the first frame of several is read.

    Raises PreprocError with the reason why it cannot be read.
    """
    image = open_picture(data, color)
    return KINDS[image.mode], _statistics(image, None if mask is None else _mask(mask, image))


def count_image(image: Image.Image, color: str | None = None) -> Counted:
    """A PIL image, as count_file()."""
    try:
        image = _converted(image, color)
        return KINDS[image.mode], _statistics(image, None)
    except OSError as error:  # a lazy one that turns out to be truncated
        raise PreprocError(f"expected an image, got: {first_line(error)}") from error


def count_array(picture: NDArray[Any]) -> Counted:
    """A picture as an array: (H, W) or (H, W, C), uint8, uint16 or float. Raises PreprocError for anything else."""
    if picture.ndim == 2:
        picture = picture[..., None]
    if picture.ndim != 3 or picture.size == 0:
        raise PreprocError(f"expected pictures of shape (H, W) or (H, W, C), got {picture.shape}")
    name = {1: "GRAY", 3: "RGB", 4: "RGBA"}.get(picture.shape[2], f"{picture.shape[2]} channels")
    if picture.dtype in (np.uint8, np.uint16):
        bins = 256 if picture.dtype == np.uint8 else 65536
        counts = [np.bincount(picture[..., channel].ravel(), minlength=bins) for channel in range(picture.shape[2])]
        return name + (" 16 bit" if bins == 65536 else ""), np.array(counts, np.int64)
    if np.issubdtype(picture.dtype, np.floating):
        return f"{name} float", Moments.of(picture.reshape(-1, picture.shape[2]).T)
    raise PreprocError(f"expected pictures of uint8, uint16 or floats, got {picture.dtype}")


def open_picture(data: bytes | str | Path, color: str | None) -> Image.Image:
    """Decoded, and converted if that is asked for. Raises PreprocError with the reason why it cannot be read."""
    try:
        if not isinstance(data, bytes) and not stat.S_ISREG(Path(data).stat().st_mode):
            raise PreprocError("expected a file, got something else of that name: a pipe, a socket or a device")
        with warnings.catch_warnings(), io.BytesIO(data) if isinstance(data, bytes) else Path(data).open("rb") as file:
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            begin = file.read(8)
            file.seek(0)
            image = Image.open(file, formats=_formats(begin))
            if not image.mode.startswith("I;16") and any(";16" in _raw_mode(tile[3]) for tile in image.tile):
                raise PreprocError(f"expected pixels that Pillow can read whole, got {image.mode} in 16 bits, which it cuts to 8")
            image.load()
            return _converted(image, color)
    except PreprocError:
        raise
    except UnidentifiedImageError as error:
        raise PreprocError(f"expected an image, got {f'bytes that begin with {begin!r}' if begin else '0 bytes'}") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise PreprocError(f"expected a picture of at most {Image.MAX_IMAGE_PIXELS:,} pixels (Pillow's limit), got more") from error
    except Exception as error:  # decoders raise whatever they like
        raise PreprocError(f"expected an image, got: {first_line(error)}") from error


def _raw_mode(settings: Any) -> str:
    """Of a tile: how its pixels lie in the file, as "RGB;16B"."""
    return str(settings[0] if isinstance(settings, tuple) and settings else settings)


def _formats(begin: bytes) -> list[str]:
    """The only format that files with such a beginning can have, so that Pillow does not try some forty; where it has to, all that it
    reads itself."""
    return next(([name] for start, name in _STARTS.items() if begin.startswith(start)), None) or _own_formats()


@functools.cache
def _own_formats() -> list[str]:
    Image.init()
    return [name for name in Image.ID if name not in STUBS]


_STARTS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG"}


def _converted(image: Image.Image, color: str | None) -> Image.Image:
    if image.mode not in KINDS:
        raise PreprocError(f"expected one of the kinds {', '.join(sorted(set(KINDS.values())))}, got Pillow's mode {image.mode}")
    if color is None or image.mode == CONVERT[color]:
        return image
    if KINDS[image.mode].endswith(("16 bit", "float")):
        raise PreprocError(f"expected 8 bits to convert to {color}, got {KINDS[image.mode]}, which Pillow would cut")
    return image.convert(CONVERT[color])


def _mask(data: bytes | str | Path, image: Image.Image) -> Image.Image:
    mask = open_picture(data, None)
    if mask.size != image.size:
        raise PreprocError(f"expected a mask of the picture's size, {image.size[0]}x{image.size[1]}, got {mask.size[0]}x{mask.size[1]}")
    if mask.mode in ("LA", "RGBA", "PA"):  # a selection is drawn in colours, not in how opaque they are
        mask = mask.getchannel(0) if mask.mode != "RGBA" else mask.convert("RGB")
    there = np.asarray(mask)
    return Image.fromarray((there.reshape(*there.shape[:2], -1) != 0).any(axis=2))


def _statistics(image: Image.Image, mask: Image.Image | None) -> NDArray[np.int64] | Moments:
    if mask is not None and not mask.getbbox():
        raise PreprocError("expected a mask that selects pixels, got one without any")
    if image.mode == "F":
        values = np.asarray(image)
        return Moments.of((values.ravel() if mask is None else values[np.asarray(mask)])[None])
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        chosen = values.ravel() if mask is None else values[np.asarray(mask)]
        return np.bincount(chosen, minlength=65536)[None].astype(np.int64)
    return np.frombuffer(array("q", image.histogram(mask)), np.int64).reshape(-1, 256)  # a third of np.array's time
