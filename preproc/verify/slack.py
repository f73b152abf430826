"""How far the roundings of a resize in the fast form may move the outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..oracle import drawn, is_fast, reference, rounded_otherwise
from ..steps import YUV, FromPixels, Step, collapse_steps, divided
from .cases import Case, Truth
from .difference import movements
from .parts import Part


def with_slack(sequence: Sequence[Step], truth: Truth, cases: Sequence[Case], parts: Mapping[str, Part]) -> list[Case]:
    """The cases, each with its own slack where the steps have a resize in the fast form."""
    first, front, later = divided(sequence)
    if not is_fast(front):
        return list(cases)
    if first.moves_planes:  # what they are rounded to is converted behind
        first, front, later = divided(collapse_steps(sequence, first.channels() or 3))

    def slack(case: Case) -> dict[str, float]:
        wrong = drawn(reference.apply(front, case.pictures), *rounded_otherwise(sequence, case.size(first.layout)))
        moved = [movements(truth(reference.apply(later, _as_shared(levels, first))), case, parts) for levels in wrong]
        return {key: max(each[key] for each in moved) for key in parts}

    return [replace(case, slack=slack(case)) for case in cases]


def _as_shared(levels: NDArray[np.float64], first: FromPixels) -> NDArray[np.float64]:
    """With one U and one V for the pixels that share them."""
    rows, columns = YUV[first.color].block if first.moves_planes else (1, 1)
    chroma = levels[:, 1:, ::rows, ::columns].repeat(rows, axis=2).repeat(columns, axis=3)
    return np.concatenate([levels[:, :1], chroma], axis=1)


def with_own_slack(
    sequence: Sequence[Step], truth: Truth, cases: Sequence[Case], parts: Mapping[str, Part], usual: tuple[int, int]
) -> list[Case]:
    """The cases; those of a size that may be rounded otherwise in more places than the golden samples, which are of the size `usual`, with
    a slack of their own. Where these places are is luck: twice what one draw of them does."""
    first, front, _ = divided(sequence)
    share, most = rounded_otherwise(sequence, usual)

    def own(case: Case) -> Case:
        more = rounded_otherwise(sequence, case.size(first.layout))
        if len(front) == 1 or (more[0] <= share and more[1] <= most):
            return case
        (slack,) = with_slack(sequence, truth, [case], parts)
        return replace(slack, slack={key: 2 * value for key, value in slack.slack.items()})

    return [own(case) for case in cases]
