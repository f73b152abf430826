"""More of the bare network's noise, where what the cases draw of it may be a few lucky draws."""

from collections.abc import Sequence

from .cases import Answers, Case
from .parts import is_exact
from .precision import is_lower

FACTORS = (0.97, 0.93, 0.87)
FEW = 100
"""Numbers that a network answers to a picture: the largest error of more is hardly a lucky one."""


def further_draws(cases: Sequence[Case], exact: Answers, precision: str) -> list[Case]:
    """Of a network that answers a few numbers, in a precision lower than float32, whose error on one picture is a few draws of the noise,
    all of which may be lucky: the ready values of these cases times factors, which round otherwise, with what is true of them. exact: in
    float64."""
    alone = [case for case in cases if case.ready is not None and not any(map(is_exact, case.expected.values()))]
    if not is_lower(precision) or not alone or sum(values.size for values in alone[0].expected.values()) > FEW * alone[0].batch:
        return []
    times = [(case, factor, case.ready * factor) for case in alone for factor in FACTORS if case.ready is not None]
    return [
        Case(f"{case.name} times {factor}", case.pixels, exact(ready), case.others, ready=ready, axes=case.axes)
        for case, factor, ready in times
    ]
