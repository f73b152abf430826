"""Which sizes of pixels are verified."""

from ..sources import Recipe
from ..steps import Geometry, Resize, output_size

SIZES = ((96, 128), (160, 112))
"""Where height and width are dynamic: the two sizes, one of each orientation, that are verified; see sizes_of() for resizes."""


def sizes_of(recipe: Recipe) -> list[tuple[int, int]]:
    """(height, width) of the pixels that are verified: the one that the recipe names, or where it is dynamic one of each orientation;
    in front of a resize also one that is enlarged; the first is shrunk, the tall one so tall that the passes change places."""
    if recipe.pixels.size is not None:
        return [recipe.pixels.size]
    moving = [step for step in recipe.steps if isinstance(step, Geometry)]
    if not moving:
        return list(SIZES)
    height, width = recipe.ready_size or output_size(moving, SIZES[0]) or SIZES[0]
    sizes = [(3 * height // 2 + 1, 2 * width + 3), (4 * height + 5, 4 * width // 3), (height // 2 + 1, width // 2 + 7)]
    for step in moving:
        if isinstance(step, Resize) and isinstance(step.size, int) and step.max_size is not None:
            sizes.append((step.size // 2 + 1, step.max_size + step.size // 2 + 9))  # so wide that max_size holds
    return sizes


def ready_size_of(recipe: Recipe) -> tuple[int, int]:
    """(height, width) of what the backbone gets of the first size that is verified."""
    size = output_size(recipe.steps, sizes_of(recipe)[0])
    assert size is not None
    return size
