"""Pictures as a camera or a video decoder would give them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..sources import PixelsSpec
from ..steps import YUV, Size, to_rgb


def whole_blocks(size: Size, pixels: PixelsSpec) -> Size:
    """The largest size within this one that a picture of that colour can have."""
    rows, columns = YUV[pixels.color].block if pixels.color in YUV else (1, 1)
    return max(1, size[0] // rows) * rows, max(1, size[1] // columns) * columns


def packed(rgb: NDArray[Any], pixels: PixelsSpec) -> NDArray[np.uint8]:
    """Y, U and V of a picture (H, W, 3) of grey levels, as they lie in memory: U and V the means of the pixels that share them.

    Where nothing says what they stand for, they are bt601's in full range. Raises PreprocError for a size that the colour does not have.
    """
    known, (height, width) = YUV[pixels.color], rgb.shape[:2]
    shape = known.shape(pixels.layout, (height, width))
    affine = to_rgb(pixels.matrix or "bt601", pixels.range or "full")
    exact = np.linalg.solve(affine.matrix, (rgb.reshape(-1, 3) - affine.offset).T).reshape(3, height, width)
    rows, columns = known.block
    shared = exact[1:].reshape(2, height // rows, rows, width // columns, columns).mean(axis=(2, 4))
    levels = {name: np.clip(np.rint(plane), 0, 255).astype(np.uint8) for name, plane in zip("YUV", (exact[0], *shared), strict=True)}
    memory = []
    for letters in known.planes[pixels.layout]:
        own = {name: levels[name].reshape(levels[name].shape[0], -1, letters.count(name)) for name in letters}
        turns = {name: iter(np.moveaxis(values, 2, 0)) for name, values in own.items()}
        memory.append(np.stack([next(turns[name]) for name in letters], axis=-1).reshape(-1))
    return np.concatenate(memory).reshape(shape)
