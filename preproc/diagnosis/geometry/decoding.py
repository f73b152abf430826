"""A picture as libraries decode it, and as its EXIF tags turn it."""

import functools
import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PreprocError
from ...host.decoding import ImageFile, orientation

Picture = NDArray[Any]
"""(H, W, 3) uint8 RGB"""
TURNS: dict[str, Callable[[Picture], Picture]] = {
    "as stored": lambda picture: picture,
    "mirrored": lambda picture: picture[:, ::-1],
    "turned by 180 degrees": lambda picture: picture[::-1, ::-1],
    "turned upside down, mirrored": lambda picture: picture[::-1],
    "transposed": lambda picture: picture.swapaxes(0, 1),
    "turned by 90 degrees clockwise": lambda picture: np.rot90(picture, -1),
    "transposed along the other diagonal": lambda picture: picture[::-1, ::-1].swapaxes(0, 1),
    "turned by 90 degrees counterclockwise": np.rot90,
}
"""In the order of EXIF orientations, from 1 on: how a picture of that tag is turned upright. And "upright", as the tags say."""


@dataclass(frozen=True, eq=False)
class Source:
    """One picture, decoded once for each decoder and turn. what: its file, or (H, W, 3) uint8 RGB."""

    what: Path | Picture

    @functools.cached_property
    def turned(self) -> int:
        """The EXIF orientation; 1 where there is none, and for arrays."""
        if not isinstance(self.what, Path):
            return 1
        with ImageFile(self.what, frames="first") as file:
            return orientation(file.image)

    @functools.cached_property
    def is_jpeg(self) -> bool:
        if not isinstance(self.what, Path):
            return False
        with ImageFile(self.what, frames="first") as file:
            return file.image.format in ("JPEG", "MPO")

    @functools.cached_property
    def is_grey(self) -> bool:
        """Whether its channels are equal."""
        picture = self.picture()
        return bool((picture == picture[..., :1]).all())

    @functools.cached_property
    def _kept(self) -> dict[tuple[str, str], Picture]:
        return {}

    def picture(self, decoder: str = "Pillow", turn: str = "as stored") -> Picture:
        """(H, W, 3) uint8 RGB. decoder: one of DECODERS; turn: of TURNS, or "upright". Raises PreprocError."""
        found = self._kept.get((decoder, turn))
        if found is None:
            found = self._kept[decoder, turn] = np.ascontiguousarray(self._made(decoder, turn))
        return found

    def _made(self, decoder: str, turn: str) -> Picture:
        if turn == "upright":
            turn = list(TURNS)[self.turned - 1]
        if not isinstance(self.what, Path):
            return TURNS[turn](self.what)
        if decoder != "Pillow" and not self.is_jpeg:
            return self.picture(turn=turn)
        return TURNS[turn](decode(self.what, decoder) if turn == "as stored" else self.picture(decoder))


def decode(path: Path, decoder: str = "Pillow") -> Picture:
    """(H, W, 3) uint8 RGB, as stored. Raises PreprocError for what cannot be read, and for pictures of more than 8 bits."""
    return DECODERS[decoder](path)


def _pillow(path: Path) -> Picture:
    with ImageFile(path, frames="first") as file:
        image = file.read(file.numbers[0])
        if image.mode.startswith(("I", "F")):
            raise PreprocError(f"expected a picture of 8 bits, got Pillow's mode {image.mode}", name="picture-unfit")
        return np.asarray(image.convert("RGB"))


def _opencv(path: Path) -> Picture:
    cv2: Any = importlib.import_module("cv2")
    found = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if found is None:
        raise PreprocError("expected a picture that OpenCV decodes, got none", name="unreadable-picture")
    return np.ascontiguousarray(found[..., ::-1])


def _torchvision(path: Path) -> Picture:
    from torchvision import io

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # from 0.29 on it says that it will be removed
            return np.asarray(io.decode_image(io.read_file(str(path)), io.ImageReadMode.RGB).permute(1, 2, 0).numpy())
    except (RuntimeError, AttributeError) as error:
        raise PreprocError("expected a picture that torchvision decodes, got none", name="unreadable-picture") from error


DECODERS: dict[str, Callable[[Path], Picture]] = {"Pillow": _pillow, "OpenCV": _opencv, "torchvision": _torchvision}
"""What decodes. Of pictures that are no JPEG they agree."""
