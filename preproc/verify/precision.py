"""How errors become verdicts, by precision: what is taken for rounding, how far a runtime may err, what has to show.

In float32 roundings are small beside every mistake, and are given room. In less than that they are not: a runtime is judged by what the
bare network errs by in the same precision, which is one draw of the noise and may be a lucky one.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

MOST = 1e-4
"""The largest tolerance, relative to the reference's largest magnitude."""
LEAST = 4e-6
"""The smallest one: some thirty roundings of float32, which the steps themselves may cost."""
MARGIN = 10.0
"""A control has to move the output by this many tolerances; and a runtime may err by this many times what the bare network errs by there:
the fold gives the first convolution other weights and other roundings, a few times larger ones where it leaves the cast alone."""
TWICE, THRICE = 2.0, 3.0
"""In a lower precision a runtime may err by twice the largest error that the bare network was seen to make in the same precision: other
roundings of the same size, not larger ones; from three times that on the pictures that are asked there on it is wrong."""
UNITS: Mapping[str, float] = {"float32": 2**-24, "tf32": 2**-11, "float16": 2**-11, "bfloat16": 2**-8, "int8": 2**-8}
"""Half of the distance between 1 and the next number; of int8 half a step of the 127 that are on each side of zero."""
GROSS = ("channels swapped", "normalization doubled", "rescale missing")
"""The known mistakes that no precision may hide: what is verified without them has seen nothing."""


@dataclass(frozen=True)
class Noise:
    """What is known of a part of the outputs in one runtime, relative. bare: what the bare network errs by there; None where nobody has
    measured it.  original: how far the original is from itself, where there is no float64: nobody is wrong who is as near to it.
    rounding: that, or what one rounding of its input moves.  slack: for the roundings of a fast resize.  elsewhere, tolerance: what the
    bare network errs by, and what may be, in all runtimes together.  drawn: what it errs by on further draws of its noise; 0 where
    there are none.  mixed: whether the reference computes in less than float64."""

    bare: float | None
    original: float
    rounding: float
    slack: float
    elsewhere: float
    tolerance: float
    mixed: bool
    drawn: float = 0.0


class Rules:
    """Of float32. rounding: what is taken for rounding, relative; what moves something by more decides it."""

    precision, rounding = "float32", MOST

    def bounds(self, known: Noise) -> tuple[float, float]:
        """As Power.bounds(): ten times what the bare network errs by there, or the original's own noise, or what one rounding of its
        input moves; a thousandth at most, beyond which it is not noise but wrong."""
        room = 2 * known.slack  # where a resize rounds is luck
        if known.bare is None:
            return known.tolerance, max(known.tolerance, MARGIN * min(max(known.elsewhere, known.rounding), MOST) + room)
        most = max(MOST if known.mixed else LEAST, MARGIN * known.bare, MARGIN * known.rounding)
        return min(most, MOST) + known.slack, max(min(most, MARGIN * MOST), known.original) + room

    def seen(self, tolerance: float, _: float) -> float:
        """From which movement on a mistake is beyond the tolerance, whatever noise does to it. _: what the bare network errs by."""
        return tolerance

    def needed(self, tolerance: float, _: float) -> float:
        """How far a mistake has to move something for a pass to mean something."""
        return MARGIN * tolerance

    def said(self, tolerance: float, _: float) -> str:
        """`needed` in words."""
        return f"{MARGIN:g} tolerances of {tolerance:.1e}"

    def decides(self, _: str) -> bool:
        """Whether the known mistake of that name has to show."""
        return True

    def unknown(self, bares: Mapping[str, float] | None) -> str | None:
        """Why nothing can be judged; None where it can."""
        del bares
        return None


class LowerRules(Rules):
    """Of a precision lower than float32: a file that is farther than a tenth from its own float64 evaluation computes something else."""

    rounding = 0.1

    def __init__(self, precision: str) -> None:
        self.precision = precision

    def bounds(self, known: Noise) -> tuple[float, float]:
        """As Power.bounds(): twice the largest error of the bare network in that precision over its draws, those on these pictures and the
        further ones, but at most three times that on these pictures, from where on it fails. Where nobody has measured it, nothing is
        known."""
        if known.bare is None:
            return LEAST, sys.float_info.max
        errs = max(known.bare, known.original)
        least = max(LEAST, TWICE * errs)
        most = max(least, min(TWICE * known.drawn, THRICE * errs))
        return most + known.slack, max(least, THRICE * errs) + 2 * known.slack

    def seen(self, tolerance: float, errs: float) -> float:
        """Noise may take away as much of a movement as it makes the bare network err by."""
        return tolerance + errs

    def needed(self, tolerance: float, errs: float) -> float:
        return self.seen(tolerance, errs)

    def said(self, tolerance: float, needed: float) -> str:
        return f"{needed:.1e}, the tolerance of {tolerance:.1e} and the noise of {self.precision}"

    def decides(self, name: str) -> bool:
        """A gross one. What is hidden of the others is told."""
        return name.endswith(GROSS)

    def unknown(self, bares: Mapping[str, float] | None) -> str | None:
        if bares is not None:
            return None
        return f"the bare network in {self.precision} was not measured in this runtime: what its noise is there is not known"


def rules_of(precision: str) -> Rules:
    return LowerRules(precision) if is_lower(precision) else Rules()


def is_lower(precision: str) -> bool:
    """Than float32."""
    return precision != "float32"
