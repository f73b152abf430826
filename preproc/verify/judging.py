"""One runtime, one file, all cases -> a verdict. Whatever goes wrong is one, too."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, PreprocError, RuntimeAbsentError, VerificationError, did_you_mean, first_line
from ..host import Progress, paced, silent
from .arranging import arranged
from .cases import Case, Given
from .difference import differences, top1
from .explaining import ASKED, Explain
from .parts import Part
from .power import Power
from .report import ABSENT, FAILED, INCONCLUSIVE, PASSED, PartResult, Result
from .runtimes import Outputs, Runtime
from .split import Between, Split


def judge(
    runtime: Runtime,
    path: Path,
    cases: Sequence[Case],
    power: Power,
    *,
    bare: Mapping[str, float] | None = None,
    between: Mapping[str, Between] = MappingProxyType({}),
    explain: Explain | None = None,
    progress: Progress = silent,
) -> Result:
    """Opens the file in one runtime, runs every case, and closes it. Whatever goes wrong is a verdict, never an exception.

    bare: what the bare network errs by in this runtime, by part, see bare_errors().  between: of some cases, by their names, what the error
    is split by.  explain: asked why answers are wrong, once all are there.
    """
    with contextlib.closing(runtime):
        tally = _Tally(runtime, cases[0].name, power, bare, between)
        result = _judged(runtime, path, cases, tally, progress)
    wrong = result.verdict == FAILED and result.ran is not None
    why = explain(tally.answered, power.parts, {key: part.tolerance for key, part in tally.parts.items()}) if explain and wrong else None
    return result if why is None else replace(result, reason=f"{result.reason}; {why.told}", explained=why.mistakes)


def _judged(runtime: Runtime, path: Path, cases: Sequence[Case], tally: "_Tally", progress: Progress) -> Result:
    try:
        runtime.open(path)
    except RuntimeAbsentError as absence:
        return Result(runtime.name, ABSENT, str(absence))
    except PreprocError as problem:
        return Result(runtime.name, FAILED, str(problem))
    for case in paced(cases, f"verifying {runtime.name}", progress):
        try:
            tally.add(case, runtime.run(case.pixels, case.others))
        except RuntimeAbsentError as absence:  # a device that is full: it did not run
            return tally.stopped(f"on {case.name}: {absence}")
        except PreprocError as problem:
            return Result(runtime.name, FAILED, f"on {case.name}: {problem}", worst=case.name)
        except Exception as problem:  # noqa: BLE001 - a runtime's own error, of any class, while it runs our file: the file fails
            return Result(runtime.name, FAILED, f"on {case.name}: {type(problem).__name__}: {first_line(problem)}", worst=case.name)
    try:
        return tally.verdict(runtime.proof())
    except VerificationError as problem:
        return replace(tally.so_far(), reason=str(problem))
    except Exception as problem:  # noqa: BLE001 - as above: a device that died answers nothing more
        return replace(tally.so_far(), reason=f"{type(problem).__name__}: {first_line(problem)}")


@dataclass
class _Part:
    """One part's errors. over: the largest, less what a case may have more than others; wrong: it in words."""

    bare: float | None
    tolerance: float
    limit: float
    error: float = 0.0
    over: float = 0.0
    wrong: str = ""
    split: Split | None = None


class _Tally:
    """What one runtime's answers come to, part by part."""

    def __init__(
        self, runtime: Runtime, first: str, power: Power, bare: Mapping[str, float] | None, between: Mapping[str, Between]
    ) -> None:
        self.power, self.bare, self.between, self.parts = power, bare, between, dict[str, _Part]()
        self.precision = power.precision_of(reduced=runtime.reduced)
        for key in power.parts:
            own = None if bare is None else bare[key]
            self.parts[key] = _Part(own, *power.bounds(key, own, self.precision))
        errs = None if bare is None else max(bare.values(), default=0.0)
        self.result = Result(runtime.name, FAILED, error=0.0, worst=first, bare=errs, precision=self.precision)
        self.agreed, self.asked, self.answered = 0, 0, list[tuple[Case, Outputs]]()
        self.unsplit = "nothing of it is compared on golden samples" if between else ""

    def add(self, case: Case, got: Outputs) -> None:
        """Raises VerificationError where the outputs are others."""
        for key, error in differences(got, case, self.power.parts).items():
            part, more = self.parts[key], case.slack.get(key, 0.0) - self.power.slack_of(key)
            own = 0.0 if self.power.asked is not None else max(0.0, more)
            part.error = max(part.error, error)
            if error > (self.result.error or 0.0):
                self.result = replace(self.result, error=error, worst=case.name)
            if error - own > max(part.tolerance, part.over):
                where = f" in {key}" if len(self.parts) > 1 else ""
                share = f", the share of {key} that is not equal" if key in self.power.exact else where
                part.over, part.wrong = error - own, f"error {error:.2e} on {case.name}, tolerance {part.tolerance + own:.1e}{share}"
        if case.name in self.between:
            self._split(case, got)
        self._count_rows(got, case)
        if len(self.answered) < ASKED:
            self.answered.append((case, got))
        right, of = top1(got, case, self.power.parts)
        self.agreed, self.asked = self.agreed + right, self.asked + of
        self.result = replace(self.result, pictures=self.result.pictures + len(case.pictures))

    def _split(self, case: Case, got: Outputs) -> None:
        try:
            found = self.between[case.name].split(got, case, self.power.parts)
        except VerificationError as error:
            found, self.unsplit = {}, f"an answer in between is of another form: {error}"
        for key, split in found.items():
            self.parts[key].split = split.largest(self.parts[key].split)

    def _count_rows(self, got: Outputs, case: Case) -> None:
        if self.power.rows:
            found = arranged(got, case, self.power.parts)
            self.result = replace(self.result, moved=self.result.moved + found.moved, rows=self.result.rows + found.rows)

    def _widen(self, room: float) -> None:
        """Makes room for what one rounding of the model-ready tensor moves in the original."""
        for part in self.parts.values():
            part.tolerance, part.limit = part.tolerance + room, part.limit + room

    def _wrong(self) -> _Part | None:
        """The part that is further off than it may be by most, if one is."""
        wrong = [part for part in self.parts.values() if part.over > part.tolerance]
        return max(wrong, key=lambda part: part.over / part.limit, default=None)

    def stopped(self, reason: str) -> Result:
        """The runtime ran no further: absent, unless it was wrong before."""
        wrong = self._wrong()
        if wrong is not None and wrong.over > wrong.limit:
            return replace(self.so_far(), top1=None, reason=f"{wrong.wrong}; then, {reason}")
        return Result(self.result.runtime, ABSENT, reason)

    def so_far(self) -> Result:
        """JSON has no infinity."""
        most = sys.float_info.max
        parts = {
            key: PartResult(min(part.error, most), part.bare, part.tolerance, part.split, "" if part.split else self.unsplit)
            for key, part in self.parts.items()
        }
        tolerance = max(part.tolerance for part in self.parts.values())
        return replace(self.result, tolerance=tolerance, parts=parts, top1=self.agreed / self.asked if self.asked else None)

    def verdict(self, ran: str) -> Result:
        """Of a runtime that answered all cases. ran: what ran where."""
        if self.power.room and self._wrong() and self.power.asked is None:
            self._widen(self.power.room)
        result, wrong = replace(self.so_far(), ran=ran), self._wrong()
        if wrong is not None and wrong.over > wrong.limit:
            alone = wrong.bare is not None and wrong.bare > wrong.limit
            most = max(self.power.scale.values())
            small = f", and answers {most:.1e} at most here: pictures of what it is made for (--images) may tell more"
            hint = small if self.power.asked is None else ""
            reason = wrong.wrong + (f"; the bare network alone errs by {wrong.bare:.1e} in this runtime{hint}" if alone else "")
            known = result.error if np.isfinite(result.error or 0.0) else None  # JSON has no infinity
            return replace(result, reason=reason, error=known)
        tolerances = {key: part.tolerance for key, part in self.parts.items()}
        weakness = self.power.weakness(tolerances, self.bare, self.precision)
        if wrong is not None and weakness is None:
            errs = wrong.bare or self.power.bare_error
            resize = "the roundings of a fast resize or " if self.power.slack else ""
            weakness = f"{wrong.wrong}, which {resize}the bare network alone, {errs:.1e} from float64 here, can account for"
        if weakness is not None:
            return replace(result, verdict=INCONCLUSIVE, reason=weakness)
        hidden = self.power.hidden(tolerances, self.bare, self.precision)
        return replace(result, verdict=PASSED, hidden=hidden)


def bare_errors(
    runtime: Runtime,
    path: Path,
    cases: Sequence[Case],
    parts: Mapping[str, Part],
    arrange: Callable[[NDArray[np.float32]], NDArray[Any]],
    others: Given = lambda _: {},
) -> dict[str, float] | None:
    """By part, the largest error of the bare network in this runtime, fed with the reference's ready values; None where it does not run
    there.

    path: of the bare network's file.  arrange: (N, C, H, W) float32 as that file takes it, in its dtype.  others: what it takes beside
    that.
    """
    worst = dict.fromkeys(parts, 0.0)
    try:
        with contextlib.closing(runtime):
            runtime.open(path)
            for case in cases:
                if case.ready is not None:
                    got = runtime.run(arrange(case.ready.astype(np.float32)), others(case.ready))
                    found = differences({name: got[name] for name in case.expected}, case, parts)
                    worst = {key: max(value, found[key]) for key, value in worst.items()}
    except Exception:  # noqa: BLE001 - what it cannot run, judge() reports of the file that is published
        return None
    return worst if np.isfinite(list(worst.values())).all() else None


def check_known(names: Sequence[str], known: Iterable[str]) -> None:
    """Raises BundleError for a name that no runtime has."""
    if isinstance(names, str):
        raise BundleError(f"expected a list of runtimes, got the text {names!r}; write [{names!r}]", name="unknown-choice")
    for name in names:
        if name not in set(known):
            raise BundleError(
                f"expected a runtime, one of {', '.join(known)}, got {name!r}{did_you_mean(name, known)}", name="unknown-choice"
            )
