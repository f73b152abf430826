"""Values that are put together again."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NotFoldableError
from .slots import Slots
from .tracked import MOST, Tracked, shortened, told


def concatenate(parts: Sequence[Tracked], axis: int) -> Tracked:
    """Put together again: channels, or the pixels of several moves side by side."""
    first, ordered = parts[0], max(part.ordered for part in parts)
    shapes = [part.shape[:axis] + part.shape[axis + 1 :] for part in parts]
    if any(shape != shapes[0] for shape in shapes) or any(part.rank != first.rank for part in parts):
        raise NotFoldableError(
            f"values of the shapes {', '.join(str(part.shape) for part in parts)} are put together", name="fold-untraceable"
        )
    shape = (*first.shape[:axis], sum(part.shape[axis] for part in parts), *first.shape[axis + 1 :])
    letters = zip(*(part.order for part in parts), strict=True)
    order = tuple(each[0] if len(set(each)) == 1 else shortened("|".join(each)) for each in letters)
    if all(_same(part, first) and part.is_plain(axis) for part in parts):  # more of the same channels
        moves = _joined([(axis, part.moves, part.shape[axis]) for part in parts])
        slots = first.slots.beside(np.concatenate([part.slots.borders for part in parts]))
        return replace(first, shape=shape, slots=slots, order=order, moves=moves, ordered=ordered)
    for at in range(first.rank):
        if at == axis or not all(part.is_plain(at) for part in parts):
            parts = [part.spread(at) for part in parts]
    if sum(len(part.slots) for part in parts) > MOST:
        raise NotFoldableError(f"parts of the picture are put together to {told(shape)}", name="fold-moved-pixels")
    ways = list(dict.fromkeys(part.moves for part in parts))
    tops = {way: max(int(part.slots.phase.max()) + 1 for part in parts if part.moves == way) for way in ways}
    starts = dict(zip(ways, np.cumsum([0, *tops.values()]).tolist(), strict=False))
    sides = np.broadcast_shapes(*(part.places[(slice(None),) * axis + (slice(1),)].shape for part in parts))
    rows, places = 0, list[NDArray[np.int64]]()
    for part in parts:
        whole = (*sides[:axis], part.shape[axis], *sides[axis + 1 :])
        places.append(np.broadcast_to(part.places, whole) + rows)
        rows += len(part.slots)
    slots = Slots.joined([replace(part.slots, phase=part.slots.phase + starts[part.moves]) for part in parts])
    moves = parts[0].moves if len(ways) == 1 else _joined(ways)
    return replace(first, shape=shape, slots=slots, places=np.concatenate(places, axis), order=order, moves=moves, ordered=ordered)


def _joined(ways: Sequence[Any]) -> tuple[Any, ...]:
    """Of what was done to each part, a digest: parts of parts of parts would be told without end."""
    return (("joined", hashlib.sha256(repr(ways).encode()).hexdigest()),)


def _same(one: Tracked, other: Tracked) -> bool:
    pairs = [(getattr(one.slots, name), getattr(other.slots, name)) for name in ("channel", "phase", "scale", "offset")]
    return all(np.array_equal(*pair) for pair in [*pairs, (one.places, other.places)])
