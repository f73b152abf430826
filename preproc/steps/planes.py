"""Resizes and crops of Y, U and V before they are converted: each plane is a picture of its own, U and V a smaller one.

Y is resized to the size that the step says, U and V to as many samples as have the blocks of that size: half of it in both directions in
4:2:0, across in 4:2:2. All are whole levels, so each plane is resized as any grey picture of its size is, by the step's own filter, with
its roundings, between half-pixel centres: a block's U and V stand for the middle of it, before and behind, which is where "replicate" has
them. A crop keeps whole blocks. The conversion follows, of pixels that share U and V as those of the camera's picture do: first
convolutions with an even stride read the planes as they are here, see folding/cells.py, and for others each pixel gets its block's.

What is left is no resize of RGB. That would give each pixel its chroma first, convert, clip and round, and resize then; here chroma keeps
half the resolution of the resized picture, not of the original, and is clipped nowhere.
"""

from collections.abc import Iterable
from dataclasses import replace

from ..errors import PreprocError
from .blocks import check_blocks, check_crop
from .crops import CenterCrop
from .geometry import Geometry, Sides, known
from .pixels import FromPixels
from .resize import Resize
from .yuv import YUV

INSTEAD = 'write conversion = "rgb8", which converts first'
"""The way out."""


def check_moves(first: FromPixels, step: Geometry) -> None:
    """Raises PreprocError for a step that does not move planes: of a border nobody says which Y, U and V it has, and chroma between its
    samples would not be where it was, but for samples in the middle."""
    _of_planes(first, step)
    if first.chroma == "bilinear":
        raise PreprocError(
            f'expected chroma = "replicate" of {first.color} pixels whose planes are moved, got "bilinear", whose samples would have other '
            f'places then: write "replicate", or {INSTEAD.removeprefix("write ")}',
            name="step-order",
        )


def _of_planes(first: FromPixels, step: Geometry) -> Resize | CenterCrop:
    """The step, which moves planes. Raises PreprocError for others."""
    if not isinstance(step, (Resize, CenterCrop)):
        raise PreprocError(
            f"expected a resize or a crop of {first.color} pixels, whose planes are moved before a linear conversion, got {step.name}, "
            f"whose border has a grey level: {'leave it out' if first.of_luma else INSTEAD}",
            name="step-order",
        )
    return step


def chroma_moves(first: FromPixels, moves: Iterable[Geometry], size: Sides) -> tuple[Geometry, ...]:
    """What moves U and V, as many steps as `moves`, which move Y of a picture of that (height, width); () where they are not read.

    Raises PreprocError where a block would be cut, and where a side is free and that could be.
    """
    (rows, columns), found = YUV[first.color].block, list[Geometry]()
    for step in (_of_planes(first, each) for each in moves):
        if first.of_luma:
            continue
        both = known(size)
        if both is None and not (isinstance(step, Resize) and ((rows, columns) == (1, 1) or not isinstance(step.size, int))):
            raise PreprocError(
                f"{step.name}: expected pixels of a fixed size, or a resize to (height, width) in front, of {first.color} pixels, whose "
                f"planes it may neither cut in a block nor give a border, got a size that is free: {INSTEAD}",
                name="shape-unknown",
            )
        size = step.sides_behind(size)
        new = known(size)
        if new is None:
            found.append(step)
            continue
        if isinstance(step, CenterCrop) and both is not None:
            check_crop(step.name, *both, *new, rows, columns)
        else:
            check_blocks(step.name, *new, rows, columns)
        shared = new[0] // rows, new[1] // columns
        found.append(replace(step, size=shared, max_size=None) if isinstance(step, Resize) else replace(step, size=shared))
    return tuple(found)
