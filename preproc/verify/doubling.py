"""What an .onnx file's outputs are compared with: its evaluation in float64, or where that is not to be had the file itself, whose float32
has a noise that is measured."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import VerificationError, first_line
from ..host import Progress, memory, paced, silent
from ..oracle import reference
from ..steps import Step
from .arranging import arranged
from .cases import Case, Truth
from .difference import differences, movements
from .parts import Part, is_exact
from .power import FLOAT64, NOISE, OutputTruth
from .precision import UNITS, is_lower, rules_of
from .runtimes import Outputs, named

MOST_WORK = 2e12
"""Multiply-adds in float64 for all cases together, each as large as the largest: some minutes on one core. A resnet50 takes 4e9 for a
picture of 224 x 224."""


Ready = Callable[[Case], NDArray[Any]]
"""Of a case its model-ready tensor."""


@dataclass(frozen=True)
class Known:
    """What outputs are compared with. cases: with these expected outputs.  truths: what each output's is.  steps: as Power's."""

    cases: tuple[Case, ...]
    truths: Mapping[str, OutputTruth] = field(default_factory=dict)
    steps: float = 0.0


class Fed(Protocol):
    """The file in its own precision, as OnnxReference."""

    names: tuple[str, ...]

    def feeds(self, x: NDArray[Any]) -> Mapping[str, NDArray[Any]]: ...

    def __call__(self, x: NDArray[Any]) -> Mapping[str, NDArray[Any]]: ...


@dataclass(frozen=True)
class FileTruths:
    """An .onnx file in three ways. single: in ONNX Runtime, in the file's own precision.  plain: opens it there unoptimized.
    precision: the file's own."""

    path: Path
    single: Fed
    plain: Callable[[], Truth]
    precision: str = "float32"

    def double(self) -> "Callable[[NDArray[Any], float], dict[str, NDArray[Any]]]":
        """Of (N, C, H, W) float64, and so many multiply-adds at most, the outputs in float64. Raises NotInDoubleError, here or there."""
        from ..oracle.files import DoubleFile

        file, single = DoubleFile(self.path), self.single

        def evaluate(x: NDArray[Any], most: float) -> dict[str, NDArray[Any]]:
            return named(single.names, [*file(single.feeds(x), single.names, most=most).values()])

        return evaluate

    def exact(self) -> Callable[[NDArray[Any]], dict[str, NDArray[Any]]]:
        """Of (N, C, H, W) ready values the outputs in float64. Raises as double() does."""
        evaluate = self.double()

        def answer(x: NDArray[Any]) -> dict[str, NDArray[Any]]:
            own = self.single(x)
            return {name: _like(values, own.get(name, values)) for name, values in evaluate(x, MOST_WORK).items()}

        return answer


def known_of(
    cases: Sequence[Case], file: FileTruths, sequence: Sequence[Step], parts: Mapping[str, Part], *, progress: Progress = silent
) -> Known:
    """The cases, whose outputs the file answered in its own precision, with its outputs in float64 wherever these are within
    Rules.rounding of them: else rounding decides steps inside, or what is evaluated is not what ONNX Runtime computes, and either way
    float64 is no truth of it."""
    progress("computing the float64 reference")
    ready_of = functools.partial(_ready_of, singles=[case for case in cases if case.ready is not None], sequence=sequence)
    doubled = _doubled(cases, ready_of, file, parts, progress)
    memory.release(file.path.stat().st_size)
    moved, most = moved_by_a_rounding(cases, file.single, parts, progress, file.precision), rules_of(file.precision).rounding
    truths = {key: OutputTruth(NOISE, 0.0, doubled) for key in parts} if isinstance(doubled, str) else {}
    if not isinstance(doubled, str):
        for name in cases[0].expected:
            truths |= _judged([_apart(name, case, found, parts) for case, found in zip(cases, doubled, strict=True)], most)
        kinds = {part.output: truths[key].kind for key, part in parts.items()}
        cases = [_with(case, found, kinds) for case, found in zip(cases, doubled, strict=True)]
    small = roundings(moved, most)
    of_itself = any(truth.kind == NOISE for truth in truths.values())
    noise = _noise(cases, ready_of, file, parts, progress) if of_itself else {}
    for key, truth in truths.items():
        own, truth = truth.kind == NOISE, replace(truth, precision=file.precision)
        truths[key] = replace(truth, error=max(noise[key], small[key])) if own else replace(truth, rounding=small[key])
    return Known(tuple(cases), truths, max((value for value in moved.values() if value > most), default=0.0))


def _doubled(
    cases: Sequence[Case], ready_of: Ready, file: FileTruths, parts: Mapping[str, Part], progress: Progress
) -> list[dict[str, NDArray[Any]]] | str:
    """The outputs of each case in float64, their rows as the file lists them, or why there are none."""
    from ..oracle.files import NotInDoubleError

    found = list[dict[str, NDArray[Any]]]()
    try:
        evaluate = file.double()
        for case in paced(cases, "computing the float64 reference", progress):
            outputs = _together(case, cases, found) or evaluate(ready_of(case), MOST_WORK / len(cases))
            if list(outputs) != list(case.expected):
                return f"it answers {', '.join(outputs)} to {case.name} in float64, where ONNX Runtime answers {', '.join(case.expected)}"
            alike = {name: _like(outputs[name], values) for name, values in case.expected.items()}
            found.append(dict(arranged(alike, case, parts).whole))
    except NotInDoubleError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - an evaluation that stops, of whatever class, is one that is not to be had
        return f"its evaluation in float64 stops: {type(error).__name__}: {first_line(error)}"
    return found


def _together(case: Case, cases: Sequence[Case], found: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]] | None:
    """The outputs of a batch whose every output has a row for each picture, put together from those of its pictures alone, which are the
    same in float64; None where the file itself answers otherwise to the batch."""
    if case.ready is not None or case.whole:
        return None
    places = _places(case, cases[: len(found)])
    if places is None:
        return None
    for name, values in case.expected.items():
        if not np.array_equal(values, np.concatenate([cases[at].expected[name] for at in places])):
            return None
    return {name: np.concatenate([found[at][name] for at in places]) for name in case.expected}


def _ready_of(case: Case, singles: Sequence[Case], sequence: Sequence[Step]) -> NDArray[Any]:
    """The model-ready tensor; of a batch, that of its pictures alone."""
    if case.ready is not None:
        return case.ready
    readies = [singles[at].ready for at in _places(case, singles) or ()]
    known = [ready for ready in readies if ready is not None]
    return np.concatenate(known) if known else reference.apply(sequence, case.pictures)


def _places(case: Case, cases: Sequence[Case]) -> list[int] | None:
    """Where the case of each of a batch's pictures alone is; None where there is not one for each."""
    found = [next((at for at, one in enumerate(cases) if np.array_equal(one.pixels, row[None])), None) for row in case.pixels]
    known = [at for at in found if at is not None]
    return known if len(known) == len(found) else None


def _like(values: NDArray[Any], expected: NDArray[Any]) -> NDArray[Any]:
    """In the dtype of the file's own answer, where that is no float."""
    return values.astype(expected.dtype) if is_exact(expected) and is_exact(values) else values


def _apart(name: str, case: Case, found: Mapping[str, NDArray[Any]], parts: Mapping[str, Part]) -> dict[str, float]:
    """How far the file's own answer is from this one, by part; infinitely where it is of another kind."""
    truth = replace(case, expected={name: found[name]})
    try:
        return differences({name: case.expected[name]}, truth, parts)
    except VerificationError:
        return {key: float("inf") for key, part in parts.items() if part.output == name}


def _judged(apart: Sequence[Mapping[str, float]], most: float) -> dict[str, OutputTruth]:
    """Of one output's parts: all of them are of one kind. most: what is taken for rounding."""
    errors = {key: max(each[key] for each in apart) for key in apart[0]}
    error = max(errors.values())
    if error <= most:
        return {key: OutputTruth(FLOAT64, error) for key, error in errors.items()}
    far = f"is {error:.1e} from it" if np.isfinite(error) else "answers something else"
    return dict.fromkeys(errors, OutputTruth(NOISE, 0.0, f"in ONNX Runtime the file {far}, and {most:g} at most is taken for rounding"))


def _with(case: Case, found: Mapping[str, NDArray[Any]], kinds: Mapping[str, str]) -> Case:
    return replace(case, expected={name: found[name] if kinds[name] == FLOAT64 else old for name, old in case.expected.items()})


def _noise(cases: Sequence[Case], ready_of: Ready, file: FileTruths, parts: Mapping[str, Part], progress: Progress) -> dict[str, float]:
    """By output: how far the file is from itself, unoptimized, and in a batch."""
    plain, worst = file.plain(), dict.fromkeys(parts, 0.0)
    for case in paced(cases, "measuring the file's own noise", progress):
        ready = ready_of(case)
        for answer in (plain, file.single) if case.ready is None else (plain,):
            worst = _larger(worst, movements(answer(ready), case, parts))
    return worst


def moved_by_a_rounding(
    cases: Sequence[Case],
    single: Callable[[NDArray[Any]], Outputs],
    parts: Mapping[str, Part],
    progress: Progress,
    precision: str = "float32",
) -> dict[str, float]:
    """By part of floats: how far the answers to every ready value moved by one rounding are from what the cases expect. single: answers in
    this precision."""
    rng, worst = np.random.default_rng(0), dict.fromkeys(parts, 0.0)
    for case in paced([case for case in cases if case.ready is not None], "measuring what one rounding moves", progress):
        assert case.ready is not None
        up = rng.random(case.ready.shape) >= 0.5
        got = single(_rounded_otherwise(case.ready, up, precision))
        there = {name: values for name, values in case.expected.items() if name in got and got[name].shape == values.shape}
        floats = [name for name, values in there.items() if not is_exact(values)]
        only = replace(case, expected={name: case.expected[name] for name in floats})
        worst = _larger(worst, differences({name: got[name] for name in floats}, only, parts))
    return worst


def _rounded_otherwise(ready: NDArray[np.float64], up: NDArray[np.bool_], precision: str) -> NDArray[np.float64]:
    """The values one rounding away, up or down."""
    if is_lower(precision):
        return ready + np.abs(ready) * np.where(up, 2, -2) * UNITS[precision]
    return np.nextafter(ready.astype(np.float32), np.where(up, np.float32(np.inf), np.float32(-np.inf))).astype(np.float64)


def roundings(moved: Mapping[str, float], most: float) -> dict[str, float]:
    """What one rounding moves where that is noise; 0 where it is more than `most`: there it decides a step."""
    return {key: value if value <= most else 0.0 for key, value in moved.items()}


def _larger(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: max(value, other.get(name, 0.0)) for name, value in one.items()}
