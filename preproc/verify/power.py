"""What a verification would have noticed, and how far a runtime may therefore be from the reference."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..steps import OTHER_CONVERSIONS
from .parts import Part, listing
from .precision import MARGIN, Noise, rules_of
from .rows import Rows

QUICK = "only a few inputs were run; export it without --quick to verify it"
"""What is said of a bundle that was exported quickly, wherever it is looked at."""
SHIFT = "mean shifted by one grey level"
"""The smallest of the known mistakes."""


@dataclass(frozen=True)
class Control:
    """A known mistake, made on purpose on the reference. movement: how far it moves the outputs that are floats, relative, that which it
    moves least; where there are none, the others; None: it cannot happen here.  reason: why it cannot.
    movements: each part's; of one that is compared for equality the share of its values that are others. {} in older reports.
    told: what else is known of it."""

    name: str
    movement: float | None
    reason: str | None = None
    movements: Mapping[str, float] = field(default_factory=dict)
    told: str = ""

    @property
    def is_possible(self) -> bool:
        """Whether it is a mistake, not the other conversion of Y, U and V, and can happen here."""
        return self.movement is not None and not self.name.endswith(OTHER_CONVERSIONS)


@dataclass(frozen=True)
class OutputTruth:
    """What an output, or a part of it, is compared with. kind: FLOAT64, the original evaluated in float64; or NOISE, the original itself in
    its own float32.  error: relative; with FLOAT64 how far the original's float32 is from it, with NOISE how far the original is
    from itself: optimized and not, in a batch and alone, fed with values one rounding away.  reason: why there is no float64; ""
    where there is.  rounding: how far one rounding of every value of the model-ready tensor moves the original, where that is
    a rounding (Rules.rounding at most) and is not in `error` already; it is one draw of the noise as `error` is, and either may be lucky.
    precision: the original's own, "float32" above.  drawn: in a lower precision, what the bare network errs by on further draws of its
    noise; 0 where there are none."""

    kind: str
    error: float
    reason: str = ""
    rounding: float = 0.0
    precision: str = "float32"
    drawn: float = 0.0


FLOAT64, NOISE = "float64", "noise"


@dataclass(frozen=True)
class Power:
    """What the verification would have noticed. scale: each output's largest magnitude on the reference; 1 for those in `exact`.
    bare_error: relative error of the bare backbone in float32 on the CPU, 0 where it is what the outputs are compared with.
    tolerance: the largest of the runtimes' own, see bounds().  smallest_shift: of the mean, in grey levels of 0..255,
    that exceeds it; None if none up to 255 does, or the pipeline removes every shift.  slack: how much of the tolerance is for the
    roundings of a fast resize; slacks: of that of each part, {} in older reports.
    shift_measured: whether smallest_shift was sought; it was not where golden samples are judged by another tolerance.
    asked: the tolerance that the recipe says, or whoever verifies.
    quick: whether it was measured on a few inputs only: then nothing passes.  exact: the outputs that are compared for equality, whose
    error is the share of their values that are others.  unresolved: by output, how many values over all inputs were not compared, for a few
    roundings of the input decide them; values: out of how many. Outputs that cannot have such are not there.
    untouched: the outputs that no value of the picture goes into: no mistake can show there, and what they are is all that is verified.
    groups: by name, the parts of outputs whose channels have units of their own; {} in older reports.
    truths: what each part is compared with; {} in older reports.  steps: how far one rounding of the model-ready tensor moves the
    original, where that is more than Rules.rounding, as it is where it decides a step (QuantizeLinear on a tie, a threshold); else 0.
    room: as much, where the files may have other roundings than the reference; 0 where their steps give the correctly rounded values. A
    runtime that is off by more than its tolerance is judged by a tolerance that is so much larger.  precision: of the files; "float32" in
    older reports.  rows: what outputs list in an order that nothing defines.  numbers: by output, in how many inputs the number of its
    rows was not compared; neither is in older reports.  borderline: by output whose number of rows a few roundings decide in some inputs,
    how many rows may be there or not, those that nobody expects among them; all others were found and compared; {} in older reports."""

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
    groups: Mapping[str, Part] = field(default_factory=dict)
    precision: str = "float32"
    rows: tuple[Rows, ...] = ()
    numbers: Mapping[str, int] = field(default_factory=dict)
    borderline: Mapping[str, int] = field(default_factory=dict)
    slacks: Mapping[str, float] = field(default_factory=dict)
    shift_measured: bool = True

    @property
    def parts(self) -> dict[str, Part]:
        """What is compared by itself, by its name: each output, or each group of its channels."""
        grouped = {part.output for part in self.groups.values()}
        whole = {name: Part(name, value) for name, value in self.scale.items() if name not in grouped}
        return listing(whole | dict(self.groups), self.rows)

    @property
    def bare_errors(self) -> dict[str, float]:
        """By part, of the bare backbone in float32 on the CPU; 0 where it is what the output is compared with."""
        return {key: truth.error if truth.kind == FLOAT64 else 0.0 for key, truth in self.truths.items()}

    def slack_of(self, part: str) -> float:
        """How much of a part's tolerance is for the roundings of a fast resize."""
        return self.slacks.get(part, self.slack)

    def precision_of(self, *, reduced: bool) -> str:
        """That a runtime is judged in: a network in float32 is one in TF32 where it multiplies in that. reduced: as Runtime's."""
        if self.precision in ("float32", "tf32"):
            return "tf32" if reduced else "float32"
        return self.precision

    def bounds(self, part: str, bare: float | None, precision: str = "float32") -> tuple[float, float]:
        """How far a runtime may be from the reference in this part to pass, and how far before it fails: what was asked for, or as the
        precision's rules have it. Between the two it is inconclusive.

        bare: what the bare network errs by there in that runtime; None where nobody has measured it.
        """
        return (self.asked, self.asked) if self.asked is not None else rules_of(precision).bounds(self._known(part, bare))

    def _known(self, part: str, bare: float | None) -> Noise:
        truth, own = self.truths.get(part), self.own_noise(part)
        rounding = own if truth is None or truth.kind == NOISE else truth.rounding
        drawn = 0.0 if truth is None else truth.drawn
        return Noise(
            bare,
            own,
            rounding,
            self.slack_of(part),
            self.bare_error,
            self.tolerance,
            bool(self.mixed),
            drawn,
        )

    def own_noise(self, part: str) -> float:
        """How far the original is from itself, where there is no float64: nobody is wrong who is as near to it."""
        truth = self.truths.get(part)
        return truth.error if truth is not None and truth.kind == NOISE else 0.0

    def seen(self, part: str, tolerance: float, bare: float | None, precision: str) -> float:
        """From which movement on a mistake is beyond the tolerance, whatever the noise of the precision does to it."""
        return rules_of(precision).seen(tolerance, max(bare or 0.0, self.own_noise(part)))

    def weakness(
        self, tolerances: Mapping[str, float] | None = None, bares: Mapping[str, float] | None = None, precision: str = "float32"
    ) -> str | None:
        """Why a pass would mean nothing with these tolerances, of a runtime in which the bare network errs by `bares`, by part; or None."""
        if self.quick:
            return f"quick: {QUICK}"
        rules = rules_of(precision)
        unknown = rules.unknown(bares) if self.asked is None else None
        if unknown is not None:
            return unknown
        tolerances = tolerances or self._everywhere(self.tolerance)
        bares = bares or self._everywhere(self.bare_error)
        for key, part in self.parts.items():
            if part.scale == 0 and part.output not in self.untouched:
                return f"the reference's output {key} is zero for every input"
        for key, bare in bares.items():
            if bare > tolerances[key]:
                where = f" in {key}" if len(bares) > 1 else ""
                most = tolerances[key]
                return f"the bare backbone in {precision} is itself {bare:.1e} from float64{where}, more than the tolerance of {most:.1e}"
        possible = [control for control in self.controls if control.is_possible]
        if not possible:
            return "none of the known mistakes could show: there is nothing to compare the tolerance with"
        needed = self.needed(tolerances, bares, precision)
        for name in self._steps():
            if all(name in self.hidden_from(control, needed) for control in possible):
                return f"none of the known mistakes would move {name} by {rules.said(tolerances[name], needed[name])}"
        deciding = [control for control in possible if rules.decides(control.name)] or possible
        for key in self._floats() or list(self.parts)[:1]:
            blind = [control for control in deciding if not self._shows(control, key, needed)]
            if blind:
                moved = ", ".join(f"{control.name} {_movement(control, key):.1e}" for control in blind)
                what = key if len(self.parts) > 1 else "the outputs"
                mend = (
                    ""
                    if self.slack_of(key) < tolerances[key] / 2
                    else ('; most of it is for the roundings of a fast resize: form = "exact" (--form exact, with --size H,W) has none')
                )
                least = rules.said(tolerances[key], needed[key])
                return f"these mistakes would move {what} by less than {least}: {moved}{mend}"
        return None

    def hidden(self, tolerances: Mapping[str, float], bares: Mapping[str, float] | None, precision: str) -> tuple[str, ...]:
        """The names of the mistakes that can happen and would not have shown everywhere, though what was verified is worth something."""
        needed = self.needed(tolerances, bares or self._everywhere(self.bare_error), precision)
        parts = self._floats() or list(self.parts)[:1]
        possible = [control for control in self.controls if control.is_possible]
        return tuple(control.name for control in possible if not all(self._shows(control, key, needed) for key in parts))

    def needed(self, tolerances: Mapping[str, float], bares: Mapping[str, float], precision: str) -> dict[str, float]:
        """By part, how far a mistake has to move it."""
        rules = rules_of(precision)
        return {key: rules.needed(value, max(bares[key], self.own_noise(key))) for key, value in tolerances.items()}

    def hidden_from(self, control: Control, needed: Mapping[str, float] | None = None) -> list[str]:
        """The outputs compared for equality in which a mistake that can happen would not have shown. needed: None: ten tolerances."""
        needed = needed or self._everywhere(MARGIN * self.tolerance)
        return [name for name in self._steps() if control.is_possible and control.movements.get(name, 0.0) < needed[name]]

    def _everywhere(self, value: float) -> dict[str, float]:
        return dict.fromkeys(self.parts, value)

    def _shows(self, control: Control, part: str, needed: Mapping[str, float]) -> bool:
        """In a part of floats. Where there are none: in any other output, but for the smallest mistake, of which the report says whether it
        would have: integers are steps."""
        steps = self._steps()
        if steps and not self._floats():
            return control.name.endswith(SHIFT) or len(self.hidden_from(control, needed)) < len(steps)
        return _movement(control, part) >= needed[part]

    def _floats(self) -> list[str]:
        """The parts that are compared by their size and depend on the picture."""
        return [key for key, part in self.parts.items() if part.output not in self.exact and part.output not in self.untouched]

    def _steps(self) -> list[str]:
        """The outputs that are compared for equality and depend on the picture: they move by steps."""
        return [name for name in self.exact if name not in self.untouched]


def _movement(control: Control, part: str) -> float:
    """How far a mistake moves a part; in older reports that which it moves least."""
    return control.movements.get(part, control.movement or 0.0)
