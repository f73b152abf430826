"""Following the input's channels through a graph: what both folds know of a value between the input and the first convolution.

The torch and the ONNX fold each translate their own operators into these few. Whatever is not here is not a map on channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NotFoldableError
from ..steps import Affine
from .arithmetic import FoldPlan, plan_fold


@dataclass(frozen=True, eq=False)
class Tracked:
    """A value that is an affine map of the input's channels, position by position.

    map: from the input's channels to this value's.  axis: where its channels are, or None for one channel whose axis is gone.
    rank: how many dimensions it has.  pad: the constant that was padded around it, or None.
    direct: whether nothing on the way counts on the number of channels.
    order: the picture's axes as they stand now.
    """

    map: Affine
    axis: int | None = 1
    rank: int = 4
    pad: float | None = None
    direct: bool = True
    order: str = "NCHW"

    @property
    def is_input(self) -> bool:
        """Whether the channels are still the input's own."""
        return self.map.is_identity

    def take(self, axis: int, rows: Sequence[int]) -> "Tracked":
        """Slicing or gathering: only channels may be left out."""
        if axis != self.axis:
            raise NotFoldableError("the picture is cut before the first convolution", name="fold-moved-pixels")
        rows = list(rows)
        return replace(self, map=Affine(self.map.matrix[rows], self.map.offset[rows]), direct=False)

    def select(self, axis: int, index: int) -> "Tracked":
        """One channel, its axis dropped."""
        return replace(self.take(axis, [index]), axis=None, rank=self.rank - 1, order=self.order.replace("C", ""))

    def unsqueeze(self, axis: int) -> "Tracked":
        """A new axis of one: that of channels where they have none, else that of the batch, which one picture may lack."""
        if self.axis is not None and ("N" in self.order or axis > 0):
            raise NotFoldableError("the picture gets another dimension before the first convolution", name="fold-moved-pixels")
        if self.axis is not None:
            return replace(self, axis=self.axis + 1, rank=self.rank + 1, order=f"N{self.order}")
        return replace(self, axis=axis, rank=self.rank + 1, order=f"{self.order[:axis]}C{self.order[axis:]}")

    def squeeze(self, axis: int) -> "Tracked":
        """An axis of one goes: that of the batch."""
        if self.axis is None or axis != 0 or self.order[:1] != "N":
            raise NotFoldableError("the picture loses a dimension before the first convolution", name="fold-moved-pixels")
        return replace(self, axis=self.axis - 1, rank=self.rank - 1, order=self.order[1:])

    def permute(self, order: Sequence[int]) -> "Tracked":
        moved = "".join(self.order[axis] for axis in order) if len(order) == len(self.order) else self.order
        return replace(self, axis=None if self.axis is None else list(order).index(self.axis), order=moved)

    def then(self, scale: NDArray[Any] | float, offset: NDArray[Any] | float) -> "Tracked":
        """x * scale + offset, with constants of any shape that broadcasts along the channels only."""
        if self.pad is not None:
            raise NotFoldableError("the picture is padded before its values are re-mapped", name="fold-padding")
        channels = self.map.channels_out
        diagonal = Affine.diagonal(self._per_channel(scale, channels), self._per_channel(offset, channels))
        return replace(self, map=self.map.then(diagonal), direct=False)

    def times(self, constant: Any) -> "Tracked":
        return self.then(constant, 0.0)

    def plus(self, constant: Any) -> "Tracked":
        return self.then(1.0, constant)

    def minus(self, constant: Any) -> "Tracked":
        return self.then(1.0, -constant)

    def taken_from(self, constant: Any) -> "Tracked":
        return self.then(-1.0, constant)

    def over(self, constant: Any) -> "Tracked":
        return self.then(1.0 / constant, 0.0)

    def batch_norm(self, *, scale: Any, bias: Any, mean: Any, variance: Any, epsilon: float) -> "Tracked":
        """Inference's BatchNorm: (x - mean) / sqrt(variance + epsilon) * scale + bias, arrays of one number per channel."""
        factor = np.asarray(scale, np.float64) / np.sqrt(np.asarray(variance, np.float64) + epsilon)
        shape = [-1 if axis == self.axis else 1 for axis in range(self.rank)]
        offset = np.asarray(bias, np.float64) - np.asarray(mean, np.float64) * factor
        return self.then(factor.reshape(shape), offset.reshape(shape))

    def padded(self, value: float) -> "Tracked":
        if self.pad not in (None, value):
            raise NotFoldableError(
                f"the picture is padded twice before the first convolution, with {self.pad} and {value}", name="fold-padding"
            )
        return replace(self, pad=float(value))

    def _per_channel(self, constant: NDArray[Any] | float, channels: int) -> NDArray[np.float64]:
        values = np.asarray(constant, np.float64)
        shape = (1,) * (self.rank - values.ndim) + values.shape
        allowed = [channels if axis == self.axis else 1 for axis in range(self.rank)]
        if len(shape) != self.rank or any(side not in (1, most) for side, most in zip(shape, allowed, strict=True)):
            raise NotFoldableError(
                f"the input is combined with a constant of shape {values.shape}, which is not one number per channel",
                name="fold-not-affine",
            )
        return np.broadcast_to(values.reshape(-1), channels)


def concatenate(parts: Sequence[Tracked], axis: int) -> Tracked:
    """Channels put together again."""
    first = parts[0]
    if any((part.axis, part.rank, part.pad) != (axis, first.rank, first.pad) for part in parts):
        raise NotFoldableError(
            "the picture is put together from parts before the first convolution, not channel by channel", name="fold-moved-pixels"
        )
    stacked = Affine(np.concatenate([part.map.matrix for part in parts]), np.concatenate([part.map.offset for part in parts]))
    return replace(first, map=stacked, direct=False)


@dataclass(frozen=True)
class Reader:
    """A convolution that reads the tracked input.

    weight, bias: their names in the model, bias None if it has none.  pad: the constant in its padding, or None.
    through: the channel map between the backbone's input and it, or None.  direct, order: as Tracked's.
    """

    weight: str
    bias: str | None
    groups: int
    pad: float | None
    through: Affine | None
    direct: bool = True
    order: str = "NCHW"

    @staticmethod
    def of(tracked: Tracked, *, weight: str, bias: str | None, groups: int, pads_zero: bool) -> "Reader":
        if tracked.axis != 1 or tracked.rank not in (4, 5):
            raise NotFoldableError("the first convolution does not read the channels on axis 1", name="fold-not-affine")
        if pads_zero:
            tracked = tracked.padded(0.0)
        return Reader(weight, bias, groups, tracked.pad, None if tracked.is_input else tracked.map, tracked.direct, tracked.order)


class Trail:
    """What a walk through a graph meets. tracked: values that are maps of the input's channels, by the graph's own objects.
    refusals: why no fold can follow."""

    def __init__(self) -> None:
        self.tracked: dict[Any, Tracked] = {}
        self.readers: list[Reader] = []
        self.refusals: list[NotFoldableError] = []

    @staticmethod
    def no_convolution(what: str) -> NotFoldableError:
        return NotFoldableError(f"{what} reads the input, which is not a convolution", name="fold-not-convolution")

    def check(self) -> None:
        """Raises the first refusal, or that there is nothing to fold into."""
        if self.refusals:
            raise self.refusals[0]
        if not self.readers:
            raise NotFoldableError("no convolution reads the input", name="fold-not-convolution")


def common_through(readers: Sequence[Reader]) -> Affine | None:
    """The one channel map in front of all readers. Raises NotFoldableError if they have different ones."""
    first = readers[0].through
    for reader in readers[1:]:
        other = reader.through
        if (first is None) != (other is None) or (first is not None and other is not None and not first.close_to(other, tolerance=0)):
            raise NotFoldableError("several convolutions read the input, each through another channel map", name="fold-several-readers")
    return first


def plan_for(readers: Sequence[Reader], affine: Affine) -> FoldPlan:
    """The plan that serves all readers. Raises NotFoldableError with the reason if none does."""
    plan = plan_fold(affine, [reader.pad for reader in readers], through=common_through(readers))
    changed = plan.constant is not None or affine.channels_in != affine.channels_out
    if changed and not all(reader.direct for reader in readers):
        raise NotFoldableError(
            "the backbone handles its channels one by one before the first convolution, and their number would change",
            name="fold-channel-count",
        )
    return plan
