"""Whole numbers and checks of sizes that hold for recorded graphs as well."""

import torch
from torch import Tensor
from torch.jit import is_scripting, is_tracing  # type: ignore[attr-defined]

from .. import steps
from ..errors import PreprocError


def check_sides(x: Tensor, height: int, width: int) -> None:
    """Where sizes are numbers. A recorded graph has what follows from the sizes that it meets."""
    if is_scripting() or not recorded():
        if x.shape[2] == 0 or x.shape[3] == 0:
            raise PreprocError(f"expected pictures with pixels, got {x.shape[2]}x{x.shape[3]}", name="no-pixels-left")
        if height == 0 or width == 0:
            raise PreprocError(
                f"expected pictures of a ratio that leaves pixels, got {x.shape[2]}x{x.shape[3]} for {height}x{width}",
                name="no-pixels-left",
            )


def check_blocks(name: str, height: int, width: int, rows: int, columns: int) -> None:
    """Where sizes are numbers, as steps.chroma_moves() does. name: the step's."""
    if is_scripting() or not recorded():
        steps.check_blocks(name, height, width, rows, columns)


def check_crop(name: str, x: Tensor, height: int, width: int, rows: int, columns: int) -> None:
    """Of x to this size, where sizes are numbers, as steps.chroma_moves() does."""
    if is_scripting() or not recorded():
        steps.check_crop(name, x.shape[2], x.shape[3], height, width, rows, columns)


def recorded() -> bool:
    """Whether this runs once, to be recorded for other sizes."""
    return bool(is_tracing() or torch.compiler.is_compiling())


def vertical_first(height: int, width: int, new_height: int, new_width: int) -> bool:
    """Whether Pillow begins with the rows, from 13.0 on."""
    return height > new_height and height - new_height > 2 * (width - new_width)


def least(a: int, b: int) -> int:
    return (a + b - abs(a - b)) // 2


def over(a: int) -> int:
    """max(a, 0)"""
    return (a + abs(a)) // 2
