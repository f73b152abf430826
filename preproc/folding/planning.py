"""One exact form of the fold for all operations that read the picture: what stays in front of them, what their weights take up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import NotFoldableError
from ..steps import Affine
from .cells import Cells
from .slots import Slots
from .trail import Reader
from .whole import Rounding, Whole

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FoldPlan:
    """How an affine map in front of the first linear operations goes into their weights, and what stays at run time.

    affine: A, pixels to model-ready values, which the weights take up.  after: for each reader, what stands along its axis behind the fold.
    At run time `shift` is subtracted from the channels (all zeros: nothing is), and, unless `constant` is None, a channel that
    holds `constant` everywhere is appended, of which each of A's channels takes up `extra` times as much, (channels_out,).
    why: the reason for the form, where whole numbers were asked for.  border: by how much more than what is subtracted padding stood for,
    (channels_in,), in what the pixels are counted in then; None, for not at all, unless that was asked for.  cells: what of it
    pixels share at run time, where convolutions are given that apart; None: a picture.
    """

    affine: Affine
    after: tuple[Slots, ...]
    shift: Array
    constant: float | None = None
    extra: Array | None = None
    why: str = ""
    border: Array | None = None
    cells: Cells | None = None

    @property
    def form(self) -> str:
        """'cast', 'subtract' or 'append': what is left at run time besides the cast."""
        return "append" if self.constant is not None else "subtract" if self.shift.any() else "cast"

    def anchor(self, readers: Sequence[Reader]) -> Array:
        """(channels_in,) the pixel for which the biases of these operations correct what their weights are rounded by: see
        folded_weights()."""
        pads = {pad for reader in readers for pad in reader.pads}
        if pads and self.constant is None and self.border is None:
            return self.shift
        value = pads.pop() if self.constant is not None and len(pads) == 1 else 0.0
        return self.affine.nearest(np.full(self.affine.channels_out, value))


def plan_for(
    readers: Sequence[Reader],
    affine: Affine,
    again: Callable[[int], Sequence[Reader]],
    *,
    whole: Whole | None = None,
    unit: float = 1.0,
    nearest: bool = False,
) -> FoldPlan:
    """Chooses one exact form for all operations that read the input.

    affine: A, pixels to model-ready values.  again: the readers of the same network when it is given so many channels.
    whole: the subtracted constants have to be whole numbers of `unit`: what half precision, or int8's one zero point, holds exactly.
    nearest: whether padding may be the whole number itself, and what is left of the constants in the bias: exact but for the border.

    An operation should see t = a A(x) + b along its axis, a and b by channel, and v in its padding. We feed it t' = a (x - s) + b, so
    the weights have to take up G with G(t') = t. Padding holds v before and after, so exactness on the border asks G(v) = v:
    s = d - (v - b) / a, where a A(d) + b = v. A padded value then *is* the pixel d. Where nothing is padded any s serves: s = 0, or the
    whole number nearest to where A is 0, for the smaller the numbers are, the less is lost of them. Where
    there is no place for a bias, G has to be linear, which is the same with v = 0.
    Where no pixel d maps to v (one grey channel spread over three unequal means), or s is no whole number where it has to be one, or there
    are several v, a constant channel is appended: see _appended().

    Raises NotFoldableError with the reason.
    """
    fixed = [reader for reader in readers if len(reader.fixed(reader.slots))]
    for reader in readers:
        reader.slots.check_invertible()
    ordered = max(reader.ordered for reader in readers)
    if ordered and not (affine.is_monomial and (affine.matrix >= 0).all()):
        raise NotFoldableError(
            "the backbone takes the largest of several pixels before the first convolution, and the steps mix the channels or turn their "
            "order around",
            name="fold-not-affine",
        )
    rounding = Rounding(whole, unit, affine)
    if not fixed:
        black = np.zeros(affine.channels_in) if whole is None else affine.nearest(np.zeros(affine.channels_out))
        behind = _behind(readers, affine, again, appended=0)
        return FoldPlan(affine, behind, rounding(black), why=rounding.why(black, "the bias, for nothing is padded"))
    pixel = _padding_pixel(fixed, affine)
    if pixel is not None:
        after = _behind(readers, affine, again, appended=0)
        exact = _shift(readers, after, pixel)
        if nearest or not rounding.left(exact):
            why = rounding.why(exact, "the bias, and padding is off by it, as was asked for")
            return FoldPlan(affine, after, rounding(exact), why=why, border=exact - rounding(exact) if rounding.left(exact) else None)
    if ordered == 2:
        raise NotFoldableError(
            f"{rounding.no_pixel} maps to the padding value, and no appended channel tells what is the largest of pixels and padding",
            name="fold-padding",
        )
    exact, constant, extra = _appended(fixed, affine, rounding)
    why = rounding.why(exact, "the weights of an appended channel, so that padding stays what it was")
    if not extra.any():
        return FoldPlan(affine, _behind(readers, affine, again, appended=0), rounding(exact), why=why)
    return FoldPlan(affine, _behind(readers, affine, again, appended=1), rounding(exact), constant, extra, why)


def plan_on_cells(readers: Sequence[Reader], affine: Affine, cells: Cells, *, whole: Whole | None = None, unit: float = 1.0) -> FoldPlan:
    """As plan_for(), for convolutions that are given luma and, apart, what the pixels of `cells` share: no pixel gets a chroma of its own.
    Nothing else of the network is given them, so that it does not matter what that does to the number of channels.

    Raises NotFoldableError with the reason, where one of them is no convolution of the picture itself with a stride that cells allow.
    """
    for reader in readers:
        if reader.window is None or reader.groups > 1:
            raise NotFoldableError(
                "what reads the picture is no convolution of it as it is, in one group: it is moved, padded or mapped in front",
                name="fold-moved-pixels",
            )
        cells.window(reader.window)
    alone = [replace(reader, direct=True) for reader in readers]

    def given(channels: int) -> list[Reader]:
        borders = [np.repeat(reader.slots.borders[:, :1], channels, axis=1) for reader in alone]
        return [
            replace(reader, slots=replace(Slots.of_channels(channels), borders=held)) for reader, held in zip(alone, borders, strict=True)
        ]

    plan = plan_for(alone, affine, given, whole=whole, unit=unit)
    return replace(plan, cells=cells if plan.constant is None else cells.with_constant(affine.channels_in))


def _padding_pixel(fixed: Sequence[Reader], affine: Affine) -> Array | None:
    """The pixel d with a A(d) + b = v wherever there is padding, (channels_in,); None if there is none."""
    found = [(reader.slots, border) for reader in fixed for border in reader.fixed(reader.slots)]
    rows = np.concatenate([np.stack([slots.channel, slots.scale, slots.offset, border], axis=1) for slots, border in found])
    channel, scale, offset, value = np.unique(rows[np.isfinite(rows).all(axis=1)], axis=0).T
    which = channel.astype(np.int64)
    total = Affine(affine.matrix[which] * scale[:, None], affine.offset[which] * scale + offset)
    return total.solve(value)


def _shift(readers: Sequence[Reader], after: Sequence[Slots], pixel: Array) -> Array:
    """s: the pixel, less what the picture would hold in its place where a border is. That is the same for every border, as the pixel is."""
    shift = np.zeros(len(pixel))
    for reader, slots in zip(readers, after, strict=True):
        for border in reader.fixed(slots):
            held = slots.unscaled(border)
            known = np.isfinite(held)
            shift[slots.channel[known]] = pixel[slots.channel[known]] - held[known]
    return shift


def _appended(fixed: Sequence[Reader], affine: Affine, rounding: Rounding) -> tuple[Array, float, Array]:
    """The pixel to subtract, before it is rounded, the constant k of an appended channel, and what of it A's channels take up, e.

    Borders are told as the picture would hold them, in front of the network's own map of channels, which is one for all of them then.
    Inside, that channel holds k and in the padding v, as all channels there do. With A(x) = M x + c, c what the subtracted pixel becomes,
    the weights see G(u, k) = M u + e k + o, and G is c + M u inside and v in the padding, wherever that mixes with the picture, too.
    One v: e = (c - v + M v) / (k - v), k a whole number near v + 1, which every precision holds; the subtracted pixel is the one that
    comes nearest to v, so that the large constants cancel before they are rounded, but any other serves. Several: k = 0, e = 1 - M 1 and
    o = 0, for M v + (1 - M 1) v = v whatever v is; that asks c = 0 of the subtracted pixel.
    """
    found = [reader.slots.unscaled(reader.fixed(reader.slots)) for reader in fixed]
    values = sorted({float(f"{value:.12g}") for borders in found for value in borders[np.isfinite(borders)]})
    if not all(reader.slots.is_level(borders) for reader, borders in zip(fixed, found, strict=True)):
        raise NotFoldableError(
            f"{rounding.no_pixel} maps to the padding value {_listed(values)} behind the backbone's own channel map", name="fold-padding"
        )
    sums = affine.matrix.sum(axis=1)
    if len(values) == 1:
        (value,) = values
        nearest, constant = affine.nearest(np.full(affine.channels_out, value)), float(np.round(value)) + 1.0
        return nearest, constant, (affine(rounding(nearest)) - value + sums * value) / (constant - value)
    black = affine.solve(np.zeros(affine.channels_out))
    if black is None or rounding.left(black):
        raise NotFoldableError(
            f"what reads the input is padded with different constants, {_listed(values)}, and {rounding.no_pixel} maps to 0",
            name="fold-several-readers",
        )
    return black, 0.0, 1 - sums


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _behind(readers: Sequence[Reader], affine: Affine, again: Callable[[int], Sequence[Reader]], *, appended: int) -> tuple[Slots, ...]:
    """What stands along each reader's axis if the network is given as many channels as the pixels have, and the appended ones."""
    channels = affine.channels_in + appended
    if channels == affine.channels_out:
        return tuple(reader.slots for reader in readers)
    refused = "the backbone handles its channels one by one before the first convolution, and their number would change"
    try:
        found = again(channels)
    except NotFoldableError as error:
        raise NotFoldableError(f"{refused}: {error}", name="fold-channel-count") from error
    alike = [(reader.weight, reader.pads, reader.moves) for reader in readers] == [
        (other.weight, other.pads, other.moves) for other in found
    ]
    if not alike or not all(reader.direct for reader in readers):
        raise NotFoldableError(refused, name="fold-channel-count")
    return tuple(reader.slots for reader in found)
