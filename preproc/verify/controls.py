"""The known mistakes, made on purpose on the reference: how far each moves the outputs is what the verification can notice."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..diagnosis import Mistake, Mistakes
from ..host import Progress, paced, silent
from ..oracle import reference
from ..steps import OTHER_CONVERSIONS, PIXEL_DTYPES, Step, divided
from .cases import Case, Truth
from .difference import differences, movements
from .doubling import Known, moved_by_a_rounding, roundings
from .inputs import OWN, PHOTO
from .parts import Part, is_exact, rows_of, scale_of
from .power import FLOAT64, SHIFT, Control, OutputTruth, Power
from .precision import MOST
from .report import Result
from .runtimes import Outputs
from .slack import with_slack

STAGE = "making the known mistakes on the reference"
PHOTOGRAPHS = 6
"""That two conversions of Y, U and V are compared on, at most."""
Prepare = Callable[[Case], NDArray[np.float64]]
"""Makes the model-ready tensor of a case, rightly or wrongly."""
Uncorrected = Callable[[], tuple[Truth, NDArray[np.float64]] | None]
"""Opens a network with a mistake inside, when it is asked: it is as large as the original."""
Noticed = Callable[[Mapping[str, float]], float | None]
"""The smallest shift of the mean, in grey levels, that exceeds the tolerance of each part of floats; None if none does."""


def measure_power(
    sequence: Sequence[Step],
    truth: Truth,
    bare: Truth,
    cases: Sequence[Case],
    chosen: Sequence[Case],
    *,
    uncorrected: Uncorrected,
    parts: Mapping[str, Part],
    known: Known | None = None,
    asked: float | None = None,
    precision: str = "float32",
    progress: Progress = silent,
) -> tuple[Power, Noticed]:
    """Makes the known mistakes on the reference and measures how far they move the outputs on the `chosen` cases, the golden samples:
    whoever verifies with these alone has this power, whoever verifies with all cases has at least this. The other conversion of Y, U and V,
    which is no mistake, is made of photographs among all cases: noise is bytes that are no colour, most of which clip.

    bare: the backbone in float32.  uncorrected: opens the backbone whose first convolution has the offset in its bias without the border's
    correction, and says what to subtract from its input; None where nothing is zero-padded.  parts: see parts_of().
    known: what the outputs of an .onnx file are compared with; None: with what `cases` expect.  asked: the recipe's tolerance.
    precision: of the files.
    Returns also what finds the smallest shift of the mean that exceeds a tolerance: settled() asks when all tolerances are known.
    """
    known = known or Known(tuple(cases), _truths(bare, cases, parts, progress))
    roomy = with_slack(sequence, truth, chosen, parts)
    slacks = {key: max(case.slack[key] for case in roomy) for key in parts} if all(case.slack for case in roomy) else {}
    mistakes = _Mistakes(sequence, truth, chosen, parts)
    photographs = [case for case in cases if case.ready is not None and case.name.startswith((PHOTO, OWN))][:PHOTOGRAPHS] or chosen
    progress(STAGE)
    controls = [mistakes.control(name, prepare) for name, prepare in paced(list(mistakes.named().items()), STAGE, progress)]
    controls.append(mistakes.border(uncorrected))
    controls += mistakes.other_conversion(photographs)
    scale = scale_of(parts)
    untouched = tuple(name for name in scale if name in truth.untouched)

    def noticed(tolerances: Mapping[str, float]) -> float | None:
        def excess(shift: Control) -> float:
            return min((shift.movements.get(key, 0.0) / tolerances[key] for key in mistakes.least_of), default=0.0)

        return None if controls[0].movement is None else _smallest(lambda levels: excess(mistakes.shifted_by(levels)), excess(controls[0]))

    power = Power(
        scale,
        max((truth.error for truth in known.truths.values() if truth.kind == FLOAT64), default=0.0),
        0.0,
        tuple(controls),
        None,
        tuple(sorted(truth.mixed)),
        max(slacks.values(), default=0.0),
        asked,
        **_resolution(cases),
        untouched=untouched,
        truths=known.truths,
        steps=known.steps,
        groups={key: replace(part, rows=None) for key, part in parts.items() if part.axis is not None},
        rows=rows_of(parts),
        slacks=slacks,
        precision=precision,
    )
    errors, judged_in = power.bare_errors, power.precision_of(reduced=False)
    return replace(power, tolerance=max(power.bounds(key, errors[key], judged_in)[0] for key in parts)), noticed


def settled(power: Power, results: Sequence[Result], noticed: Noticed) -> Power:
    """With the largest of the tolerances that runtimes were judged by, and the smallest shift that exceeds each part's."""
    known = [result for result in results if result.parts]
    tolerances = {key: max((result.parts[key].tolerance for result in known), default=power.tolerance) for key in power.parts}
    seen = {key: max((result.seen(power, key) for result in known), default=power.tolerance) for key in power.parts}
    return replace(power, tolerance=max(tolerances.values()), smallest_shift=noticed(seen))


def _truths(bare: Truth, cases: Sequence[Case], parts: Mapping[str, Part], progress: Progress) -> dict[str, OutputTruth]:
    """Of a reference in float64."""
    found = [differences(bare(case.ready), case, parts) for case in cases if case.ready is not None]
    small = roundings(moved_by_a_rounding(cases, bare, parts, progress), MOST)
    return {key: OutputTruth(FLOAT64, max(each[key] for each in found), rounding=small[key]) for key in parts}


class _Mistakes:
    """The mistakes that can be made in these steps, on the chosen cases."""

    def __init__(self, sequence: Sequence[Step], truth: Truth, chosen: Sequence[Case], parts: Mapping[str, Part]) -> None:
        self.sequence, self.truth, self.chosen = sequence, truth, chosen
        self.parts = {key: part for key, part in parts.items() if part.output not in truth.untouched}
        self.least_of = _least_of(self.parts, chosen)
        self.first, self.front, self.later = divided(sequence)
        self.known = Mistakes(sequence, chosen[0].pictures.shape[-1 if self.first.layout == "NHWC" else -3])

    def named(self) -> dict[str, Prepare]:
        """Each by its name, as a preparation."""
        return {SHIFT: self._shift(1.0)} | {name: self._made(mistake) for name, mistake in self.known.controls.items()}

    def other_conversion(self, photographs: Sequence[Case]) -> list[Control]:
        """None where there is none: of other pixels, or where whole levels are moved. Where planes are, the other one converts first."""
        others = [mistake for mistake in self.known.all if mistake.name in OTHER_CONVERSIONS]
        if not others:
            return []
        linear = replace(self.first, conversion="linear")
        moved = self.front[1:] if self.first.moves_planes else ()
        levels = [reference.apply([linear, *moved], case.pictures) for case in photographs]
        beyond = [float(np.abs(x - x.clip(0, 255)).max()) for x in levels]
        share = np.mean(np.concatenate([((x < 0) | (x > 255)).ravel() for x in levels]))
        clips = f"{100 * share:.2g} % of the values clip, by up to {max(beyond):.2g} levels" if share else "no value clips"
        told = f"no mistake, but the other conversion: of {len(levels)} photographs {clips}"
        if moved:
            converted = [reference.apply([replace(self.first, conversion="rgb8"), *moved], case.pictures) for case in photographs]
            apart = np.mean(np.concatenate([np.abs(x - y).ravel() for x, y in zip(levels, converted, strict=True)]))
            told += f"; what is resized or cropped is RGB then, {apart:.2g} levels away on average"
        return [replace(self.control(other.name, self._made(other), photographs), told=told) for other in others]

    def control(self, name: str, prepare: Prepare, cases: Sequence[Case] | None = None) -> Control:
        """The movement that another preparation causes; none if it comes to the same, as a shift does in front of a Standardize.

        cases: None: the chosen ones.
        """
        cases = cases or self.chosen
        made = [prepare(case) for case in cases]
        right = [_ready(case) for case in cases]
        if all(np.allclose(x, y, rtol=1e-9, atol=1e-9 * np.abs(y).max()) for x, y in zip(made, right, strict=True)):
            return Control(name, None, "it changes nothing in these steps")
        return _moved(name, [self.truth(x) for x in made], cases, self.parts)

    def shifted_by(self, levels: float) -> Control:
        """The mean off by so many grey levels of 0..255."""
        return self.control("", self._shift(levels))

    def border(self, uncorrected: Uncorrected) -> Control:
        """The offset folded into the bias of a padded convolution."""
        name = "uncorrected border"
        opened = uncorrected()
        if opened is None:
            return Control(name, None, "the offset is not folded, or there is no constant padding, or no offset, at the first convolution")
        wrong, minus = opened
        return _moved(name, [wrong(_ready(case) - minus[:, None, None]) for case in self.chosen], self.chosen, self.parts)

    def _shift(self, levels: float) -> Prepare:
        step = levels * PIXEL_DTYPES[self.first.pixel_dtype] / 255
        return lambda case: reference.apply(self.later, reference.apply(self.front, case.pictures) + step)

    def _made(self, mistake: Mistake) -> Prepare:
        return lambda case: self.known.ready(case.pictures, mistake)


def _moved(name: str, outputs: Sequence[Outputs], cases: Sequence[Case], parts: Mapping[str, Part]) -> Control:
    """How far a mistake moves the part that it moves least: one that reacts to nothing makes the verdict inconclusive."""
    of_cases = [movements(got, case, parts) for got, case in zip(outputs, cases, strict=True)]
    most = sys.float_info.max  # a mistake that overflows: JSON has no infinity
    each = {key: min(most, max(found[key] for found in of_cases)) for key in parts}
    return Control(name, min((each[key] for key in _least_of(parts, cases)), default=0.0), movements=each)


def _least_of(parts: Mapping[str, Part], cases: Sequence[Case]) -> list[str]:
    """The parts of floats; where there are none, all."""
    return [key for key, part in parts.items() if not is_exact(cases[0].expected[part.output])] or list(parts)


def _resolution(cases: Sequence[Case]) -> dict[str, Any]:
    """Power's exact, unresolved, values, numbers and borderline."""
    exact = tuple(name for name, values in cases[0].expected.items() if is_exact(values))
    open_ones = {name for case in cases for name in case.unresolved}
    counted = [name for name in cases[0].expected if name in exact or name in open_ones]
    values = {name: sum(case.expected[name].size for case in cases) for name in counted}
    unresolved = {name: sum(_count(case, name) for case in cases) for name in counted}
    numbers = {name: sum(case.unresolved[name].ndim == 0 for case in cases if name in case.unresolved) for name in open_ones}
    open_numbers = {name: numbers[name] for name in counted if numbers.get(name)}
    lists = [(name, case) for name in counted for case in cases if case.open_rows(name)]
    borderline = {name: sum(case.borderline(name) for other, case in lists if other == name) for name, _ in lists}
    return {"exact": exact, "unresolved": unresolved, "values": values, "numbers": open_numbers, "borderline": borderline}


def _count(case: Case, name: str) -> int:
    mask = case.undecided(name)
    return 0 if mask is None else int(np.broadcast_to(mask, case.expected[name].shape).sum())


def _ready(case: Case) -> NDArray[np.float64]:
    assert case.ready is not None
    return case.ready


def _smallest(excess: Callable[[float], float], one: float) -> float | None:
    """The smallest shift that was seen to move the outputs by more than the tolerances; started where a linear model puts it. one: how many
    tolerances a shift by one level moves them."""
    levels = max(1 / one, 1e-9) if one > 0 else 1.0
    while levels <= 255:
        if excess(levels) > 1:
            return levels
        levels *= 1.25
    return None
