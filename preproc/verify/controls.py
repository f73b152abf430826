"""The known mistakes, made on purpose on the reference: how far each moves the outputs is what the verification can notice."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..host import Progress, paced, silent
from ..oracle import reference
from ..steps import PIXEL_DTYPES, MinMaxNormalize, MinMaxScale, Normalize, Resampling, Rescale, Standardize, Step
from .cases import Case, Truth, parts
from .difference import differences, is_exact, movements, scale_of
from .doubling import Known
from .power import FLOAT64, SHIFT, Control, OutputTruth, Power
from .report import Result
from .runtimes import Outputs
from .slack import with_slack

ALIASED: Mapping[str, Any] = {"interpolation": "bilinear", "antialias": False, "pillow": None, "torch": None}
"""What a resize by other libraries is."""
STAGE = "making the known mistakes on the reference"
Prepare = Callable[[Case], NDArray[np.float64]]
"""Makes the model-ready tensor of a case, rightly or wrongly."""
Uncorrected = Callable[[], tuple[Truth, NDArray[np.float64]] | None]
"""Opens a network with a mistake inside, when it is asked: it is as large as the original."""
Noticed = Callable[[float], float | None]
"""The smallest shift of the mean, in grey levels, that exceeds a tolerance; None if none does."""


def measure_power(
    sequence: Sequence[Step],
    truth: Truth,
    bare: Truth,
    cases: Sequence[Case],
    chosen: Sequence[Case],
    *,
    uncorrected: Uncorrected,
    known: Known | None = None,
    asked: float | None = None,
    progress: Progress = silent,
) -> tuple[Power, Noticed]:
    """Makes the known mistakes on the reference and measures how far they move the outputs on the `chosen` cases, the golden samples:
    whoever verifies with these alone has this power, whoever verifies with all cases has at least this.

    bare: the backbone in float32.  uncorrected: opens the backbone whose first convolution has the offset in its bias without the border's
    correction, and says what to subtract from its input; None where nothing is zero-padded.  known: what the outputs of an .onnx file are
    compared with; None: with what `cases` expect.  asked: the recipe's tolerance.
    Returns also what finds the smallest shift of the mean that exceeds a tolerance: settled() asks when all tolerances are known.
    """
    scale = scale_of(cases)
    known = known or Known(tuple(cases), _truths(bare, cases, scale))
    bare_error = max((truth.error for truth in known.truths.values() if truth.kind == FLOAT64), default=0.0)
    slack = max(case.slack for case in with_slack(sequence, truth, chosen, scale))
    mistakes = _Mistakes(sequence, truth, chosen, scale)
    progress(STAGE)
    controls = [mistakes.control(name, prepare) for name, prepare in paced(list(mistakes.named().items()), STAGE, progress)]
    controls.append(mistakes.border(uncorrected))
    untouched = tuple(name for name in scale if name in truth.untouched)

    def noticed(tolerance: float) -> float | None:
        one = controls[0].movement
        return None if one is None else _smallest(lambda levels: mistakes.shifted_by(levels).movement or 0.0, one, tolerance)

    power = Power(
        scale,
        bare_error,
        0.0,
        tuple(controls),
        None,
        tuple(sorted(truth.mixed)),
        slack,
        asked,
        **_resolution(cases),
        untouched=untouched,
        truths=known.truths,
        steps=known.steps,
    )
    return replace(power, tolerance=power.bounds(bare_error)[0]), noticed


def settled(power: Power, results: Sequence[Result], noticed: Noticed) -> Power:
    """With the largest of the tolerances that runtimes were judged by, and the smallest shift that exceeds it."""
    tolerance = max((result.tolerance for result in results if result.tolerance is not None), default=power.tolerance)
    return replace(power, tolerance=tolerance, smallest_shift=noticed(tolerance))


def _truths(bare: Truth, cases: Sequence[Case], scale: Mapping[str, float]) -> dict[str, OutputTruth]:
    """Of a reference in float64."""
    found = [differences(bare(case.ready), case, scale) for case in cases if case.ready is not None]
    return {name: OutputTruth(FLOAT64, max(each[name] for each in found)) for name in scale}


class _Mistakes:
    """The mistakes that can be made in these steps, on the chosen cases."""

    def __init__(self, sequence: Sequence[Step], truth: Truth, chosen: Sequence[Case], scale: Mapping[str, float]) -> None:
        self.sequence, self.truth, self.chosen, self.scale = sequence, truth, chosen, scale
        self.first, self.front, self.later = parts(sequence)

    def named(self) -> dict[str, Prepare]:
        """Each by its name, as a preparation."""
        sequence, front, later = self.sequence, self.front, self.later
        repeated = [step for step in later if isinstance(step, (Normalize, MinMaxNormalize, Standardize))]
        without = [step for step in later if not isinstance(step, (Rescale, MinMaxScale))]
        mistakes: dict[str, Prepare] = {
            SHIFT: self._shift(1.0),
            "channels swapped": lambda case: reference.apply(later, reference.apply(front, case.pictures)[:, ::-1]),
            "normalization doubled": lambda case: reference.apply([*sequence, *repeated], case.pictures),
            "rescale missing": lambda case: reference.apply([*front, *without], case.pictures),
        }
        if len(front) > 1:
            aliased = [replace(step, **ALIASED) if isinstance(step, Resampling) and step.antialias else step for step in front]
            mistakes["resize without antialiasing"] = lambda case: reference.apply([*aliased, *later], case.pictures)
            mistakes["picture moved by one pixel"] = lambda case: np.roll(_ready(case), (1, 1), (2, 3))
        return mistakes

    def control(self, name: str, prepare: Prepare) -> Control:
        """The movement that another preparation causes; none if it comes to the same, as a shift does in front of a Standardize."""
        made = [prepare(case) for case in self.chosen]
        right = [_ready(case) for case in self.chosen]
        if all(np.allclose(x, y, rtol=1e-9, atol=1e-9 * np.abs(y).max()) for x, y in zip(made, right, strict=True)):
            return Control(name, None, "it changes nothing in these steps")
        return self._moved(name, [self.truth(x) for x in made])

    def shifted_by(self, levels: float) -> Control:
        """The mean off by so many grey levels of 0..255."""
        return self.control("", self._shift(levels))

    def border(self, uncorrected: Uncorrected) -> Control:
        """The offset folded into the bias of a padded convolution."""
        name = "uncorrected border"
        opened = uncorrected()
        if opened is None:
            return Control(name, None, "no constant padding, or no offset, in front of the first convolution")
        wrong, minus = opened
        return self._moved(name, [wrong(_ready(case) - minus[:, None, None]) for case in self.chosen])

    def _moved(self, name: str, outputs: Sequence[Outputs]) -> Control:
        return _moved(
            name, outputs, self.chosen, {output: scale for output, scale in self.scale.items() if output not in self.truth.untouched}
        )

    def _shift(self, levels: float) -> Prepare:
        step = levels * PIXEL_DTYPES[self.first.pixel_dtype] / 255
        return lambda case: reference.apply(self.later, reference.apply(self.front, case.pictures) + step)


def _moved(name: str, outputs: Sequence[Outputs], cases: Sequence[Case], scale: Mapping[str, float]) -> Control:
    """How far a mistake moves the output of `scale` that it moves least: one that reacts to nothing makes the verdict inconclusive."""
    of_cases = [movements(got, case, scale) for got, case in zip(outputs, cases, strict=True)]
    most = sys.float_info.max  # a mistake that overflows: JSON has no infinity
    each = {output: min(most, max(found[output] for found in of_cases)) for output in scale}
    floats = [output for output in scale if not is_exact(cases[0].expected[output])]
    return Control(name, min((each[output] for output in floats or scale), default=0.0), movements=each)


def _resolution(cases: Sequence[Case]) -> dict[str, Any]:
    """Power's exact, unresolved and values."""
    exact = tuple(name for name, values in cases[0].expected.items() if is_exact(values))
    open_ones = {name for case in cases for name in case.unresolved}
    counted = [name for name in cases[0].expected if name in exact or name in open_ones]
    values = {name: sum(case.expected[name].size for case in cases) for name in counted}
    unresolved = {name: sum(_count(case, name) for case in cases) for name in counted}
    return {"exact": exact, "unresolved": unresolved, "values": values}


def _count(case: Case, name: str) -> int:
    return int(np.broadcast_to(case.unresolved.get(name, np.array(False)), case.expected[name].shape).sum())


def _ready(case: Case) -> NDArray[np.float64]:
    assert case.ready is not None
    return case.ready


def _smallest(shifted: Callable[[float], float], one: float, tolerance: float) -> float | None:
    """The smallest shift that was seen to move the outputs by more than the tolerance; started where a linear model puts it."""
    levels = max(tolerance / one, 1e-9) if one > 0 else 1.0
    while levels <= 255:
        if shifted(levels) > tolerance:
            return levels
        levels *= 1.25
    return None
