"""What a walk through a graph meets, and the first linear operations that it finds: what a fold has to know of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NotFoldableError, PreprocError
from ..steps import Affine
from .cells import Window
from .slots import Slots
from .tracked import Tracked


@dataclass(frozen=True, eq=False)
class Reader:
    """A convolution, or a product with a matrix, that reads the tracked input.

    weight, bias: their names in the model, bias None if it has none.  takes_bias: whether one can be given to it.
    slots: what stands along the axis that it sums over.
    channels: the picture's.  moves: as Tracked's.  order: as Tracked's, in one text; of several pixels side by side with the slots' digest.
    direct: whether nothing on the way reads how many channels there are.  turned: whether the weight is (in, out / groups, *kernel), not
    (out, in / groups, *kernel).
    ordered: as Tracked's.  window: how a convolution reads the picture's own rows and columns; None for what reads others.
    """

    weight: str
    bias: str | None
    groups: int
    slots: Slots
    channels: int
    moves: tuple[Any, ...] = ()
    order: str = "NCHW"
    takes_bias: bool = True
    direct: bool = True
    turned: bool = False
    ordered: int = 0
    window: Window | None = None

    @staticmethod
    def of(
        tracked: Tracked,
        *,
        weight: str,
        bias: str | None,
        channels: int,
        axis: int = 1,
        groups: int = 1,
        pads_zero: bool = False,
        takes_bias: bool = True,
        turned: bool = False,
        window: Window | None = None,
    ) -> "Reader":
        """axis: that it sums over.  window: how it reads rows and columns, those of whatever is tracked."""
        own = window if _is_picture(tracked) else None
        for other in range(tracked.rank):
            tracked = tracked if other == axis else tracked.gathered(other)
            if other != axis and tracked.places.shape[other] > 1:
                raise NotFoldableError(f"the first convolution does not read the channels on axis {axis}", name="fold-moved-pixels")
        read = (tracked.holding(0.0) if pads_zero else tracked).spread(axis)
        order = ("" if all(len(letter) == 1 for letter in read.order) else " ").join(read.order)
        slots = read.slots.take(read.places.reshape(-1))
        order = f"{order}, {slots.digest}" if slots.phase.any() else order
        return Reader(weight, bias, groups, slots, channels, read.moves, order, takes_bias, turned=turned, ordered=read.ordered, window=own)

    @property
    def pads(self) -> tuple[float, ...]:
        """The constants in its borders."""
        borders = self.slots.borders
        return tuple(np.unique(borders[np.isfinite(borders)]).tolist())

    def arranged(self, weight: NDArray[Any]) -> NDArray[Any]:
        """As the model has it, (out, in / groups, *kernel); and back."""
        if not self.turned:
            return weight
        groups = weight.reshape(self.groups, -1, *weight.shape[1:]).swapaxes(1, 2)
        return np.ascontiguousarray(groups.reshape(-1, *groups.shape[2:]))

    def fixed(self, slots: Slots) -> NDArray[np.float64]:
        """(K, J): what means the same behind the fold as before: the borders, and 0 where there is no place for a bias. slots: its own, or
        those behind the fold."""
        return slots.borders if self.takes_bias else np.concatenate([slots.borders, np.zeros((1, len(slots)))])


def _is_picture(tracked: Tracked) -> bool:
    """Whether it is the picture itself, (N, C, H, W), as it came."""
    slots, own = tracked.slots, Slots.of_channels(len(tracked.slots))
    same = all(np.array_equal(getattr(slots, name), getattr(own, name)) for name in ("channel", "phase", "scale", "offset"))
    in_order = tracked.order == tuple("NCHW") and np.array_equal(tracked.places.reshape(-1), own.channel)
    return same and in_order and not tracked.moves and not tracked.ordered and not len(slots.borders)


class Trail:
    """What a walk through a graph meets. tracked: values that are the picture's numbers, by the graph's own objects.
    refusals: why no fold can follow."""

    def __init__(self) -> None:
        self.tracked: dict[Any, Any] = {}
        self.readers: list[Reader] = []
        self.refusals: list[NotFoldableError] = []

    @staticmethod
    def no_convolution(what: str) -> NotFoldableError:
        return NotFoldableError(f"{what} reads the input, which is not a convolution", name="fold-not-convolution")

    def refuse(self, error: PreprocError, where: str) -> None:
        """where: names the node, unless the message does; empty: nowhere in particular."""
        told = str(error) if not where or where in str(error) else f"{error} ({where})"
        self.refusals.append(NotFoldableError(told, name=error.name))

    def check(self) -> None:
        """Raises the first refusal, or that there is nothing to fold into."""
        if self.refusals:
            raise self.refusals[0]
        if not self.readers:
            raise NotFoldableError("no convolution reads the input", name="fold-not-convolution")


def common_through(readers: Sequence[Reader]) -> Affine | None:
    """The one channel map in front of all readers, None for the identity. Raises NotFoldableError if they have different ones."""
    found = [reader.slots.through(reader.channels) for reader in readers]
    first = found[0]
    if first is None:
        raise NotFoldableError("the pixels that are put side by side are not all mapped alike", name="fold-several-readers")
    if any(other is None or not first.close_to(other, tolerance=0) for other in found):
        raise NotFoldableError("several convolutions read the input, each through another channel map", name="fold-several-readers")
    return None if first.is_identity else first
