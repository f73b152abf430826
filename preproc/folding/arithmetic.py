"""The arithmetic that moves an affine map into a convolution, in float64. NumPy only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NotFoldableError, PreprocError
from ..steps import Affine

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FoldPlan:
    """How an affine map A in front of convolutions goes into their weights, and what stays at run time.

    `into` is the map that the weights take up: what the convolution should have seen, in terms of what it sees now.
    At run time `shift` is subtracted from the channels (all zeros: nothing is), and, unless `constant` is None, a channel that
    holds `constant` everywhere is appended.
    """

    into: Affine
    shift: Array
    constant: float | None = None

    @property
    def form(self) -> str:
        """'cast', 'subtract' or 'append': what is left at run time besides the cast."""
        return "append" if self.constant is not None else "subtract" if self.shift.any() else "cast"


def plan_fold(affine: Affine, pads: Sequence[float | None], *, through: Affine | None = None) -> FoldPlan:
    """Chooses one exact form for all convolutions that read the input.

    affine: A, pixels to model-ready values.  pads: for each convolution the constant that its padding holds, or None where
    padding copies pixels or there is none.  through: T, a channel map inside the backbone between its input and the
    convolutions, which stays where it is.

    The convolutions should see T(A(x)) and, in the padding, v. We feed them u = T(x - s) instead, so the weights have to
    take up G with G(u) = T(A(T^-1(u) + s)). Padding holds v before and after, so exactness on the border asks G(v) = v:
    s = d - T^-1(v), where T(A(d)) = v. A padded value then *is* the pixel d. Where nothing is padded any s serves: s = 0.
    Where no pixel d maps to v (one grey channel spread over three unequal means), a constant channel k = v + 1 is appended:
    the weights tell inside (k) from padding (v) by it. The pixel that comes nearest to v is subtracted all the same, so that the
    large constants cancel before they are rounded.

    Raises NotFoldableError with the reason.
    """
    total = affine if through is None else affine.then(through)
    padding = _one_padding(pads)
    back = Affine.identity(affine.channels_in) if through is None else _undone(through, affine)
    if padding is None:
        return FoldPlan(back.then(total), np.zeros(affine.channels_in))
    pixel = total.solve(np.full(total.channels_out, padding))
    if pixel is None and through is not None:
        raise NotFoldableError(f"no pixel maps to the padding value {padding:g} behind the backbone's own channel map", name="fold-padding")
    if pixel is None:
        nearest = total.nearest(np.full(total.channels_out, padding))
        return FoldPlan(Affine(total.matrix, total(nearest)), nearest, constant=padding + 1.0)
    shift = pixel - back(np.full(affine.channels_in, padding))
    return FoldPlan(Affine(back.matrix, back.offset + shift).then(total), shift)


def _one_padding(pads: Sequence[float | None]) -> float | None:
    """The constant in all paddings, or None without any."""
    paddings = sorted({pad for pad in pads if pad is not None})
    if len(paddings) > 1:
        raise NotFoldableError(
            f"the convolutions that read the input are padded with different constants: {paddings}", name="fold-several-readers"
        )
    return paddings[0] if paddings else None


def _undone(through: Affine, affine: Affine) -> Affine:
    """T^-1. through: T.  affine: A, which makes what T takes."""
    if affine.channels_in != affine.channels_out:
        raise NotFoldableError(
            f"the backbone re-maps its {affine.channels_out} channels before the first convolution, "
            f"and the pixels have {affine.channels_in}",
            name="fold-channel-count",
        )
    try:
        return through.inverse()
    except PreprocError as error:
        raise NotFoldableError(
            "the backbone mixes its channels before the first convolution in a way that has no inverse", name="fold-padding"
        ) from error


def border_error(total: Affine, pad: float) -> Array | None:
    """What folding without correcting the border gets wrong: how far a raw pixel of value `pad` is mapped from the padding.

    (channels_out,), or None if it is not: then that fold happens to be right.
    """
    error = total(np.full(total.channels_in, pad)) - pad
    return error if error.any() else None


def fold_conv(
    weight: NDArray[Any], bias: NDArray[Any] | None, plan: FoldPlan, *, pad: float | None, groups: int = 1
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """The weights of the convolution that sees what `plan` leaves at run time.

    weight: (channels_out, channels_in / groups, *kernel).  bias: (channels_out,) or None.  pad: the constant that this
    convolution's padding holds, or None.  Returns arrays of the weight's dtype; the bias stays None if it would be zero.

    All in float64, rounded once. With an anchor p and q = G(p), conv(G(u)) = W M u + (b - W M p + W q), in which W M is
    the *rounded* new weight, so that the large constants cancel as they will at run time. Padded with v: p = q = v.
    Not padded: p is where G comes nearest to 0.

    Raises NotFoldableError where a grouped convolution would have to read another group's channels, and where numbers are not finite.
    """
    total, old_bias = _checked(weight, bias, plan.into.channels_out, groups)
    matrix, dtype = plan.into.matrix, weight.dtype
    if plan.constant is not None:
        return _append(total, old_bias, plan, pad=pad, groups=groups, dtype=dtype)
    folded = np.concatenate([_contract(part, block) for part, block in _blocks(total, matrix, groups)])
    rounded = as_dtype(folded, dtype).astype(np.float64)
    if pad is None:
        anchor = plan.into.nearest(np.zeros(plan.into.channels_out))
        image = plan.into(anchor)
    else:
        anchor, image = np.full(plan.into.channels_in, pad), np.full(plan.into.channels_out, pad)
    new_bias = old_bias - _sums(rounded, anchor, groups) + _sums(total, image, groups)
    return as_dtype(folded, dtype), _bias(bias, new_bias, dtype)


def uncorrected_bias(weight: NDArray[Any], bias: NDArray[Any] | None, error: Array, *, groups: int = 1) -> NDArray[Any]:
    """The bias with what the convolution makes of a border's error, (channels_in,), wherever a pixel is. weight, bias: as fold_conv()'s.

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


def _append(
    weight: Array, old_bias: Array, plan: FoldPlan, *, pad: float | None, groups: int, dtype: Any
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """W k + B = W c inside and W M v + W1 v + B = W v in the padding give W1 = W (c - v + M v) and B = W c - k W1."""
    if groups > 1:
        raise NotFoldableError("a grouped convolution cannot read an appended constant channel", name="fold-channel-count")
    assert plan.constant is not None
    matrix, offset = plan.into.matrix, plan.into.offset
    step = np.zeros_like(offset) if pad is None else offset - pad + matrix.sum(axis=1) * pad
    extra = _contract(weight, step[:, None])
    folded = np.concatenate([_contract(weight, matrix), extra], axis=1)
    new_bias = old_bias + _sums(weight, offset, 1) - _sums(extra, np.full(1, plan.constant), 1)
    return as_dtype(folded, dtype), _bias(None, new_bias, dtype)


def _contract(weight: Array, matrix: Array) -> Array:
    """(O, C, *k) and (C, D) -> (O, D, *k)."""
    return np.ascontiguousarray(np.moveaxis(np.tensordot(weight, matrix, axes=(1, 0)), -1, 1))


def _blocks(weight: Array, matrix: Array, groups: int) -> list[tuple[Array, Array]]:
    """Each group's weights with its block of the matrix, which has to be block-diagonal."""
    outs, ins = matrix.shape
    if groups == 1:
        return [(weight, matrix)]
    if ins % groups:
        raise NotFoldableError(f"a convolution in {groups} groups cannot read {ins} channels", name="fold-channel-count")
    rows, columns = outs // groups, ins // groups
    mask = np.kron(np.eye(groups), np.ones((rows, columns)))
    if (matrix * (1 - mask)).any():
        raise NotFoldableError(
            f"the first convolution has {groups} groups and the pipeline mixes or reorders channels across them", name="fold-channel-count"
        )
    parts = np.split(weight, groups)
    return [(part, matrix[g * rows : (g + 1) * rows, g * columns : (g + 1) * columns]) for g, part in enumerate(parts)]


def _sums(weight: Array, values: Array, groups: int) -> Array:
    """What the convolution gives for a picture whose channels hold `values` everywhere: (O,)."""
    taps = weight.sum(axis=tuple(range(2, weight.ndim)))
    return np.concatenate([part @ value for part, value in zip(np.split(taps, groups), np.split(values, groups), strict=True)])


def _bias(old: NDArray[Any] | None, new: Array, dtype: Any) -> NDArray[Any] | None:
    return None if old is None and not new.any() else as_dtype(new, dtype)


def as_dtype(array: Array, dtype: Any) -> NDArray[Any]:
    """Rounded. Raises NotFoldableError for values that are no numbers, or none of this dtype."""
    with np.errstate(over="ignore", invalid="ignore"):
        rounded: NDArray[Any] = array.astype(dtype)
    if not np.isfinite(rounded.astype(np.float64)).all():
        raise NotFoldableError(f"the first convolution's weights, folded, would be no finite {np.dtype(dtype)} numbers", name="fold-dtype")
    return rounded
