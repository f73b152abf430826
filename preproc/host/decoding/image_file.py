"""Picture files as they are: every page and frame, each pixel whole or the file refused. Pillow decodes; nothing is converted.

A picture lies as it is stored: the orientation in its EXIF tags is not applied, as PIL.Image.open(), torchvision and Hugging Face do not
apply it either. (In TIFF files it is a tag of the format itself, which Pillow applies while it decodes.)
"""

import contextlib
import functools
import io
import stat
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ...errors import PreprocError, first_line
from .whole import INSTEAD, check_depth, check_pages, check_whole

Data = bytes | str | Path
"""A file's bytes, or where it is."""
FRAMES = ("all", "first")
"""Which of a file's pages or frames are read."""
STUBS = ("PDF", "MPEG", "HDF5", "GRIB", "BUFR", "EPS", "WMF", "FITS")
"""Formats that Pillow has a name for but reads not at all, only through another program, or (FITS) the first plane of, as little-endian."""
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
        **dict.fromkeys(("I;16", "I;16B", "I;16L"), "GRAY 16 bit"),
        "F": "GRAY float",
    }
)
"""Pillow's modes -> kinds. A palette's pixels are indices, which have no statistics as colours."""
_ORIENTATION, _SUBFILE, _OLD_SUBFILE = 274, 254, 255
"""Tags of TIFF, and of EXIF."""
_EXIF = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")
"""Where Pillow finds EXIF tags."""
_APART = ("TIFF", "MPO", "DCX", "IM", "SPIDER")
"""Formats whose frames do not build on one another."""


def is_picture(name: str) -> bool:
    """By its suffix."""
    Image.init()
    kind = Image.EXTENSION.get(Path(name).suffix.lower())
    return (kind in Image.OPEN or kind == "MPO") and kind not in STUBS  # which JPEG's own opener opens


def is_array(data: Data) -> bool:
    """Whether it is a .npy file: by its name, or its first bytes."""
    return data.startswith(b"\x93NUMPY") if isinstance(data, bytes) else str(data).lower().endswith(".npy")


def read_array(data: Data) -> NDArray[Any]:
    """A .npy file. Raises PreprocError for what is none, and for one that would run code."""
    try:
        if not isinstance(data, bytes):
            _check_regular(data)
        with _open(data) as file:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    except PreprocError:
        raise
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise PreprocError(f"expected a .npy file with an array of numbers, got: {first_line(error)}", name="unreadable-picture") from error
    return array


def looks_otherwise(shape: Sequence[int], *, first: bool) -> bool:
    """Whether an array of that shape, (H, W, C) or, where the channels come first, (C, H, W), with or without a batch in front of it, may
    well be the other of the two: its channels would be many, and at the other end there are few; or it is a strip with few at both."""
    own, middle, other = tuple(shape[-3:]) if first else tuple(shape[-3:])[::-1]
    if own in (1, 2, 3, 4):
        return other in (1, 3, 4) and middle > 8
    return other in (1, 3, 4) or other < min(own, middle)


def orientation(image: Image.Image) -> int:
    """The EXIF orientation that is not applied: 1 for none, 2 to 8 for a picture that viewers turn or mirror."""
    if image.format == "TIFF" or not any(key in image.info for key in _EXIF):  # in a TIFF it is applied by Pillow
        return 1
    with warnings.catch_warnings(), contextlib.suppress(Exception):  # broken tags are no reason not to read the pixels
        warnings.simplefilter("ignore")
        value = image.getexif().get(_ORIENTATION, 1)
        return value if value in range(2, 9) else 1
    return 1


class ImageFile(contextlib.AbstractContextManager["ImageFile"]):
    """An open image file. numbers: its pages or frames, from 0 on, which are pictures and asked for.  passed: the others, each with the
    reason why it is not among them.

    frames: "all" or "first".  Raises PreprocError, here and in read(), with the reason why it cannot be read.
    """

    def __init__(self, data: Data, *, frames: str = "all") -> None:
        with contextlib.ExitStack() as stack, _reasons():
            if not isinstance(data, bytes):
                _check_regular(data)
            file: Any = stack.enter_context(_open(data))
            self.begin = file.read(8)
            file.seek(0)
            try:
                self.image: Image.Image = stack.enter_context(Image.open(file, formats=_formats(self.begin)))
            except UnidentifiedImageError as error:
                found = f"bytes that begin with {self.begin!r}" if self.begin else "0 bytes"
                if self.begin.startswith((b"II", b"MM")):
                    found = f"TIFF of a form that Pillow does not know: {INSTEAD}"
                raise PreprocError(f"expected an image, got {found}", name="unreadable-picture") from error
            check_depth(self.image, file)
            self.count = 1 if self.image.format == "PSD" else getattr(self.image, "n_frames", 1)  # a PSD's are the layers of one picture
            self.passed = dict(self._no_pictures())
            self.numbers = [number for number in range(self.count) if number not in self.passed]
            if not self.numbers:
                raise PreprocError(f"expected a picture, got none: {next(iter(self.passed.values()))}", name="unreadable-picture")
            if frames == "first":
                self.passed |= dict.fromkeys(self.numbers[1:], "behind the first, which alone is asked for")
                self.numbers = self.numbers[:1]
            self.resources = stack.pop_all()
        self.failed: int | None = None

    def __exit__(self, *_: object) -> None:
        self.resources.close()

    def name(self, number: int) -> str:
        """What stands behind the file's name: "[3]", or nothing where the file has one picture only."""
        return f"[{number}]" if self.count > 1 else ""

    def read(self, number: int) -> Image.Image:
        """That page or frame, decoded. It is another picture as soon as the next one is read."""
        with _reasons():
            if self.failed is not None and self.image.format not in _APART:
                told = f"expected the frames before it, which it is drawn upon, got a broken one: [{self.failed}]"
                raise PreprocError(told, name="unreadable-picture")
            try:
                if self.count > 1:
                    self.image.seek(number)
                check_whole(self.image)
                self.image.load()
            except Exception:
                self.failed = number
                raise
            return _same_kind(_unsigned(self.image)) if self.count > 1 else _unsigned(self.image)

    def _no_pictures(self) -> Iterator[tuple[int, str]]:
        """The frames that are only another version of a picture, or a part of it. Raises PreprocError for pages that Pillow cannot see."""
        image: Any = self.image
        if image.format == "MPO":  # a photograph with previews and gain maps behind it; or a stereo pair, a panorama
            for number, entry in enumerate(image.mpinfo[0xB002][1:], start=1):
                kind = str(entry["Attribute"]["MPType"])
                if not kind.startswith("Multi-Frame Image"):
                    yield number, f"no picture of its own: {kind} in a JPEG file (a preview, a gain map or a depth map)"
        elif image.format == "TIFF":
            check_pages(image, self.count)
            for number in range(self.count if self.count > 1 else 0):
                image.seek(number)
                kind, old = image.tag_v2.get(_SUBFILE, 0), image.tag_v2.get(_OLD_SUBFILE, 0)
                if kind & 1 or old == 2:
                    yield number, "no picture of its own: another one in fewer pixels, as its tag NewSubfileType says"
                elif kind & 4:
                    yield number, "no picture of its own: a mask, as its tag NewSubfileType says"
            image.seek(0)


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    """Whatever decoders raise as a PreprocError; what they warn of is for them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except PreprocError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        told = f"expected a picture of at most {Image.MAX_IMAGE_PIXELS:,} pixels (Pillow's limit), got more"
        raise PreprocError(told, name="too-large") from error
    except Exception as error:  # decoders raise whatever they like
        raise PreprocError(f"expected an image, got: {first_line(error)}", name="unreadable-picture") from error


def _open(data: Data) -> IO[bytes]:
    return io.BytesIO(data) if isinstance(data, bytes) else Path(data).open("rb")


def _check_regular(path: str | Path) -> None:
    if not stat.S_ISREG(Path(path).stat().st_mode):
        what = "a folder" if Path(path).is_dir() else "something else of that name: a pipe, a socket or a device"
        raise PreprocError(f"expected a file, got {what}", name="unreadable-picture")


def _formats(begin: bytes) -> list[str]:
    """The only format that files with such a beginning can have, so that Pillow does not try some forty; where it has to, all that it
    reads itself."""
    return next(([name] for start, name in _STARTS.items() if begin.startswith(start)), None) or _own_formats()


@functools.cache
def _own_formats() -> list[str]:
    Image.init()
    return [name for name in Image.ID if name not in STUBS]


_STARTS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG"}


def _unsigned(image: Image.Image) -> Image.Image:
    """Grey levels of 16 bits that Pillow keeps in 32, as it does those of PGM files."""
    if image.mode != "I" or image.format != "PPM":
        return image
    return Image.fromarray(np.asarray(image).astype(np.uint16))


def _same_kind(image: Image.Image) -> Image.Image:
    """A frame of a GIF as Pillow makes those behind the first: in colours, for each frame may have a palette of its own."""
    if image.format != "GIF" or image.mode != "P":
        return image
    return image.convert("RGBA" if "transparency" in image.info else "RGB")
