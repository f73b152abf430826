"""Which sizes of pixels are verified."""

from collections.abc import Iterable, Iterator

from ..sources import Recipe
from ..steps import Geometry, Resize, Size, known, output_size
from .video import whole_blocks

SIZES = ((96, 128), (160, 112))
"""Where height and width are free: the two sizes, one of each orientation, that are verified; see candidates() for resizes."""
MULTIPLES = (64, 128, 224)
"""Of which both sides are, in the sizes that are tried where a network does not take SIZES: for those that halve their picture up to six
times and add the halves up again, that need large ones, or whose patches have 14 pixels."""


def sizes_of(recipe: Recipe) -> list[Size]:
    """(height, width) of the pixels that are verified: the one that the recipe names, those that it says, or the first candidates."""
    size = known(recipe.pixels.size)
    return [size] if size is not None else list(recipe.export.verify_sizes) or next(candidates(recipe))


def candidates(recipe: Recipe) -> Iterator[list[Size]]:
    """What to verify with where a side is free, the usual sizes first: one of each orientation. In front of a resize also one that is
    enlarged; the first is shrunk, the tall one so tall that the passes change places."""
    moving = [step for step in recipe.steps if isinstance(step, Geometry)]
    yield _fixed(recipe, _around(recipe, moving) if moving else SIZES)
    if known(recipe.ready_size) is None:
        yield from (_fixed(recipe, ((side, 2 * side), (2 * side, side))) for side in MULTIPLES)


def _around(recipe: Recipe, moving: list[Geometry]) -> list[Size]:
    height, width = known(recipe.ready_size) or output_size(moving, SIZES[0])
    sizes = [(3 * height // 2 + 1, 2 * width + 3), (4 * height + 5, 4 * width // 3), (height // 2 + 1, width // 2 + 7)]
    for step in moving:
        if isinstance(step, Resize) and isinstance(step.size, int) and step.max_size is not None:
            sizes.append((step.size // 2 + 1, step.max_size + step.size // 2 + 9))  # so wide that max_size holds
    return sizes


def _fixed(recipe: Recipe, sizes: Iterable[Size]) -> list[Size]:
    """The sizes with the sides that the pixels have, of whole blocks, each once."""
    height, width = recipe.pixels.size
    return list(dict.fromkeys(whole_blocks((height or high, width or wide), recipe.pixels) for high, wide in sizes))


def ready_size_of(recipe: Recipe) -> Size:
    """(height, width) of what the backbone gets of the first size that is verified."""
    return output_size(recipe.steps, sizes_of(recipe)[0])
