"""A picture on its way to a model: read, compressed, brought to a size, laid out as the model's pixels."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...oracle import packed, reference
from ...sources import PixelsSpec
from ...steps import YUV, FromPixels, Resize
from ...verify import inputs
from .plan import FILTERS, Variant, fixed_size

Picture = NDArray[Any]


def read(path: Path, pixels: PixelsSpec) -> Picture:
    """(H, W, C) in the model's dtype and colour order, as large as it is. Raises PreprocError with the file's name."""
    return inputs.unscaled(path, pixels)


def sent(picture: Picture, variant: Variant) -> tuple[Picture, int]:
    """What a caller of the variant hands over of a picture that read() has read: (H, W, C), of the size that is taken; and how many bytes
    that are."""
    size = fixed_size(variant)
    if size is not None and picture.shape[:2] != size:
        picture = _resized(picture, size, variant.filter)
    if variant.camera is not None:
        return _through(picture, variant.pixels, *variant.camera)
    if variant.jpeg is None:
        return picture, picture.nbytes
    return _compressed(picture, variant.pixels, variant.jpeg)


def _resized(picture: Picture, size: tuple[int, int], word: str) -> Picture:
    """As Pillow does it, or as said; 16 bits as `verify --images` does."""
    if picture.dtype != np.uint8:
        return inputs.scaled(picture, size)
    import torch

    from ...layers import from_step

    step = Resize(size=size, **dict(FILTERS)[word])
    planes = torch.from_numpy(np.moveaxis(picture, 2, 0)[None].astype(np.float32))
    resized = from_step(step)(planes).numpy()[0]
    return np.ascontiguousarray(np.moveaxis(resized, 0, 2).astype(np.uint8))


def _through(picture: Picture, pixels: PixelsSpec, given: FromPixels, read_as: FromPixels) -> tuple[Picture, int]:
    """The colours as a camera gives them and the caller reads them. An odd side is repeated at its end, and cut off again."""
    places = [pixels.letters.index(letter) for letter in "RGB"]
    sides = [(0, -side % block) for side, block in zip(picture.shape[:2], YUV[given.color].block, strict=True)]
    camera = packed(np.pad(picture[..., places], (*sides, (0, 0)), mode="edge"), given)
    colors = reference.apply([read_as], camera[None])[0, :, : picture.shape[0], : picture.shape[1]]
    made = picture.copy()
    made[..., places] = np.moveaxis(colors, 0, 2)
    return made, camera.nbytes


def _compressed(picture: Picture, pixels: PixelsSpec, quality: int) -> tuple[Picture, int]:
    """The colours through a JPEG file; an alpha channel is not in it."""
    letters = pixels.letters
    places = [letters.index(letter) for letter in "RGB"] if "R" in letters else [letters.index("Y")]
    colors = picture[..., places] if len(places) == 3 else picture[..., places[0]]
    file = io.BytesIO()
    Image.fromarray(colors).save(file, "JPEG", quality=quality)
    size = file.tell()
    with Image.open(file) as image:
        decoded = np.asarray(image).reshape(*picture.shape[:2], len(places))
    made = picture.copy()
    made[..., places] = decoded
    return made, size
