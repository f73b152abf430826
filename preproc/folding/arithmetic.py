"""The arithmetic that moves an affine map into the weights of a linear operation, in float64. NumPy only."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NotFoldableError
from .cells import Cells
from .planning import FoldPlan
from .slots import Slots
from .trail import Reader

Array = NDArray[np.float64]
MOST_TOGETHER = 16
"""Of how many numbers a convolution in groups may become one that reads all of them, which is as many times the work."""


def folded_weights(
    weight: NDArray[Any],
    bias: NDArray[Any] | None,
    plan: FoldPlan,
    reader: Reader,
    after: Slots,
    dtype: Any = None,
    *,
    grid: Callable[[Array, Array], Array] | None = None,
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """The weights of the operation that sees what `plan` leaves at run time.

    weight: (out, len(reader.slots) / groups, *kernel).  bias: (out,) or None.  after: what it sees then, one of plan.after.
    grid: what rounds the new weights, given the new bias as well, where they are to be coarser than that.
    Returns arrays of `dtype`, which is the weight's unless it is told; the bias stays None if it would be zero. The weight is
    (out, len(after) / groups, *kernel) with groups_left() groups.

    All in float64, rounded once. With an anchor p and q = G(p), conv(G(u)) = W M u + (b - W M p + W q), in which W M is
    the *rounded* new weight, so that the large constants cancel as they will at run time. Padded with v: p = q = v.
    Not padded: p is where G comes nearest to 0.

    Raises NotFoldableError where a grouped convolution would have to read another group's channels, where numbers are not finite, and
    for weights that are whole numbers, as a product of matrices may have them.
    """
    folded, anchor, constant = _exact(weight, bias, plan, reader, after)
    groups = groups_left(reader, plan)
    folded = folded if grid is None else grid(folded, constant - _sums(folded, anchor, groups))
    dtype = weight.dtype if dtype is None else dtype
    rounded = as_dtype(folded, dtype)
    if not reader.takes_bias:
        return rounded, bias
    return rounded, _bias(constant - _sums(rounded.astype(np.float64), anchor, groups), bias, dtype)


def folded_on_cells(
    weight: NDArray[Any],
    bias: NDArray[Any] | None,
    plan: FoldPlan,
    cells: Cells,
    reader: Reader,
    after: Slots,
    dtype: Any = None,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
    """As folded_weights(), of a convolution that becomes two, whose numbers are added: the weights of the one that reads luma, those of the
    one that reads what pixels share, as cells.weights() has them, and the first one's bias."""
    folded, anchor, constant = _exact(weight, bias, plan, reader, after)
    dtype = weight.dtype if dtype is None else dtype
    if reader.window is None:
        raise NotFoldableError("the first convolution does not read the picture as it is", name="fold-moved-pixels")
    luma, shared = (as_dtype(part, dtype) for part in cells.weights(folded, reader.window))
    sums = [_sums(part.astype(np.float64), anchor[channels], 1) for part, channels in zip((luma, shared), cells.parts, strict=True)]
    return luma, shared, _bias(constant - sum(sums), bias, dtype)


def _bias(new: Array, old: NDArray[Any] | None, dtype: Any) -> NDArray[Any] | None:
    return None if old is None and not new.any() else as_dtype(new, dtype)


def _exact(weight: NDArray[Any], bias: NDArray[Any] | None, plan: FoldPlan, reader: Reader, after: Slots) -> tuple[Array, Array, Array]:
    """W M, the anchor p, and b + W q: see folded_weights()."""
    if weight.dtype.kind in "iu":
        raise NotFoldableError(
            f"the weights of the first linear operation are whole numbers, {weight.dtype}, which cannot take up a scale", name="fold-dtype"
        )
    total, old_bias = _checked(weight, bias, len(reader.slots), reader.groups)
    groups = groups_left(reader, plan)
    if groups < reader.groups:
        if len(after) > MOST_TOGETHER:
            raise NotFoldableError(
                f"a convolution in {reader.groups} groups cannot read an appended constant channel, unless it reads all of {len(after)} "
                f"channels, which is done of up to {MOST_TOGETHER}",
                name="fold-channel-count",
            )
        total, reader = _together(total, reader.groups), replace(reader, groups=groups)
    folded = _contract(total, _matrix(plan), reader, after)
    anchor, image = _anchor(plan, reader, after)
    return folded, anchor, old_bias + _sums(total, image, reader.groups)


def groups_left(reader: Reader, plan: FoldPlan) -> int:
    """How many groups the operation has behind the fold: an appended channel is read by all of them, which is one group then."""
    return reader.groups if plan.constant is None else 1


def _together(weight: Array, groups: int) -> Array:
    """The weight of the same convolution in one group: (out, in / groups, *kernel) -> (out, in, *kernel), zeros for the others' numbers."""
    count, each = len(weight) // groups, weight.shape[1]
    made = np.zeros((len(weight), each * groups, *weight.shape[2:]))
    for group in range(groups):
        made[group * count :][:count, group * each :][:, :each] = weight[group * count :][:count]
    return made


def seen_everywhere(weight: NDArray[Any], off: Array, reader: Reader, after: Slots) -> Array:
    """(out,) what an operation makes of a picture whose channels are `off` more everywhere, padding included. weight, after: as
    folded_weights()'s, behind a fold that left its groups as they were."""
    return _sums(weight.astype(np.float64), after(off) - after(0 * off), reader.groups)


def parts_of(weight: NDArray[Any], plan: FoldPlan, reader: Reader, after: Slots) -> tuple[Array, Array]:
    """Of the new weights, before they are rounded, those of the pixels and those of the appended channel: (out, numbers) each. Of a
    convolution without groups."""
    folded = _contract(weight.astype(np.float64), _matrix(plan), reader, after)
    own = after.channel < plan.affine.channels_in
    return folded[:, own].reshape(len(folded), -1), folded[:, ~own].reshape(len(folded), -1)


def _matrix(plan: FoldPlan) -> Array:
    """From what is left at run time to model-ready values, but for a constant."""
    return plan.affine.matrix if plan.extra is None else np.concatenate([plan.affine.matrix, plan.extra[:, None]], axis=1)


def _anchor(plan: FoldPlan, reader: Reader, after: Slots) -> tuple[Array, Array]:
    """p and q = G(p), along the reader's axis."""
    value = reader.pads[0] if plan.constant is not None and len(reader.pads) == 1 else 0.0
    pixel = plan.affine.nearest(np.full(plan.affine.channels_out, value))
    left = np.append(pixel - plan.shift, [] if plan.constant is None else plan.constant)
    found = after(left), reader.slots(plan.affine(pixel))
    if plan.constant is not None or not reader.pads or plan.border is not None:
        return found
    one, other = (
        np.where(np.isfinite(slots.borders[0]), slots.borders[0], values)
        for slots, values in zip((after, reader.slots), found, strict=True)
    )
    return one, other


def _contract(weight: Array, matrix: Array, reader: Reader, after: Slots) -> Array:
    """weight: (out, len(reader.slots) / groups, *kernel) -> (out, len(after) / groups, *kernel), phase by phase W M."""
    before, groups = reader.slots, reader.groups
    if len(after) % groups:
        raise NotFoldableError(f"a convolution in {groups} groups cannot read {len(after)} channels", name="fold-channel-count")
    group = np.arange(len(before)) // (len(before) // groups)
    old = np.stack(np.split(weight, groups)).swapaxes(1, 2).reshape(len(before), len(weight) // groups, *weight.shape[2:])
    new = np.zeros((len(after), *old.shape[1:]))
    for channel in range(matrix.shape[1]):
        factor = before.scale * matrix[before.channel, channel]
        read = np.flatnonzero(factor)
        found = after.partners(before.phase[read], channel)
        if (found < 0).any():
            raise NotFoldableError(
                f"the backbone leaves channel {channel} out before the first convolution, and the pipeline mixes it into others",
                name="fold-channel-count",
            )
        if (found // (len(after) // groups) != group[read]).any():
            raise NotFoldableError(
                f"the first convolution has {groups} groups and the pipeline mixes or reorders channels across them",
                name="fold-channel-count",
            )
        taken = old[read] * (factor[read] / after.scale[found]).reshape(-1, *[1] * (old.ndim - 1))
        if len(np.unique(found)) == len(found):
            new[found] += taken
        else:
            np.add.at(new, found, taken)
    parts = new.reshape(groups, -1, *new.shape[1:]).swapaxes(1, 2)
    return np.ascontiguousarray(parts.reshape(len(weight), -1, *weight.shape[2:]))


def uncorrected_bias(weight: NDArray[Any], bias: NDArray[Any] | None, error: Array, *, groups: int = 1) -> NDArray[Any]:
    """The bias with what the convolution makes of a border's error, (channels_in,), wherever a pixel is. weight, bias: as
    folded_weights()'s.

    Raises NotFoldableError for other channels than the convolution reads, and where numbers are not finite.
    """
    total, old_bias = _checked(weight, bias, len(error), groups)
    return as_dtype(old_bias + _sums(total, error, groups), weight.dtype)


def _checked(weight: NDArray[Any], bias: NDArray[Any] | None, channels: int, groups: int) -> tuple[Array, Array]:
    """Both in float64. channels: that the convolution will be given."""
    if not np.isfinite(weight).all() or (bias is not None and not np.isfinite(bias).all()):
        raise NotFoldableError("the first convolution's weights are not all finite numbers", name="fold-dtype")
    total = weight.astype(np.float64)
    if total.shape[1] * groups != channels:
        raise NotFoldableError(
            f"the convolution reads {total.shape[1] * groups} channels, the pipeline makes {channels}", name="fold-channel-count"
        )
    return total, np.zeros(len(weight)) if bias is None else bias.astype(np.float64)


def _sums(weight: Array, values: Array, groups: int) -> Array:
    """What the convolution gives for a picture whose channels hold `values` everywhere: (O,)."""
    taps = weight.sum(axis=tuple(range(2, weight.ndim)))
    return np.concatenate([part @ value for part, value in zip(np.split(taps, groups), np.split(values, groups), strict=True)])


def as_dtype(array: Array, dtype: Any) -> NDArray[Any]:
    """Rounded. Raises NotFoldableError for values that are no numbers, or none of this dtype, with the largest."""
    with np.errstate(over="ignore", invalid="ignore"):
        rounded: NDArray[Any] = array.astype(dtype)
    if not np.isfinite(rounded.astype(np.float64)).all():
        raise NotFoldableError(
            f"the first convolution's weights, folded, would be no finite {np.dtype(dtype)} numbers, the largest {np.abs(array).max():.4g}",
            name="fold-dtype",
        )
    return rounded
