"""Whether Pillow reads a picture whole: every page, and every bit of its pixels. What it cuts, scales or leaves out is refused."""

import contextlib
import json
import math
import struct
from typing import Any

from PIL import Image

from ...errors import PreprocError

INSTEAD = "save it as .npy, (H, W, C)"
"""What mends a picture that Pillow does not read whole."""
_DESCRIPTION, _BITS, _SAMPLES, _SAMPLE_FORMAT = 270, 258, 277, 339
"""Tags of TIFF."""


def check_whole(image: Any) -> None:
    """Raises PreprocError for a page whose pixels Pillow cuts, scales or leaves out, as its own tables tell."""
    tags = image.tag_v2 if image.format == "TIFF" else {}
    for tile in image.tile:
        settings = tile[3] if isinstance(tile[3], tuple) and tile[3] else (tile[3],)
        deep = tile[0] == "SGI16" or (";16" in str(settings[0]) and settings[0] != "BGR;16")  # which has 16 bits for all three
        deep |= max(tags.get(_BITS, (8,))) > 8  # planes of their own have no such name
        if deep and not image.mode.startswith(("I", "F")):
            raise _lossy(f"pixels that Pillow can read whole, got {image.mode} in 16 bits, which it cuts to 8")
        if tile[0] == "libtiff" and settings[0] == "F;32BF":
            raise _lossy("floats that Pillow reads, got compressed big-endian ones, which it mixes up")
        if tile[0] in ("ppm", "ppm_plain") and image.mode != "1" and settings[-1] != (65535 if image.mode == "I" else 255):
            raise _lossy(f"pixels that Pillow reads as they are, got {image.mode} up to {settings[-1]}, which it scales")
    samples = tags.get(_SAMPLES, 1)
    if 2 in tags.get(_SAMPLE_FORMAT, ()):
        raise _lossy("grey levels from 0 on, got integers with a sign")
    if samples > len(image.getbands()):
        raise _lossy(f"pixels that Pillow can read whole, got {samples} channels, of which it keeps {image.mode}")


def check_depth(image: Image.Image, file: Any) -> None:
    """Raises PreprocError where Pillow scales the values of a format whose depth it does not tell."""
    if image.format not in ("JPEG2000", "AVIF"):
        return
    position = file.tell()
    file.seek(0)
    depths = (_of_jpeg2000 if image.format == "JPEG2000" else _of_avif)(file.read())
    file.seek(position)
    if any(depth not in (8, 16 if image.mode.startswith("I;16") else 8) for depth in depths):
        raise _lossy(f"pixels of 8 bits, got {max(depths)} in {image.format}, which Pillow scales")


def _of_jpeg2000(data: bytes) -> list[int]:
    """The bits of each component: Ssiz behind the markers SOC and SIZ (ISO 15444-1, A.5.1)."""
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0:
        return []
    (components,) = struct.unpack_from(">H", data, start + 40)
    return [(data[start + 42 + 3 * number] & 0x7F) + 1 for number in range(components)]


def _of_avif(data: bytes) -> list[int]:
    """The bits of each channel: the box `pixi` (ISO 23008-12, 6.5.6)."""
    start = data.find(b"pixi")
    return list(data[start + 9 : start + 9 + data[start + 8]]) if start >= 0 else []


def check_pages(image: Any, count: int) -> None:
    """Raises PreprocError for a TIFF file with pages that Pillow cannot see. count: of those that it sees."""
    promised = _promised(str(image.tag_v2.get(_DESCRIPTION, "")), image.width * image.height * image.tag_v2.get(_SAMPLES, 1))
    if promised > count:
        raise _lossy(f"{promised} pages, as its description says, got {count} that Pillow sees")


def _lossy(expected: str) -> PreprocError:
    return PreprocError(f"expected {expected}: {INSTEAD}", name="lossy-decoding")


def _promised(description: str, values: int) -> int:
    """How many pictures of so many values a TIFF file has by its description, which ImageJ ("images=7") and tifffile
    ({"shape": [7, 20, 30]}) write: of a large stack they may write the first page only, and all pixels behind it."""
    lines = description.splitlines()
    known = [line.removeprefix("images=") for line in lines if line.startswith("images=")]
    if known and lines[0].startswith("ImageJ=") and known[0].isdecimal():
        return int(known[0])
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return math.prod(map(int, json.loads(description)["shape"])) // values
    return 1
