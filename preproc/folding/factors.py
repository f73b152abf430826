"""A reshape as splits and merges of axes."""

from collections.abc import Sequence
from typing import NamedTuple


class Factor(NamedTuple):
    """Part of an old and of a new axis. old: None where several old axes are mixed up in several new ones."""

    size: int
    old: int | None
    new: int


def factors(old: Sequence[int], new: Sequence[int], *, mixable: Sequence[bool]) -> list[Factor] | None:
    """Sizes, from the outermost to the innermost, such that each side of both shapes is a product of neighbours; sides of one have none.

    (4, 6) to (2, 12) is 2, 2, 6. (4, 6) to (6, 4) has no such sizes: then the new axes get factors without an old one, which needs old
    axes that are `mixable`; None where they are not. Both shapes hold equally many numbers.
    """
    found = list[Factor]()
    sides = [[(axis, side) for axis, side in enumerate(shape) if side > 1] for shape in (old, new)]
    while sides[0]:
        (one, size), (other, wanted) = sides[0].pop(0), sides[1].pop(0)
        least, most = sorted((size, wanted))
        if most % least == 0:
            found.append(Factor(least, one, other))
            if size > least:
                sides[0].insert(0, (one, size // least))
            elif wanted > least:
                sides[1].insert(0, (other, wanted // least))
            continue
        mixed, made, total = [one], [(other, wanted)], [size, wanted]
        while total[0] != total[1]:
            turn = int(total[1] < total[0])
            axis, side = sides[turn].pop(0)
            total[turn] *= side
            if turn:
                made.append((axis, side))
            else:
                mixed.append(axis)
        if not all(mixable[axis] for axis in mixed):
            return None
        found += [Factor(side, None, axis) for axis, side in made]
    return found
