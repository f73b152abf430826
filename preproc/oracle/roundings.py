"""Where an ONNX file may round a resize in the fast form otherwise than Pillow does: how many values, how far, and such a picture."""

import functools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..steps import Geometry, Letterbox, Resampling, Step


def is_fast(front: Sequence[Step]) -> bool:
    """Whether an ONNX file may round a resize otherwise than Pillow."""
    return any(isinstance(step, Resampling) and step.smooth and step.rounds and step.form == "fast" for step in front)


def rounded_otherwise(sequence: Sequence[Step], size: tuple[int, int]) -> tuple[float, int]:
    """The share of a resized picture's values that the fast form may have off, and by how many levels: one level on 1 %, or two on 3 % of a
    picture that is enlarged; and about half of what falls on a half of a level, which Pillow's weights of 22 bits round by their last bit.

    size: (height, width) of the picture.
    """
    share, most = 0.01, 1
    for step in sequence:
        if not isinstance(step, Geometry):
            continue
        if isinstance(step, Resampling) and is_fast([step]):
            new = step.inner_size(size) if isinstance(step, Letterbox) else step.output_size(size)
            if math.prod(new) > math.prod(size):
                share, most = share + 0.02, 2
            if step.interpolation == "bilinear":
                share += 0.6 * sum(halves(one, other) for one, other in zip(size, new, strict=True))
        size = step.output_size(size)
    return share, most


@functools.cache
def halves(old: int, new: int) -> float:
    """The share of a line's values that an antialiased bilinear resize from `old` to `new` makes a whole number and a half of, if those it
    reads are whole numbers at random: 1 / d where the weights are multiples of 1 / d, and d is even. Where it is a power of two, the
    weights have no more than 22 bits, and nothing is in doubt."""
    p, q = old // math.gcd(old, new), new // math.gcd(old, new)
    reach, found = max(p, q), list[float]()
    for row in range(min(q, 256)):  # then they repeat; 256 are a fair sample
        center = (2 * row + 1) * p
        near = range((center - 2 * reach) // (2 * q) - 1, (center + 2 * reach) // (2 * q) + 2)
        weights = [max(0, 2 * reach - abs((2 * at + 1) * q - center)) for at in near]
        whole = sum(weights) // math.gcd(*weights)
        found.append(0.0 if whole % 2 or not whole & (whole - 1) else 1 / whole)
    return sum(found) / len(found) if old != new else 0.0


def drawn(levels: NDArray[np.float64], share: float, most: int) -> Iterator[NDArray[np.float64]]:
    """The resized picture with `share` of its values off by `most` levels, and eight more, which are few but where a picture is small; once
    in both directions, once all in one."""
    rng = np.random.default_rng(23)
    off = (rng.random(levels.shape) < share + 8 / levels.size) * most
    for sign in (rng.choice((-1, 1), levels.shape), 1):
        yield np.clip(levels + off * sign, 0, 255)
