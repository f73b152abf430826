"""What each runtime answers: the report on files, against the truth or, where that is not at hand, against golden samples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..bundle import Bundle, precision_of
from ..host import Progress, paced
from ..sources.published import title
from ..verify import Case, Explain, Original, OutputTruth, Power, Report, Result, judge, settled
from ..verify.runtimes import RUNTIMES, InTurn, Runtime, made
from .bare import Bare, BareBefore
from .proof import Proof
from .splitting import SPLIT, ByFile, between
from .substitutes import Substitute

if TYPE_CHECKING:
    from torch import nn


def report_on(
    place: Path,
    contract: Mapping[str, Any],
    proof: Proof,
    names: Sequence[str],
    *,
    module: "nn.Module | None",
    bare: "Bare | BareBefore",
    tf32: bool = False,
    ours: bool = True,
    explain: Explain | None = None,
    progress: Progress,
) -> Report:
    """Verifies the files in the folder `place`, or the one file `place`, which carry `contract`, in the named runtimes.

    The contract's precision says how they are judged. module: the model in Python, for the runtimes that take one.  bare: the network alone
    in that precision, for what it errs by.  tf32: allow it, whatever the contract says.  ours: whether the files are as they were written;
    what somebody made of them since may round otherwise.  explain: asked why answers are wrong.
    """
    folded = any(entry["folded"] for entry in contract["fold"].values())
    power = replace(proof.power, precision=precision_of(contract))
    tight = replace(power, room=0.0 if proof.rounded_once and ours and not folded else power.steps)
    rounds = [(proof.cases, tight)]
    if proof.original is not None:  # whose model-ready tensors have other roundings
        rounds.append((proof.original, replace(power, room=power.steps)))
    runtimes = make_runtimes(names, contract, module, tf32=tf32)

    def alone(runtime: Runtime) -> Mapping[str, float] | None:
        known = runtime.name == proof.bare_in and power.precision == proof.power.precision
        return power.bare_errors if known else bare.errors(runtime, proof.cases, power.parts)

    if proof.draws:
        progress("running the bare network on further draws of its noise")
        rounds = [(cases, replace(one, truths=_drawn(one, bare, proof.draws, runtimes))) for cases, one in rounds]
        tight = rounds[0][1]
    split: ByFile = {}
    if power.precision in SPLIT and isinstance(bare, Bare):
        progress(f"evaluating what the error in {power.precision} is made of")
        split = between(place, proof, bare, {runtime.file for runtime in runtimes}, module, power.precision, progress)
    results, *compared = _ask(place, runtimes, rounds, alone, progress, split, explain)
    progress("looking for the smallest mistake that shows")
    power = settled(tight, results, proof.noticed)
    original = None
    if contract.get("steps_from") is not None:
        name = title(contract["steps_from"])
        original = Original(name, reason=proof.no_original)
        if proof.original is not None:
            original = Original(name, len(proof.original), proof.ready_error, compared[0])
    agree, asked = str(contract["backbone"]["constants_agree"]), tuple(case.name for case in proof.cases)
    return Report(str(contract["name"]), proof.against, agree, power, results, asked, original, _allowed(contract, tf32))


def _drawn(power: Power, bare: "Bare | BareBefore", draws: Sequence[Case], runtimes: Sequence[Runtime]) -> Mapping[str, OutputTruth]:
    """With the largest error of the bare network on these, in the runtimes that are judged in the files' own precision. What a bundle's
    bare network erred by before is no draw of these."""
    truths = dict(power.truths)
    for runtime in runtimes if isinstance(bare, Bare) else ():
        for key, error in (bare.errors(runtime, draws, power.parts) or {}).items():
            if power.precision_of(reduced=runtime.reduced) == power.precision and key in truths:
                truths[key] = replace(truths[key], drawn=max(truths[key].drawn, error))
    return truths


def report_on_golden(
    bundle: Bundle,
    other: Substitute | None,
    names: Sequence[str],
    *,
    why_not: str,
    tolerance: float | None,
    tf32: bool,
    explain: Explain | None = None,
    progress: Progress,
) -> Report:
    """Verifies a bundle's files, or the other one, as report_on() does, by its golden samples. why_not: why there is no network in Python.
    tolerance: in place of the bundle's own.  explain: as report_on()'s."""
    contract, power, place = bundle.contract, bundle.report.power, bundle.folder if other is None else other.path
    cases = bundle.golden() if other is None else other.fitting(bundle.golden())
    power = power if tolerance is None else replace(power, asked=tolerance, smallest_shift=None, shift_measured=False)
    power = power if other is None else replace(power, room=power.steps)
    runtimes = make_runtimes(names, contract, None, why_not=why_not, tf32=tf32)
    progress(f"verifying {', '.join(names)} on the golden samples")
    (results,) = _ask(place, runtimes, [(cases, power)], bundle.report.bare_errors, progress, explain=explain)
    original = None
    if contract.get("steps_from") is not None:
        original = Original(title(contract["steps_from"]), reason="it takes the original backbone, which was not asked for")
    agree, asked = str(contract["backbone"]["constants_agree"]), tuple(case.name for case in cases)
    allowed, against = _allowed(contract, tf32), bundle.against_golden(len(cases))
    return Report(str(contract["name"]), against, agree, power, results, asked, original, allowed)


def make_runtimes(
    names: Sequence[str], contract: Mapping[str, Any], module: "nn.Module | None", *, why_not: str = "", tf32: bool = False
) -> list[Runtime]:
    """The named runtimes, those in Python around `module`. tf32: allow it, whatever the contract says."""
    outputs = [output["name"] for output in contract["outputs"]]
    return [made(RUNTIMES[name], module, outputs, why_not=why_not, tf32=_allowed(contract, tf32)) for name in names]


def _allowed(contract: Mapping[str, Any], tf32: bool) -> bool:
    return tf32 or bool(contract.get("tf32", False))


def _ask(
    place: Path,
    runtimes: Sequence[Runtime],
    rounds: Sequence[tuple[Sequence[Case], Power]],
    bare: Callable[[Runtime], Mapping[str, float] | None],
    progress: Progress,
    split: ByFile = MappingProxyType({}),
    explain: Explain | None = None,
) -> list[tuple[Result, ...]]:
    """What each runtime answers in each round of cases, and by which power it is judged. bare: what the bare network errs by in a runtime,
    by part; None: not known.  split: as judge()'s `between`, of each file."""
    alone, in_turn = {runtime.name: bare(runtime) for runtime in paced(runtimes, "running the bare network", progress)}, InTurn(runtimes)

    def answer(runtime: Runtime, cases: Sequence[Case], power: Power) -> Result:
        file = place / (runtime.file or "") if place.is_dir() else place
        own = split.get(runtime.file, {})
        return judge(runtime, file, cases, power, bare=alone[runtime.name], between=own, explain=explain, progress=progress)

    return [tuple(answer(runtime, cases, power) for runtime in in_turn) for cases, power in rounds]
