"""bundle x runtimes x inputs -> Report: how far each runtime is from the float64 reference, and how small an error would have shown."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import steps
from ..errors import BundleError, PreprocError, RuntimeAbsentError, VerificationError, did_you_mean, first_line
from ..host import Progress, paced, silent
from ..oracle import drawn, is_fast, reference, rounded_otherwise
from ..steps import FromPixels, Geometry, MinMaxNormalize, MinMaxScale, Normalize, Resampling, Rescale, Standardize, Step
from .runtimes import RUNTIMES, Outputs, Runtime

MOST = 1e-4
"""The largest tolerance, relative to the reference's largest magnitude."""
MOST_REDUCED = 1e-2
"""The largest one where a runtime was told to multiply in less than float32: TF32 rounds to 2^-11."""
LEAST = 4e-6
"""The smallest one: some thirty roundings of float32, which the steps themselves may cost."""
ALIASED: Mapping[str, Any] = {"interpolation": "bilinear", "antialias": False, "pillow": None, "torch": None}
"""What a resize by other libraries is."""
MARGIN = 10.0
"""A control has to move the output by this many tolerances; and a runtime may err by this many times what the bare network errs by there:
the fold gives the first convolution other weights and other roundings, a few times larger ones where it leaves the cast alone."""

QUICK = "only a few inputs were run; export it without --quick to verify it"
"""What is said of a bundle that was exported quickly, wherever it is looked at."""
PASSED, FAILED, INCONCLUSIVE, ABSENT = "passed", "failed", "inconclusive", "absent"


Prepare = Callable[["Case"], NDArray[np.float64]]
"""Makes the model-ready tensor of a case, rightly or wrongly."""
Noticed = Callable[[float], float | None]
"""The smallest shift of the mean, in grey levels, that exceeds a tolerance; None if none does."""


class Truth(Protocol):
    """The original backbone: model-ready (N, C, H, W) float64 in, named outputs out. mixed: what computed in less than float64."""

    mixed: set[str]

    def __call__(self, x: NDArray[Any]) -> Mapping[str, NDArray[Any]]: ...

    def others(self, batch: int) -> Mapping[str, NDArray[Any]]:
        """What the backbone takes beside the picture, for a batch of that size."""
        ...


@dataclass(frozen=True)
class Case:
    """One batch of pixels with the outputs that the reference gives for it. others: what an .onnx file takes beside them.  slack: how far
    the roundings of a fast resize may move these outputs, relative; 0 where Power's holds.  ready: the reference's model-ready tensor,
    (N, C, H, W), rounded to float32, for the bare network; None for golden samples and batches."""

    name: str
    pixels: NDArray[Any]
    expected: Mapping[str, NDArray[Any]]
    others: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    slack: float = 0.0
    ready: NDArray[np.float32] | None = None

    def size(self, layout: str) -> tuple[int, int]:
        """(height, width) of the pixels."""
        height, width = self.pixels.shape[1:3] if layout == "NHWC" else self.pixels.shape[2:4]
        return height, width


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


@dataclass(frozen=True)
class Result:
    """One runtime's verdict. error: the largest, relative to the output's scale.  worst: the input it happened on.
    top1: share of pictures whose largest output is the reference's.  ran: what ran where.  bare: what the bare network errs by in this
    runtime, fed with the reference's ready values; None where it was not run.  tolerance: what this runtime may err by."""

    runtime: str
    verdict: str
    reason: str | None = None
    error: float | None = None
    worst: str | None = None
    top1: float | None = None
    pictures: int = 0
    ran: str | None = None
    bare: float | None = None
    tolerance: float | None = None


@dataclass(frozen=True)
class Original:
    """What was verified against the Python pipeline that the steps were published as, photographs through PIL and the bare backbone.

    reason: why nothing was.
    ready_error: the largest difference between its model-ready tensors and the float64 reference's, relative to the largest value.
    results: of each runtime, from the raw photograph to the outputs.
    """

    name: str
    pictures: int = 0
    ready_error: float = 0.0
    results: tuple[Result, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Report:
    """What was verified, against what, and what each runtime answered. original: None where the steps are the recipe's own.
    tf32: whether CUDA devices were allowed to compute in TF32."""

    name: str
    against: str
    constants_agree: str
    power: Power
    results: tuple[Result, ...]
    inputs: tuple[str, ...] = field(default=())
    original: Original | None = None
    tf32: bool = False

    @property
    def ok(self) -> bool:
        """At least one runtime ran, and all that ran passed, against the original pipeline as well."""
        ran = [result.verdict for result in self.verdicts() if result.verdict != ABSENT]
        return bool(ran) and set(ran) == {PASSED}

    @property
    def failed(self) -> bool:
        return any(result.verdict == FAILED for result in self.verdicts())

    def bare_error(self, runtime: Runtime) -> float | None:
        """What the bare network erred by in this runtime as it was measured; else in those that run the same file, or in all: the worst."""
        known = [result for result in self.results if result.bare is not None]
        same = [result for result in known if runtime.file is not None and _file(result.runtime) == runtime.file]
        chosen = [result for result in known if result.runtime == runtime.name] or same or known
        return max((result.bare for result in chosen if result.bare is not None), default=None)

    def verdicts(self) -> tuple[Result, ...]:
        """Of all runtimes, against the reference and against the original pipeline."""
        return self.results + (self.original.results if self.original else ())

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"ok": self.ok}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Report":
        power = dict(data["power"])
        power["controls"] = tuple(Control(**control) for control in power["controls"])
        fields = {key: value for key, value in data.items() if key != "ok"}
        fields |= {"power": Power(**power), "results": tuple(Result(**result) for result in data["results"])}
        if data.get("original"):
            results = tuple(Result(**result) for result in data["original"]["results"])
            fields["original"] = Original(**(data["original"] | {"results": results}))
        return Report(**fields)


def _file(name: str) -> str | None:
    return RUNTIMES[name].file if name in RUNTIMES else None


def make_cases(
    sequence: Sequence[Step],
    truth: Truth,
    pictures: Iterable[tuple[str, NDArray[Any]]],
    *,
    batch: int | None = None,
    progress: Progress = silent,
) -> list[Case]:
    """Every picture alone, and a batch of five different ones of each size; or, for a model of a fixed batch, batches of so many
    different pictures, each called after its first."""
    by_size: dict[tuple[int, ...], list[tuple[str, NDArray[Any]]]] = {}
    for name, pixels in pictures:
        by_size.setdefault(pixels.shape[1:], []).append((name, pixels))
    cases = []
    all_of_them = [(same, position) for same in by_size.values() for position in range(len(same))]
    for same, position in paced(all_of_them, "computing the float64 reference", progress):
        together = [same[(position + further) % len(same)][1] for further in range(batch or 1)]
        pixels = np.concatenate(together)
        ready = reference.apply(sequence, pixels)
        cases.append(Case(same[position][0], pixels, truth(ready), truth.others(len(pixels)), ready=ready.astype(np.float32)))
    for case in cases:
        if not all(np.isfinite(values).all() for values in case.expected.values()):
            raise PreprocError(
                f"expected a backbone that answers finite numbers, got a NaN or an infinity on {case.name}; check its weights"
            )
    return cases if batch is not None else cases + _batches(cases, truth)


def _batches(singles: Sequence[Case], truth: Truth) -> list[Case]:
    """Five different pictures of each size."""
    by_size: dict[tuple[int, ...], list[Case]] = {}
    for case in singles:
        by_size.setdefault(case.pixels.shape[1:], []).append(case)
    batches = []
    for shape, same in by_size.items():
        chosen = same[:: max(1, len(same) // 5)][:5]
        joined = {name: np.concatenate([case.expected[name] for case in chosen]) for name in same[0].expected}
        title = f"batch of {len(chosen)} ({'x'.join(map(str, shape))})"
        pixels = np.concatenate([case.pixels for case in chosen])
        batches.append(Case(title, pixels, joined, truth.others(len(pixels))))
    return batches


def measure_power(
    sequence: Sequence[Step],
    truth: Truth,
    bare: Truth,
    cases: Sequence[Case],
    chosen: Sequence[Case],
    *,
    uncorrected: tuple[Truth, NDArray[np.float64]] | None,
    asked: float | None = None,
    progress: Progress = silent,
) -> tuple[Power, Noticed]:
    """Makes the known mistakes on the reference and measures how far they move the outputs on the `chosen` cases, the golden samples:
    whoever verifies with these alone has this power, whoever verifies with all cases has at least this.

    bare: the backbone in float32.  uncorrected: the backbone whose first convolution has the offset in its bias without the border's
    correction, and what to subtract from its input; None where nothing is zero-padded.  asked: the recipe's tolerance.
    Returns also what finds the smallest shift of the mean that exceeds a tolerance: settled() asks when all tolerances are known.
    """
    ready = [reference.apply(sequence, case.pixels) for case in chosen]
    scale = {name: max(float(np.abs(case.expected[name]).max()) for case in cases) for name in cases[0].expected}
    bare_error = max(_distance(bare(case.ready), case.expected, scale) for case in cases if case.ready is not None)
    first, front, later = _split(sequence)
    slack = max(case.slack for case in with_slack(sequence, truth, chosen, scale))

    def shift(levels: float) -> Prepare:
        step = levels * steps.PIXEL_DTYPES[first.pixel_dtype] / 255
        return lambda case: reference.apply(later, reference.apply(front, case.pixels) + step)

    def control(name: str, prepare: Prepare) -> Control:
        """The movement that another preparation causes; none if it comes to the same, as a shift does in front of a Standardize."""
        made = [prepare(case) for case in chosen]
        if all(np.allclose(x, right, rtol=1e-9, atol=1e-9 * np.abs(right).max()) for x, right in zip(made, ready, strict=True)):
            return Control(name, None, "it changes nothing in these steps")
        return Control(name, _movement([truth(x) for x in made], chosen, scale))

    repeated = [step for step in later if isinstance(step, (Normalize, MinMaxNormalize, Standardize))]
    without = [step for step in later if not isinstance(step, (Rescale, MinMaxScale))]
    mistakes: dict[str, Prepare] = {
        "mean shifted by one grey level": shift(1.0),
        "channels swapped": lambda case: reference.apply(later, reference.apply(front, case.pixels)[:, ::-1]),
        "normalization doubled": lambda case: reference.apply([*sequence, *repeated], case.pixels),
        "rescale missing": lambda case: reference.apply([*front, *without], case.pixels),
    }
    if len(front) > 1:
        aliased = [replace(step, **ALIASED) if isinstance(step, Resampling) and step.antialias else step for step in front]
        mistakes["resize without antialiasing"] = lambda case: reference.apply([*aliased, *later], case.pixels)
        mistakes["picture moved by one pixel"] = lambda case: np.roll(reference.apply(sequence, case.pixels), (1, 1), (2, 3))
    stage = "making the known mistakes on the reference"
    progress(stage)
    controls = [control(name, prepare) for name, prepare in paced(list(mistakes.items()), stage, progress)]
    if uncorrected is None:
        controls.append(Control("uncorrected border", None, "no constant padding, or no offset, in front of the first convolution"))
    else:
        wrong, minus = uncorrected
        controls.append(Control("uncorrected border", _movement([wrong(x - minus[:, None, None]) for x in ready], chosen, scale)))

    def noticed(tolerance: float) -> float | None:
        one = controls[0].movement
        return None if one is None else _smallest(lambda levels: control("", shift(levels)).movement or 0.0, one, tolerance)

    power = Power(scale, bare_error, 0.0, tuple(controls), None, tuple(sorted(truth.mixed)), slack, asked)
    return replace(power, tolerance=power.bounds(bare_error)[0]), noticed


def settled(power: Power, results: Sequence[Result], noticed: Noticed) -> Power:
    """With the largest of the tolerances that runtimes were judged by, and the smallest shift that exceeds it."""
    tolerance = max((result.tolerance for result in results if result.tolerance is not None), default=power.tolerance)
    return replace(power, tolerance=tolerance, smallest_shift=noticed(tolerance))


def _movement(outputs: Sequence[Outputs], cases: Sequence[Case], scale: Mapping[str, float]) -> float:
    """How far a mistake moves the output that it moves least: an output that reacts to nothing makes the verdict inconclusive."""
    pairs = list(zip(outputs, cases, strict=True))
    moved = min(max(_distance({name: got[name]}, {name: case.expected[name]}, scale) for got, case in pairs) for name in scale)
    return min(moved, sys.float_info.max)  # a mistake that overflows: JSON has no infinity


def _smallest(shifted: Callable[[float], float], one: float, tolerance: float) -> float | None:
    """The smallest shift that was seen to move the outputs by more than the tolerance; started where a linear model puts it."""
    levels = max(tolerance / one, 1e-9) if one > 0 else 1.0
    while levels <= 255:
        if shifted(levels) > tolerance:
            return levels
        levels *= 1.25
    return None


def _split(sequence: Sequence[Step]) -> tuple[FromPixels, Sequence[Step], Sequence[Step]]:
    """The first step, it and those that move pixels, and the others."""
    first = sequence[0]
    if not isinstance(first, FromPixels):
        raise PreprocError(f"expected steps that start at pixels (from_pixels), got {first.name} first")
    front = [step for step in sequence if step is first or isinstance(step, Geometry)]
    return first, front, sequence[len(front) :]


def with_slack(sequence: Sequence[Step], truth: Truth, cases: Sequence[Case], scale: Mapping[str, float]) -> list[Case]:
    """The cases, each with its own slack where the steps have a resize in the fast form."""
    first, front, later = _split(sequence)
    if not is_fast(front):
        return list(cases)

    def slack(case: Case) -> float:
        wrong = drawn(reference.apply(front, case.pixels), *rounded_otherwise(sequence, case.size(first.layout)))
        return max(_distance(truth(reference.apply(later, levels)), case.expected, scale) for levels in wrong)

    return [replace(case, slack=slack(case)) for case in cases]


def judge(
    runtime: Runtime, path: Path, cases: Sequence[Case], power: Power, *, bare: float | None = None, progress: Progress = silent
) -> Result:
    """Runs every case in one runtime. Whatever goes wrong is a verdict, never an exception.

    bare: what the bare network errs by in this runtime, see bare_error().
    """
    try:
        runtime.open(path)
    except RuntimeAbsentError as absence:
        return Result(runtime.name, ABSENT, str(absence))
    except PreprocError as problem:
        return Result(runtime.name, FAILED, str(problem))
    tolerance, limit = power.bounds(bare, reduced=runtime.reduced)
    result = Result(runtime.name, FAILED, error=0.0, worst=cases[0].name, bare=bare, tolerance=tolerance)
    agreed, asked, over, wrong = 0, 0, 0.0, ""
    for case in paced(cases, f"verifying {runtime.name}", progress):
        try:
            got = runtime.run(case.pixels, case.others)
            distance = _distance(got, case.expected, power.scale)
        except RuntimeAbsentError as absence:  # a device that is full: it did not run
            if over > limit:
                return replace(result, reason=f"{wrong}; then, on {case.name}: {absence}")
            return Result(runtime.name, ABSENT, f"on {case.name}: {absence}")
        except PreprocError as problem:
            return Result(runtime.name, FAILED, f"on {case.name}: {problem}", worst=case.name)
        except Exception as problem:  # noqa: BLE001 - a runtime's own error, of any class, while it runs our file: the file fails
            return Result(runtime.name, FAILED, f"on {case.name}: {type(problem).__name__}: {first_line(problem)}", worst=case.name)
        if distance > (result.error or 0.0):
            result = replace(result, error=distance, worst=case.name)
        own = 0.0 if power.asked is not None else max(0.0, case.slack - power.slack)
        if distance - own > max(tolerance, over):
            over, wrong = distance - own, f"error {distance:.2e} on {case.name}, tolerance {tolerance + own:.1e}"
        right, of = _top1(got, case.expected)
        agreed, asked = agreed + right, asked + of
        result = replace(result, pictures=result.pictures + len(case.pixels))
    result = replace(result, top1=agreed / asked if asked else None)
    try:
        result = replace(result, ran=runtime.proof())
    except VerificationError as problem:
        return replace(result, reason=str(problem))
    except Exception as problem:  # noqa: BLE001 - as above: a device that died answers nothing more
        return replace(result, reason=f"{type(problem).__name__}: {first_line(problem)}")
    if over > limit:
        if bare is not None and bare > MARGIN * MOST:
            wrong += f"; the bare network alone errs by {bare:.1e} in this runtime"
        known = result.error if np.isfinite(result.error or 0.0) else None  # JSON has no infinity
        return replace(result, reason=wrong, error=known)
    weakness = power.weakness(tolerance, bare)
    if wrong and weakness is None:
        weakness = f"{wrong}, which the bare network alone, {bare or power.bare_error:.1e} from float64 here, can account for"
    return replace(result, verdict=INCONCLUSIVE if weakness else PASSED, reason=weakness)


def bare_error(
    runtime: Runtime, path: Path, cases: Sequence[Case], scale: Mapping[str, float], arrange: Callable[[NDArray[np.float32]], NDArray[Any]]
) -> float | None:
    """The largest error of the bare network in this runtime, fed with the reference's ready values; None where it does not run there.

    path: of the bare network's file.  arrange: (N, C, H, W) float32 as that file takes it.
    """
    worst = 0.0
    try:
        runtime.open(path)
        for case in cases:
            if case.ready is not None:
                got = runtime.run(arrange(case.ready), case.others)
                worst = max(worst, _distance({name: got[name] for name in case.expected}, case.expected, scale))
    except Exception:  # noqa: BLE001 - what it cannot run, judge() reports of the file that is published
        return None
    return worst if np.isfinite(worst) else None


def _top1(got: Outputs, expected: Mapping[str, NDArray[Any]]) -> tuple[int, int]:
    """How many rows of the (N, classes) outputs have their largest value where the reference has it, and how many rows there are."""
    scores = [name for name, values in expected.items() if values.ndim == 2 and values.shape[1] > 1]
    agreed = sum(int((expected[name].argmax(axis=1) == got[name].argmax(axis=1)).sum()) for name in scores)
    return agreed, sum(len(expected[name]) for name in scores)


def _distance(got: Outputs, expected: Mapping[str, NDArray[Any]], scale: Mapping[str, float]) -> float:
    """The largest difference over all outputs, each relative to its scale; infinite where a value is not finite.

    Raises VerificationError if the names, shapes or kinds of the outputs differ.
    """
    if list(got) != list(expected):
        raise VerificationError(f"expected the outputs {', '.join(expected)}, got {', '.join(got)}")
    worst = 0.0
    for name, values in expected.items():
        if got[name].shape != values.shape:
            raise VerificationError(f"expected {name} of shape {values.shape}, got {got[name].shape}")
        if got[name].dtype.kind != values.dtype.kind:
            raise VerificationError(f"expected {name} in a dtype like {values.dtype}, got {got[name].dtype}")
        if not np.isfinite(got[name]).all() or not np.isfinite(values).all():
            return float("inf")
        difference = float(np.abs(got[name].astype(np.float64) - values).max(initial=0.0))
        worst = max(worst, difference / scale[name] if scale[name] > 0 else difference)
    return worst


def agree(one: Case, other: Case) -> bool:
    """Whether they are the same sample, its outputs but for roundings."""
    if not np.array_equal(one.pixels, other.pixels) or one.pixels.dtype != other.pixels.dtype or list(one.expected) != list(other.expected):
        return False
    if any(one.expected[name].shape != other.expected[name].shape for name in one.expected):
        return False
    scale = {name: float(np.abs(values).max()) for name, values in one.expected.items()}
    return _distance(one.expected, other.expected, scale) <= LEAST


def check_known(names: Sequence[str], known: Iterable[str]) -> None:
    if isinstance(names, str):
        raise BundleError(f"expected a list of runtimes, got the text {names!r}; write [{names!r}]")
    for name in names:
        if name not in set(known):
            raise BundleError(f"expected a runtime, one of {', '.join(known)}, got {name!r}{did_you_mean(name, known)}")
