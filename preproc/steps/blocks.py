"""Sizes that leave the blocks whole whose pixels share a U and a V. In what TorchScript compiles: the layers ask the same of each picture.

name: the step's.  rows, columns: of pixels in a block.  All raise PreprocError.
"""

from ..errors import PreprocError


def check_blocks(name: str, height: int, width: int, rows: int, columns: int) -> None:
    """That a picture of this size is whole blocks."""
    if height % rows != 0 or width % columns != 0:
        down, across = max((height + rows // 2) // rows, 1) * rows, max((width + columns // 2) // columns, 1) * columns
        raise PreprocError(
            f"{name}: expected a height and a width that are multiples of {rows} and {columns}, whose pixels share a U and a V, got "
            f'{height}x{width}: write size = [{down}, {across}], or conversion = "rgb8", which converts first',
            name="shape-mismatch",
        )


def check_crop(name: str, old_height: int, old_width: int, height: int, width: int, rows: int, columns: int) -> None:
    """That the middle of this height and width of a picture of the old ones is whole blocks of it."""
    check_blocks(name, height, width, rows, columns)
    down, across = old_height - height, old_width - width
    if down < 0 or across < 0:
        raise PreprocError(
            f"{name}: expected pictures of at least {height}x{width} pixels, whose planes are cropped, got {old_height}x{old_width}, which "
            'would need a border: write conversion = "rgb8", which converts first',
            name="shape-mismatch",
        )
    if (rows > 1 and down % (2 * rows) != 0) or (columns > 1 and across % (2 * columns) != 0):
        raise PreprocError(
            f"{name}: expected to cut whole blocks of {rows}x{columns} pixels, which share a U and a V, off each side, got "
            f'{old_height}x{old_width} to crop to {height}x{width}: resize to another size in front, or write conversion = "rgb8", which '
            "converts first",
            name="shape-mismatch",
        )
