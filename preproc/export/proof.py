"""What is true, as a value; and of several pictures of one file, each of which is varied in its turn, as one."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..bundle import contract as contracts
from ..sources import Recipe
from ..steps import Size
from ..verify import NOISE, Case, Control, Noticed, OutputTruth, Part, Power


@dataclass(frozen=True)
class Proof:
    """cases: all inputs with the reference's outputs.  golden: those that are written into the bundle, on which `power` was measured.
    noticed: see measure_power().  bare_in: the runtime that the bare network was measured in there; None: in none.
    sizes: (height, width) of the pixels where a side is free.  origin: what the cases come from, for people.
    rounded_once: whether float32 gives the correctly rounded model-ready tensor where the steps are not folded.
    draws: ready values that only the bare network is fed with, further draws of its noise.
    original: photographs with the outputs that the published Python pipeline leads to; ready_error: as verify.Original's.  no_original:
    why there are none."""

    cases: tuple[Case, ...]
    golden: tuple[Case, ...]
    power: Power
    noticed: Noticed
    bare_in: str | None
    sizes: tuple[Size, ...]
    origin: str
    rounded_once: bool = False
    draws: tuple[Case, ...] = ()
    original: tuple[Case, ...] | None = None
    ready_error: float = 0.0
    no_original: str = ""

    @property
    def against(self) -> str:
        """What a report says that it compares with."""
        return f"{self.origin}, {len(self.cases)} inputs"


BEFORE = "its picture was attached before"
"""Why the pipeline that it was published as is not run."""


def joined(views: Sequence[Recipe], proofs: Sequence[Proof]) -> Proof:
    """Of recipes that see one file from each of its pictures. Every known mistake is made in each picture by itself, and says in which; a
    case has the name of the picture that it varies."""
    if len(views) == 1 and views[0].takes == contracts.INPUT:
        return proofs[0]
    power, noticed = _power(views, proofs)
    first = proofs[0]
    cases = [_case(view, case) for view, proof in zip(views, proofs, strict=True) for case in proof.cases]
    golden = [_case(view, case) for view, proof in zip(views, proofs, strict=True) for case in proof.golden]
    once = all(proof.rounded_once for proof in proofs)
    sizes = tuple(dict.fromkeys(size for proof in proofs for size in proof.sizes))
    made = replace(first, cases=tuple(cases), golden=tuple(golden), power=power, noticed=noticed, sizes=sizes, rounded_once=once)
    return made if views[0].takes == contracts.INPUT else replace(made, original=None, no_original=BEFORE)


def _case(view: Recipe, case: Case) -> Case:
    """With the file's input `pixels` as its pixels. What is ready of another picture is not kept: the bare network is fed by the first."""
    if view.takes == contracts.INPUT:
        return case
    others = {name: array for name, array in case.others.items() if name != contracts.INPUT}
    name = f"{re.sub('[^A-Za-z0-9_-]', '_', view.takes)}-{case.name}"
    axes = next(picture.pixels.picture_axes for picture in view.further if picture.takes == contracts.INPUT)
    return replace(case, name=name, pixels=case.others[contracts.INPUT], others={view.takes: case.pixels, **others}, ready=None, axes=axes)


def _power(views: Sequence[Recipe], proofs: Sequence[Proof]) -> tuple[Power, Noticed]:
    """What all of them would have noticed: the largest scales and errors, every picture's mistakes, the largest of the smallest shifts."""
    powers = [proof.power for proof in proofs]
    scale = {name: max(power.scale[name] for power in powers) for name in powers[0].scale}
    groups = {key: replace(part, scale=max(power.groups[key].scale for power in powers)) for key, part in powers[0].groups.items()}
    parts = replace(powers[0], scale=scale, groups=groups).parts
    controls = tuple(_control(view, control, power, parts) for view, power in zip(views, powers, strict=True) for control in power.controls)

    slacks = {key: sum(_rescaled(power.slacks, power.parts, parts).get(key, 0.0) for power in powers) for key in parts}  # each is resized

    def noticed(tolerances: Mapping[str, float]) -> float | None:
        shifts = [proof.noticed(_rescaled(tolerances, parts, proof.power.parts)) for proof in proofs]
        known = [shift for shift in shifts if shift is not None]
        return max(known) if len(known) == len(shifts) else None

    return replace(
        powers[0],
        scale=scale,
        groups=groups,
        bare_error=max(power.bare_error for power in powers),
        tolerance=max(power.tolerance for power in powers),
        controls=controls,
        slack=max(slacks.values()),
        slacks=slacks,
        truths={name: _truth([power.truths[name] for power in powers]) for name in powers[0].truths},
        steps=max(power.steps for power in powers),
        unresolved=_sums([power.unresolved for power in powers]),
        numbers=_sums([power.numbers for power in powers]),
        borderline=_sums([power.borderline for power in powers]),
        values=_sums([power.values for power in powers]),
        untouched=tuple(name for name in powers[0].untouched if all(name in power.untouched for power in powers)),
    ), noticed


def _rescaled(tolerances: Mapping[str, float], parts: Mapping[str, Part], own: Mapping[str, Part]) -> dict[str, float]:
    """Relative to the scale of `own`, what was to that of `parts`."""
    return {key: value * (parts[key].scale / own[key].scale if own[key].scale else 1.0) for key, value in tolerances.items()}


def _truth(truths: Sequence[OutputTruth]) -> OutputTruth:
    """The weakest, with the largest error."""
    weakest = next((truth for truth in truths if truth.kind == NOISE), truths[0])
    return replace(weakest, error=max(truth.error for truth in truths), rounding=max(truth.rounding for truth in truths))


def _control(view: Recipe, control: Control, power: Power, parts: Mapping[str, Part]) -> Control:
    """Named after its picture, and relative to the scale of all."""
    own = power.parts
    share = {key: own[key].scale / parts[key].scale if parts[key].scale else 1.0 for key in control.movements}
    movement = None if control.movement is None else control.movement * min(share.values(), default=1.0)
    movements = {name: value * share[name] for name, value in control.movements.items()}
    return replace(control, name=f"{view.takes}: {control.name}", movement=movement, movements=movements)


def _sums(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    names = dict.fromkeys(name for each in counts for name in each)
    return {name: sum(each.get(name, 0) for each in counts) for name in names}
