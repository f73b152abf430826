"""Values that are added to each other."""

import hashlib
from dataclasses import replace

import numpy as np

from ..errors import NotFoldableError
from .slots import Slots
from .tracked import Tracked


def added(one: Tracked, other: Tracked, sign: float = 1.0) -> Tracked:
    """one + sign * other, number by number, each a sum of numbers of the same channel.

    Of the same pixel that is another scale. Of several it is f(x), linear, whatever its weights sum to: as a mean with zeros. Raises
    NotFoldableError for a sum over channels: what scales each of them in another way is lost there, and no weight behind can tell.
    """
    rank = max(one.rank, other.rank)
    one, other = (each.reshape((1,) * (rank - each.rank) + each.shape) for each in (one, other))
    try:
        shape = np.broadcast_shapes(one.shape, other.shape)
    except ValueError as error:
        raise NotFoldableError(
            f"values of the shapes {one.shape} and {other.shape} are added to each other", name="fold-untraceable"
        ) from error
    one, other = one.expanded(shape), other.expanded(shape).times(sign)
    sides = np.broadcast_shapes(one.places.shape, other.places.shape)
    parts = [each.slots.take(np.broadcast_to(each.places, sides).reshape(-1)) for each in (one, other)]
    left, right = parts
    if (left.channel != right.channel).any():
        raise NotFoldableError(
            "the channels of the picture are added to each other before the first convolution, with weights that are no layer's",
            name="fold-not-affine",
        )
    offset = left.offset + right.offset
    same = one.moves == other.moves and (left.phase == right.phase).all()
    if not same and any(np.ptp(part.scale) for part in parts):
        raise NotFoldableError(
            "pixels of the picture are added to each other before the first convolution, of each channel in another way",
            name="fold-not-affine",
        )
    for part in parts:
        part.check_invertible()
    borders, ordered = [part.unscaled(part.borders) for part in parts], max(one.ordered, other.ordered)
    places = np.arange(len(offset)).reshape(sides)
    if same:
        scale = left.scale + right.scale
        slots = Slots(left.channel, left.phase, scale, offset, np.concatenate(borders) * scale + offset)
        return replace(one, slots=slots, places=places, ordered=ordered)
    _, phase = np.unique(np.stack([left.phase, right.phase]), axis=1, return_inverse=True)
    rows = np.concatenate([*borders, np.zeros((1, len(offset)))]) + offset
    slots = Slots(left.channel, phase.reshape(-1).astype(np.int64), np.ones(len(offset)), offset, rows)
    told = repr((one.moves, other.moves, left.scale[0], right.scale[0])).encode()
    return replace(one, slots=slots, places=places, moves=(("added", hashlib.sha256(told).hexdigest()),), ordered=ordered)
