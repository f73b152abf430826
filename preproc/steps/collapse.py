"""Composing neighbouring affine steps, in float64: what collapse() and both folds start from. No torch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import NotFoldableError
from .affine import Affine
from .base import Step
from .constants import ChannelAffine
from .geometry import Geometry
from .pixels import FromPixels
from .sequence import channels_in


def collapse_steps(sequence: Sequence[Step], channels: int) -> list[Step]:
    """The same steps with every affine run as one ChannelAffine, and none where it would be the identity."""
    collapsed: list[Step] = []
    run = Affine.identity(channels)
    for step in sequence:
        if isinstance(step, FromPixels):
            plain, own = step.apart(channels)
            collapsed.append(plain)
            run = run.then(own)
            continue
        if isinstance(step, Geometry):  # behind from_pixels: what is selected there can as well be selected behind it
            collapsed.append(step)
            continue
        affine = step.affine(run.channels_out)
        if affine is not None:
            run = run.then(affine)
            continue
        collapsed += [*as_steps(run), step]
        run = Affine.identity(run.channels_out)
    return collapsed + as_steps(run)


def rounds_once(sequence: Sequence[Step], channels: int) -> bool:
    """Whether the collapsed steps, as both forms compute them in float32, give the correctly rounded value of each whole pixel."""
    kept = [step for step in collapse_steps(sequence, channels) if not isinstance(step, FromPixels)]
    return all(isinstance(step, ChannelAffine) and step.affine(step.channels()).is_rounded_once for step in kept)


def as_steps(affine: Affine) -> list[Step]:
    if affine.is_identity:
        return []
    return [ChannelAffine(matrix=tuple(map(tuple, affine.matrix.tolist())), offset=tuple(affine.offset.tolist()))]


def split_affine_end(sequence: Sequence[Step], *, channels: int) -> tuple[list[Step], Affine]:
    """The collapsed steps without their affine end, and that end. channels: how many the last step leaves.

    Raises NotFoldableError if the last step is not affine.
    """
    collapsed = collapse_steps(sequence, channels_in(sequence) or channels)
    if collapsed and isinstance(collapsed[-1], ChannelAffine):
        return collapsed[:-1], collapsed[-1].affine(collapsed[-1].channels())
    if collapsed and isinstance(collapsed[-1], Geometry):
        return collapsed, Affine.identity(channels)
    if collapsed and collapsed[-1].affine(collapsed[-1].channels() or channels) is None:
        raise NotFoldableError(f"the pipeline ends in {collapsed[-1].name}, which is not affine", name="fold-not-affine")
    return collapsed, Affine.identity(channels)


def subtract_steps(shift: NDArray[np.float64], *, unit: float = 1.0, selection: Affine | None = None) -> list[Step]:
    """The step that multiplies with `unit` and subtracts one number per channel, or none where that changes nothing. selection: of the
    channels, what stands in front of it."""
    subtract = Affine(unit * np.eye(len(shift)), -shift)
    return as_steps(subtract if selection is None else selection.then(subtract))
