"""What a verification would have noticed, and how far a runtime may therefore be from the reference."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
SHIFT = "mean shifted by one grey level"
"""The smallest of the known mistakes."""


@dataclass(frozen=True)
class Control:
    """A known mistake, made on purpose on the reference. movement: how far it moves the outputs that are floats, relative, that which it
    moves least; where there are none, the others; None: it cannot happen here.  reason: why it cannot.
    movements: each output's; of one that is compared for equality the share of its values that are others. {} in older reports."""

    name: str
    movement: float | None
    reason: str | None = None
    movements: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class OutputTruth:
    """What an output is compared with. kind: FLOAT64, the original evaluated in float64; or NOISE, the original itself in its own float32.
    error: relative; with FLOAT64 how far the original's float32 is from it, with NOISE how far the original is from itself: optimized and
    not, in a batch and alone, fed with values one rounding away.  reason: why there is no float64; "" where there is."""

    kind: str
    error: float
    reason: str = ""


FLOAT64, NOISE = "float64", "noise"


@dataclass(frozen=True)
class Power:
    """What the verification would have noticed. scale: each output's largest magnitude on the reference; 1 for those in `exact`.
    bare_error: relative error of the bare backbone in float32 on the CPU, 0 where it is what the outputs are compared with.
    tolerance: the largest of the runtimes' own, see bounds().  smallest_shift: of the mean, in grey levels of 0..255,
    that exceeds it; None if none up to 255 does, or the pipeline removes every shift.  slack: how much of the tolerance is for the
    roundings of a fast resize.  asked: the tolerance that the recipe says.
    quick: whether it was measured on a few inputs only: then nothing passes.  exact: the outputs that are compared for equality, whose
    error is the share of their values that are others.  unresolved: by output, how many values over all inputs were not compared, for a few
    roundings of the input decide them; values: out of how many. Outputs that cannot have such are not there.
    untouched: the outputs that no value of the picture goes into: no mistake can show there, and what they are is all that is verified.
    truths: what each output is compared with; {} in older reports.  steps: how far one rounding of the model-ready tensor moves the
    original, where that is more than MOST, as it is where it decides a step (QuantizeLinear on a tie, a threshold); else 0.  room: as much,
    where the files may have other roundings than the reference; 0 where their steps give the correctly rounded values. A runtime that is
    off by more than its tolerance is judged by a tolerance that is so much larger."""

    scale: Mapping[str, float]
    bare_error: float
    tolerance: float
    controls: tuple[Control, ...]
    smallest_shift: float | None
    mixed: tuple[str, ...] = ()
    slack: float = 0.0
    asked: float | None = None
    quick: bool = False
    exact: tuple[str, ...] = ()
    unresolved: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, int] = field(default_factory=dict)
    untouched: tuple[str, ...] = ()
    truths: Mapping[str, OutputTruth] = field(default_factory=dict)
    steps: float = 0.0
    room: float = 0.0

    @property
    def noise(self) -> float:
        """How far the original is from itself, in the outputs that are compared with it."""
        return max((truth.error for truth in self.truths.values() if truth.kind == NOISE), default=0.0)

    def bounds(self, bare: float | None, *, reduced: bool = False) -> tuple[float, float]:
        """How far a runtime may be from the reference to pass, and how far before it fails: ten times what the bare network errs by there,
        or the original's own noise; a thousandth at most (a hundredth in TF32), beyond which it is not noise but wrong. Between the two it
        is inconclusive.

        bare: what the bare network errs by in that runtime; None where nobody has measured it: then as all runtimes together.
        reduced: whether that runtime multiplies in less than float32, as it was told to.
        """
        if self.asked is not None:
            return self.asked, self.asked
        if bare is None:
            return self.tolerance, max(self.tolerance, MARGIN * min(max(self.bare_error, self.noise), MOST) + 2 * self.slack)
        most = max(MOST if self.mixed else LEAST, MARGIN * bare, MARGIN * self.noise)
        passes, fails = (MOST_REDUCED, MOST_REDUCED) if reduced else (MOST, MARGIN * MOST)
        return min(most, passes) + self.slack, min(most, fails) + 2 * self.slack  # where these roundings are is luck

    def weakness(self, tolerance: float | None = None, bare: float | None = None) -> str | None:
        """Why a pass would mean nothing with this tolerance, of a runtime in which the bare network errs by `bare`; or None."""
        if self.quick:
            return f"quick: {QUICK}"
        tolerance, bare = self.tolerance if tolerance is None else tolerance, self.bare_error if bare is None else bare
        flat = [name for name, value in self.scale.items() if value == 0 and name not in self.untouched]
        if flat:
            return f"the reference's output {flat[0]} is zero for every input"
        if bare > tolerance:
            return f"the bare backbone in float32 is itself {bare:.1e} from float64, more than the tolerance of {tolerance:.1e}"
        possible = [control for control in self.controls if control.movement is not None]
        if not possible:
            return "none of the known mistakes could show: there is nothing to compare the tolerance with"
        still = [name for name in self._steps() if all(name in self.hidden_from(control, tolerance) for control in possible)]
        if still:
            return f"none of the known mistakes would move {still[0]} by {MARGIN:g} tolerances of {tolerance:.1e}"
        blind = [control for control in possible if not self._shows(control, tolerance)]
        if blind:
            moved = ", ".join(f"{control.name} {control.movement:.1e}" for control in blind)
            return f"these mistakes would move the outputs by less than {MARGIN:g} tolerances of {tolerance:.1e}: {moved}"
        return None

    def hidden_from(self, control: Control, tolerance: float | None = None) -> list[str]:
        """The outputs compared for equality in which a mistake that can happen would not have shown."""
        least = MARGIN * (self.tolerance if tolerance is None else tolerance)
        return [name for name in self._steps() if control.movement is not None and control.movements.get(name, 0.0) < least]

    def _shows(self, control: Control, tolerance: float) -> bool:
        """In every output of floats. Where there are none: in any other one, but for the smallest mistake, of which the report says whether
        it would have: integers are steps."""
        steps = self._steps()
        if steps and len(steps) == len(self.scale) - len(self.untouched):
            return control.name == SHIFT or len(self.hidden_from(control, tolerance)) < len(steps)
        return (control.movement or 0.0) >= MARGIN * tolerance

    def _steps(self) -> list[str]:
        """The outputs that are compared for equality and depend on the picture: they move by steps."""
        return [name for name in self.exact if name not in self.untouched]
