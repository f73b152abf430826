"""What a verification would have noticed, and how far a runtime may therefore be from the reference."""

from collections.abc import Mapping
from dataclasses import dataclass

MOST = 1e-4
"""The largest tolerance, relative to the reference's largest magnitude."""
MOST_REDUCED = 1e-2
"""The largest one where a runtime was told to multiply in less than float32: TF32 rounds to 2^-11."""
LEAST = 4e-6
"""The smallest one: some thirty roundings of float32, which the steps themselves may cost."""
MARGIN = 10.0
"""A control has to move the output by this many tolerances; and a runtime may err by this many times what the bare network errs by there:
the fold gives the first convolution other weights and other roundings, a few times larger ones where it leaves the cast alone."""
QUICK = "only a few inputs were run; export it without --quick to verify it"
"""What is said of a bundle that was exported quickly, wherever it is looked at."""


@dataclass(frozen=True)
class Control:
    """A known mistake, made on purpose on the reference. movement: how far it moves the outputs, relative; None: it cannot happen here.
    reason: why it cannot."""

    name: str
    movement: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Power:
    """What the verification would have noticed. scale: each output's largest magnitude on the reference.
    bare_error: relative error of the bare backbone in float32, in torch on the CPU.  tolerance: the largest of the runtimes' own, see
    bounds().  smallest_shift: of the mean, in grey levels of 0..255, that exceeds it; None if none up to 255 does, or the pipeline removes
    every shift.  slack: how much of the tolerance is for the roundings of a fast resize.  asked: the tolerance that the recipe says.
    quick: whether it was measured on a few inputs only: then nothing passes."""

    scale: Mapping[str, float]
    bare_error: float
    tolerance: float
    controls: tuple[Control, ...]
    smallest_shift: float | None
    mixed: tuple[str, ...] = ()
    slack: float = 0.0
    asked: float | None = None
    quick: bool = False

    def bounds(self, bare: float | None, *, reduced: bool = False) -> tuple[float, float]:
        """How far a runtime may be from the reference to pass, and how far before it fails: ten times what the bare network errs by there,
        a thousandth at most (a hundredth in TF32), beyond which it is not noise but wrong. Between the two it is inconclusive.

        bare: what the bare network errs by in that runtime; None where nobody has measured it: then as all runtimes together.
        reduced: whether that runtime multiplies in less than float32, as it was told to.
        """
        if self.asked is not None:
            return self.asked, self.asked
        if bare is None:
            return self.tolerance, max(self.tolerance, MARGIN * min(self.bare_error, MOST) + self.slack)
        most = max(MOST if self.mixed else LEAST, MARGIN * bare)
        passes, fails = (MOST_REDUCED, MOST_REDUCED) if reduced else (MOST, MARGIN * MOST)
        return min(most, passes) + self.slack, min(most, fails) + self.slack

    def weakness(self, tolerance: float | None = None, bare: float | None = None) -> str | None:
        """Why a pass would mean nothing with this tolerance, of a runtime in which the bare network errs by `bare`; or None."""
        if self.quick:
            return f"quick: {QUICK}"
        tolerance, bare = self.tolerance if tolerance is None else tolerance, self.bare_error if bare is None else bare
        flat = [name for name, value in self.scale.items() if value == 0]
        if flat:
            return f"the reference's output {flat[0]} is zero for every input"
        if bare > tolerance:
            return f"the bare backbone in float32 is itself {bare:.1e} from float64, more than the tolerance of {tolerance:.1e}"
        possible = [control for control in self.controls if control.movement is not None]
        if not possible:
            return "none of the known mistakes could show: there is nothing to compare the tolerance with"
        blind = [control for control in possible if (control.movement or 0.0) < MARGIN * tolerance]
        if blind:
            moved = ", ".join(f"{control.name} {control.movement:.1e}" for control in blind)
            return f"these mistakes would move the outputs by less than {MARGIN:g} tolerances of {tolerance:.1e}: {moved}"
        return None
