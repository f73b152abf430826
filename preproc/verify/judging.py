"""One runtime, one file, all cases -> a verdict. Whatever goes wrong is one, too."""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, PreprocError, RuntimeAbsentError, VerificationError, did_you_mean, first_line
from ..host import Progress, paced, silent
from .cases import Case, Given
from .difference import differences, largest_error, top1
from .power import MARGIN, MOST, Power
from .report import ABSENT, FAILED, INCONCLUSIVE, PASSED, Result
from .runtimes import Outputs, Runtime


def judge(
    runtime: Runtime, path: Path, cases: Sequence[Case], power: Power, *, bare: float | None = None, progress: Progress = silent
) -> Result:
    """Runs every case in one runtime. Whatever goes wrong is a verdict, never an exception.

    bare: what the bare network errs by in this runtime, see bare_error().
    """
    with contextlib.closing(runtime):
        return _judged(runtime, path, cases, power, bare, progress)


def _judged(runtime: Runtime, path: Path, cases: Sequence[Case], power: Power, bare: float | None, progress: Progress) -> Result:
    try:
        runtime.open(path)
    except RuntimeAbsentError as absence:
        return Result(runtime.name, ABSENT, str(absence))
    except PreprocError as problem:
        return Result(runtime.name, FAILED, str(problem))
    tally = _Tally(runtime, cases[0].name, power, bare)
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


class _Tally:
    """What one runtime's answers come to. over: the largest error, less what a case may have more than others; wrong: it in words."""

    def __init__(self, runtime: Runtime, first: str, power: Power, bare: float | None) -> None:
        self.power, self.bare = power, bare
        self.tolerance, self.limit = power.bounds(bare, reduced=runtime.reduced)
        self.result = Result(runtime.name, FAILED, error=0.0, worst=first, bare=bare, tolerance=self.tolerance)
        self.agreed, self.asked, self.over, self.wrong = 0, 0, 0.0, ""

    def add(self, case: Case, got: Outputs) -> None:
        """Raises VerificationError where the outputs are others."""
        each = differences(got, case, self.power.scale)
        output = max(each, key=lambda name: each[name])
        error = each[output]
        if error > (self.result.error or 0.0):
            self.result = replace(self.result, error=error, worst=case.name)
        own = 0.0 if self.power.asked is not None else max(0.0, case.slack - self.power.slack)
        if error - own > max(self.tolerance, self.over):
            share = f", the share of {output} that is not equal" if output in self.power.exact else ""
            self.over, self.wrong = error - own, f"error {error:.2e} on {case.name}, tolerance {self.tolerance + own:.1e}{share}"
        right, of = top1(got, case)
        self.agreed, self.asked = self.agreed + right, self.asked + of
        self.result = replace(self.result, pictures=self.result.pictures + len(case.pictures))

    def _widen(self, room: float) -> None:
        """Makes room for what one rounding of the model-ready tensor moves in the original."""
        self.tolerance, self.limit = self.tolerance + room, self.limit + room
        self.result = replace(self.result, tolerance=self.tolerance)
        if self.over <= self.tolerance:
            self.wrong = ""

    def stopped(self, reason: str) -> Result:
        """The runtime ran no further: absent, unless it was wrong before."""
        if self.over > self.limit:
            return replace(self.result, reason=f"{self.wrong}; then, {reason}")
        return Result(self.result.runtime, ABSENT, reason)

    def so_far(self) -> Result:
        return replace(self.result, top1=self.agreed / self.asked if self.asked else None)

    def verdict(self, ran: str) -> Result:
        """Of a runtime that answered all cases. ran: what ran where."""
        if self.power.room and self.over > self.tolerance and self.power.asked is None:
            self._widen(self.power.room)
        result = replace(self.so_far(), ran=ran)
        if self.over > self.limit:
            alone = self.bare is not None and self.bare > MARGIN * MOST
            most = max(self.power.scale.values())
            hint = f", and answers {most:.1e} at most here: pictures of what it is made for (--images) may tell more"
            reason = self.wrong + (f"; the bare network alone errs by {self.bare:.1e} in this runtime{hint}" if alone else "")
            known = result.error if np.isfinite(result.error or 0.0) else None  # JSON has no infinity
            return replace(result, reason=reason, error=known)
        weakness = self.power.weakness(self.tolerance, self.bare)
        if self.wrong and weakness is None:
            errs = self.bare or self.power.bare_error
            weakness = f"{self.wrong}, which the bare network alone, {errs:.1e} from float64 here, can account for"
        return replace(result, verdict=INCONCLUSIVE if weakness else PASSED, reason=weakness)


def bare_error(
    runtime: Runtime,
    path: Path,
    cases: Sequence[Case],
    scale: Mapping[str, float],
    arrange: Callable[[NDArray[np.float32]], NDArray[Any]],
    others: Given = lambda _: {},
) -> float | None:
    """The largest error of the bare network in this runtime, fed with the reference's ready values; None where it does not run there.

    path: of the bare network's file.  arrange: (N, C, H, W) float32 as that file takes it.  others: what it takes beside that.
    """
    worst = 0.0
    try:
        with contextlib.closing(runtime):
            runtime.open(path)
            for case in cases:
                if case.ready is not None:
                    got = runtime.run(arrange(case.ready.astype(np.float32)), others(case.ready))
                    worst = max(worst, largest_error({name: got[name] for name in case.expected}, case, scale))
    except Exception:  # noqa: BLE001 - what it cannot run, judge() reports of the file that is published
        return None
    return worst if np.isfinite(worst) else None


def check_known(names: Sequence[str], known: Iterable[str]) -> None:
    """Raises BundleError for a name that no runtime has."""
    if isinstance(names, str):
        raise BundleError(f"expected a list of runtimes, got the text {names!r}; write [{names!r}]", name="unknown-choice")
    for name in names:
        if name not in set(known):
            raise BundleError(
                f"expected a runtime, one of {', '.join(known)}, got {name!r}{did_you_mean(name, known)}", name="unknown-choice"
            )
