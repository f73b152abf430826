"""Following the picture's numbers through a graph: what both folds know of a value between the input and the first linear operations.

The torch and the ONNX fold each translate their own operators into these few. The steps in front do the same to every pixel, so it does
not matter which pixel a number is from: only which channel it is, and which numbers are of the same pixel.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NotFoldableError
from .factors import factors
from .slots import Slots

MOST = 1 << 20
"""Numbers along the axis that is summed over: a picture of 512x512 pixels in four channels, flattened. A longer side stands for a free
one."""
LONGEST = 100
"""Letters that tell of an axis."""


@dataclass(frozen=True, eq=False)
class Tracked:
    """A value each of whose numbers is one of the picture's, shifted and scaled by what its channel alone tells.

    shape: its sides.  slots: the numbers that differ in more than the pixel they are of.  places: which of them each number is, to be
    broadcast to the shape: an axis of one here and of more there is a plain one, along which nothing but the pixel changes.
    moves: what was done to plain axes, so that in two values with the same moves the same phase is the same pixel.
    order: the picture's axes as they stand now.
    ordered: 1 if some of its numbers are the largest of several, 2 if of several that a border was among, else 0.
    """

    shape: tuple[int, ...]
    slots: Slots
    places: NDArray[np.int64]
    order: tuple[str, ...]
    moves: tuple[Any, ...] = ()
    ordered: int = 0

    @staticmethod
    def picture(order: str, shape: Sequence[int]) -> "Tracked":
        """Of the layout `order`, NCHW or another with one C."""
        sides = [side if axis == "C" else 1 for axis, side in zip(order, shape, strict=True)]
        channels = shape[order.index("C")]
        return Tracked(tuple(shape), Slots.of_channels(channels), np.arange(channels).reshape(sides), tuple(order))

    @property
    def rank(self) -> int:
        return len(self.shape)

    def is_plain(self, axis: int) -> bool:
        """Whether it is none of channels, of which there may be one."""
        return bool(self.places.shape[axis] == 1) and self.order[axis] != "C"

    def gather(self, axis: int, table: NDArray[np.integer]) -> "Tracked":
        """What stands at these positions of an axis, which gives way to the table's axes: of none for a single position."""
        side = self.shape[axis]
        if (table < -side).any() or (table >= side).any():
            raise NotFoldableError(f"position {int(np.abs(table).max())} is taken of an axis of {side}", name="fold-untraceable")
        table = table % side
        shape = self.shape[:axis] + table.shape + self.shape[axis + 1 :]
        order = self.order[:axis] + (self.order[axis],) * table.ndim + self.order[axis + 1 :]
        if not self.is_plain(axis):
            return replace(self, shape=shape, places=np.take(self.places, table, axis), order=order)
        places = self.places.reshape(self.places.shape[:axis] + (1,) * table.ndim + self.places.shape[axis + 1 :])
        moved = () if side == 1 and table.ndim == 0 else (("gather", self._number(axis), table.shape, table.tobytes()),)
        return replace(self, shape=shape, places=places, order=order, moves=self.moves + moved)

    def slice(self, axis: int, start: int | None, stop: int | None, step: int | None) -> "Tracked":
        """As Python's slices."""
        side, whole = self.shape[axis], slice(start, stop, step)
        if not self.is_plain(axis):
            return self.gather(axis, np.arange(side)[whole])
        rows = range(side)[whole]
        if len(rows) == side and rows.step == 1:
            return self
        from_end, forwards = (rows.start == (0 if rows.step > 0 else side - 1)), rows.step > 0
        to_end = stop is None or (stop >= side if forwards else stop < -side)
        part = f"{'' if from_end else start}:{'' if to_end else stop}:{'' if rows.step == 1 else rows.step}".removesuffix(":")
        order = (*self.order[:axis], f"{self.order[axis]}[{part}]", *self.order[axis + 1 :])
        shape = (*self.shape[:axis], len(rows), *self.shape[axis + 1 :])
        return replace(self, shape=shape, order=order, moves=(*self.moves, ("slice", self._number(axis), part)))

    def permute(self, order: Sequence[int]) -> "Tracked":
        plain = [self._number(axis) for axis in order if self.is_plain(axis) and self.shape[axis] > 1]
        moves = self.moves if plain == sorted(plain) else (*self.moves, ("permute", tuple(plain)))
        shape, letters = (tuple(values[axis] for axis in order) for values in (self.shape, self.order))
        return replace(self, shape=shape, places=self.places.transpose(order), order=letters, moves=moves)  # type: ignore[arg-type]

    def unsqueeze(self, axis: int) -> "Tracked":
        shape, letter = (*self.shape[:axis], 1, *self.shape[axis:]), "1" if "C" in self.order else "C"
        return replace(self, shape=shape, places=np.expand_dims(self.places, axis), order=(*self.order[:axis], letter, *self.order[axis:]))

    def squeeze(self, axis: int) -> "Tracked":
        if self.shape[axis] != 1:
            raise NotFoldableError(f"an axis of {self.shape[axis]} is squeezed before the first convolution", name="fold-untraceable")
        return self.gather(axis, np.array(0))

    def reshape(self, shape: Sequence[int]) -> "Tracked":
        """The same numbers in another shape. Where plain axes and channels come onto one axis, the pixels there become phases."""
        if math.prod(shape) != math.prod(self.shape) or min(shape, default=1) < 1:
            raise NotFoldableError(
                f"a value of the shape {told(self.shape)} is reshaped to {told(shape)} before the first convolution",
                name="fold-moved-pixels",
            )
        parts = factors(self.shape, shape, mixable=[self.is_plain(axis) for axis in range(self.rank)])
        if parts is None:
            raise NotFoldableError(
                f"channels are mixed with positions where {told(self.shape)} is reshaped to {told(shape)}", name="fold-moved-pixels"
            )
        sides = [1 if part.old is None or self.is_plain(part.old) else part.size for part in parts]
        plain = [(part.size, part.old, part.new) for part, side in zip(parts, sides, strict=True) if side == 1]
        mixed = {part.new for part, side in zip(parts, sides, strict=True) if side > 1} & {new for _, _, new in plain}
        kept = all(len({part[at] for part in plain}) == len(plain) for at in (1, 2)) and all(old is not None for _, old, _ in plain)
        split = replace(
            self,
            shape=tuple(part.size for part in parts),
            places=self.places.reshape(sides),
            order=tuple("" if part.old is None else self.order[part.old] for part in parts),
            moves=self.moves if kept and not mixed else (*self.moves, ("reshape", tuple(plain))),
        )
        for number, part in enumerate(parts):
            if part.new in mixed:
                split = split.spread(number)
        groups = [[number for number, part in enumerate(parts) if part.new == axis] for axis in range(len(shape))]
        order = tuple(
            _together([split.order[number] for number in group])
            or (self.order[axis] if self.shape[: axis + 1] == tuple(shape[: axis + 1]) else "1")
            for axis, group in enumerate(groups)
        )
        sides = [math.prod(split.places.shape[number] for number in group) for group in groups]
        return replace(split, shape=tuple(shape), places=split.places.reshape(sides), order=order)

    def spread(self, axis: int) -> "Tracked":
        """The pixels along a plain axis become phases: numbers that are told apart."""
        side = self.shape[axis]
        if not self.is_plain(axis) or side == 1:
            return self
        if len(self.slots) * side > MOST or self.slots.phase.max() > (1 << 62) // side:
            raise NotFoldableError(
                f"channels and positions come onto one axis, of {told([side])} of them, which is more than can be told apart",
                name="fold-moved-pixels",
            )
        turn = np.arange(side).reshape([side if at == axis else 1 for at in range(self.rank)])
        moves = (*self.moves, ("spread", self._number(axis)))
        return replace(self, slots=self.slots.spread(side), places=self.places * side + turn, moves=moves)

    def gathered(self, axis: int) -> "Tracked":
        """Undoes spread(): an axis along which nothing but the pixel changes is plain again. Itself where that is not so."""
        side = self.places.shape[axis]
        if side == 1:
            return self
        rows = self.slots.take(self.places.reshape(-1))
        channel, phase, scale, offset = (
            np.moveaxis(values.reshape(self.places.shape), axis, 0).reshape(side, -1)
            for values in (rows.channel, rows.phase, rows.scale, rows.offset)
        )
        steps = phase - phase[0]
        if any((values != values[0]).any() for values in (channel, scale, offset)) or (steps != steps[:, :1]).any():
            return self
        moved = ("gathered", axis, tuple(steps[:, 0].tolist()))
        return replace(self, places=self.places.take([0], axis), moves=(*self.moves, moved))

    def windows(self, axis: int, size: int, step: int, dilation: int = 1) -> "Tracked":
        """Windows along a plain axis: of each, the first position stays there, the others are a new last axis. As torch.Tensor.unfold()."""
        if not self.is_plain(axis):
            raise NotFoldableError("windows of channels are taken before the first convolution", name="fold-moved-pixels")
        count = (self.shape[axis] - dilation * (size - 1) - 1) // step + 1
        shape = (*self.shape[:axis], count, *self.shape[axis + 1 :], size)
        moves = (*self.moves, ("windows", self._number(axis), size, step, dilation))
        return replace(self, shape=shape, places=self.places[..., None], order=(*self.order, self.order[axis]), moves=moves)

    def mixed(self, shape: Sequence[int], what: Any) -> "Tracked":
        """Each number a mean, of weights that sum to one, of numbers along plain axes: a resize, an average. what: names the weights."""
        changed = [axis for axis, (old, new) in enumerate(zip(self.shape, shape, strict=True)) if old != new]
        if not all(map(self.is_plain, changed)):
            raise NotFoldableError("channels are mixed with each other before the first convolution", name="fold-moved-pixels")
        return replace(self, shape=tuple(shape), moves=(*self.moves, (what, tuple(map(self._number, changed)))))

    def compared(self, shape: Sequence[int], what: Any) -> "Tracked":
        """Each number the largest of several along plain axes. what: names which."""
        return replace(self.mixed(shape, what), ordered=2 if len(self.slots.borders) else max(self.ordered, 1))

    def summed(self, shape: Sequence[int], what: Any, *, counted: bool) -> "Tracked":
        """Each number the sum of several: so many means. Unless counted, or where a side is free, nobody tells how many: then it is like
        a mean with zeros, for f(M x) = M f(x), whatever its weights sum to."""
        mean, gone = self.mixed(shape, what), [old for old, new in zip(self.shape, shape, strict=True) if old != new]
        return mean.times(math.prod(gone)) if counted and not any(map(is_free, gone)) else mean.holding(0.0)

    def expanded(self, shape: Sequence[int]) -> "Tracked":
        """The same numbers again and again: sides of one grow."""
        told = ("expanded", tuple(side for axis, side in enumerate(shape) if self.is_plain(axis)))
        return self if self.shape == tuple(shape) else self.mixed(shape, told)

    def repeated(self, axis: int, times: int) -> "Tracked":
        """All that stands along an axis, so many times."""
        if not self.is_plain(axis):
            return self.gather(axis, np.tile(np.arange(self.shape[axis]), times))
        return self.mixed([side * times if at == axis else side for at, side in enumerate(self.shape)], ("repeated", times))

    @np.errstate(over="ignore", invalid="ignore")
    def then(self, scale: NDArray[Any] | float, offset: NDArray[Any] | float) -> "Tracked":
        """x * scale + offset, with constants of any shape that broadcasts along the channels only."""
        scale, offset = np.broadcast_arrays(np.asarray(scale, np.float64), np.asarray(offset, np.float64))
        _check_finite(scale, offset)
        given = scale.shape
        for axis in range(scale.ndim):  # a field of one value is one number
            if (scale == (first := scale.take([0], axis))).all() and (offset == offset.take([0], axis)).all():
                scale, offset = first, offset.take([0], axis)
        if scale.ndim > self.rank:
            return self.reshape((1,) * (scale.ndim - self.rank) + self.shape).then(scale, offset)
        lacking = (1,) * (self.rank - scale.ndim)
        sides, whole = lacking + scale.shape, lacking + given
        for axis, most in enumerate(self.shape):
            if most > 1 and (whole[axis] not in (1, most) or (sides[axis] > 1 and self.is_plain(axis))):
                raise NotFoldableError(
                    f"the input is combined with a constant of shape {given}, which is not one number per channel", name="fold-not-affine"
                )
        shape = tuple(max(each) for each in zip(self.shape, whole, strict=True))
        grown = replace(self, shape=shape)
        if scale.size == 1:
            made = replace(grown, slots=self.slots.then(scale.item(), offset.item()))
        else:
            places = np.broadcast_to(self.places, np.broadcast_shapes(self.places.shape, sides))
            scale, offset = (np.broadcast_to(values.reshape(sides), places.shape).reshape(-1) for values in (scale, offset))
            slots = self.slots.take(places.reshape(-1)).then(scale, offset)
            made = replace(grown, slots=slots, places=np.arange(places.size).reshape(places.shape))
        _check_finite(made.slots.scale, made.slots.offset)
        return made

    def times(self, constant: Any) -> "Tracked":
        return self.then(constant, 0.0)

    def plus(self, constant: Any) -> "Tracked":
        return self.then(1.0, constant)

    def minus(self, constant: Any) -> "Tracked":
        return self.then(1.0, -constant)

    def taken_from(self, constant: Any) -> "Tracked":
        return self.then(-1.0, constant)

    @np.errstate(divide="ignore")
    def over(self, constant: Any) -> "Tracked":
        return self.then(1.0 / np.asarray(constant, np.float64), 0.0)

    @np.errstate(divide="ignore", invalid="ignore")
    def batch_norm(self, *, scale: Any, bias: Any, mean: Any, variance: Any, epsilon: float) -> "Tracked":
        """Inference's BatchNorm: (x - mean) / sqrt(variance + epsilon) * scale + bias, arrays of one number per channel, on axis 1."""
        factor = np.asarray(scale, np.float64) / np.sqrt(np.asarray(variance, np.float64) + epsilon)
        shape = [-1 if axis == 1 else 1 for axis in range(self.rank)]
        offset = np.asarray(bias, np.float64) - np.asarray(mean, np.float64) * factor
        return self.then(factor.reshape(shape), offset.reshape(shape))

    def padded(self, pads: Sequence[tuple[int, int]], value: float | None) -> "Tracked":
        """With a border, so many before and behind along each axis, that holds a constant; None: copies of pixels."""
        if any(any(pad) and not self.is_plain(axis) for axis, pad in enumerate(pads)):
            raise NotFoldableError("channels are padded before the first convolution", name="fold-padding")
        bordered = self.mixed([side + sum(pad) for side, pad in zip(self.shape, pads, strict=True)], ("pad", tuple(pads), value))
        return bordered if value is None or not any(map(any, pads)) else bordered.holding(value)

    def holding(self, value: float) -> "Tracked":
        """With a border of this constant, which the convolution makes itself."""
        return replace(self, slots=self.slots.beside(np.full((1, len(self.slots)), float(value))))

    def _number(self, axis: int) -> int:
        """Of a plain axis among those: what moves() are told by."""
        return sum(self.is_plain(at) and self.shape[at] > 1 for at in range(axis))


def _check_finite(*values: NDArray[np.float64]) -> None:
    if not all(np.isfinite(each).all() for each in values):
        raise NotFoldableError(
            "the backbone scales or shifts the picture by what is no finite number, such as 1 / 0, before the first convolution",
            name="fold-not-affine",
        )


def is_free(side: int) -> bool:
    """Whether it, or what it is a multiple of, stands for a free side."""
    return side > MOST >> 4


def told(shape: Sequence[int]) -> str:
    """Of what stands for a free side, nothing but that."""
    return f"({', '.join('free' if is_free(side) else str(side) for side in shape)})"


def shortened(text: str) -> str:
    """Itself, or 12 digits of its sha256, so that what is made of what was made does not grow without end."""
    return text if len(text) <= LONGEST else hashlib.sha256(text.encode()).hexdigest()[:12]


def _together(letters: Sequence[str]) -> str:
    return letters[0] if len(letters) == 1 else shortened(f"({''.join(letters)})") if letters else ""
