"""What is answered of a network: a verdict, the candidates by rank, and what was measured without candidates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...steps import Step
from .beside import Room
from .fitting import Fit
from .networks import Array

IDENTIFIED, NARROWED, NOT_IDENTIFIED, CANNOT_BE_TOLD = "identified", "narrowed", "not identified", "cannot be told"
IF_ALIKE = "if these pictures are like those that it was trained with, in the order of their colours, too"
"""What every answer that names something, or rules something out, holds under."""
SHOWN = 5
"""Candidates that lines() shows beside those that are not told apart."""


@dataclass(frozen=True)
class Ranked:
    """A candidate. measured: what it is ranked by and what belongs to it, by name; an interval is a pair.  kept: whether it is not ruled
    out."""

    name: str
    what: str
    steps: tuple[Step, ...]
    measured: dict[str, float | tuple[float, float]]
    kept: bool

    def to_json(self) -> dict[str, Any]:
        steps = [step.spec() for step in self.steps]
        return {"name": self.name, "what": self.what, "steps": steps, **self.measured, "kept": self.kept}


@dataclass(frozen=True, eq=False)
class ModelDiagnosis:
    """by: "BatchNorm statistics" or "labels".  verdict: one of the four above.  reason: it in a sentence, and what to do where it is not
    `identified`.  candidates: the best first.  fit: scale and mean without candidates, of BatchNorms.  color: the order that it is in.
    pictures: how many.  notes: what was noticed on the way.  room: how near to the best candidate labels tell."""

    name: str
    by: str
    verdict: str
    reason: str
    pictures: int
    candidates: tuple[Ranked, ...] = ()
    fit: Fit | None = None
    color: str = ""
    notes: tuple[str, ...] = ()
    room: Room | None = None

    @property
    def fits(self) -> tuple[Ranked, ...]:
        """The candidates that are not told apart, the best first; none of "not identified"."""
        return tuple(each for each in self.candidates if each.kept) if self.verdict in (IDENTIFIED, NARROWED) else ()

    @property
    def second(self) -> Ranked | None:
        """The best of those that are ruled out."""
        return next((each for each in self.candidates if not each.kept), None)

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.name,
            "by": self.by,
            "verdict": self.verdict,
            "reason": self.reason,
            "pictures": self.pictures,
            "fits": [each.name for each in self.fits],
            "second": None if self.second is None else self.second.name,
            "candidates": [each.to_json() for each in self.candidates],
            "without_candidates": None if self.fit is None else _fit_json(self.fit, self.color),
            "room": None if self.room is None else self.room.to_json(),
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """For people."""
        shown = list(self.candidates[: len(self.fits) + SHOWN])
        table = [f"  {'*' if each in self.fits else ' '} {each.name:<40} {_measured(each)}" for each in shown]
        left = len(self.candidates) - len(shown)
        return [
            f"{self.name}: {self.verdict}, by {self.by} on {self.pictures} pictures",
            f"  {self.reason}",
            *table,
            *([f"    and {left} more, further away"] if left > 0 else []),
            *([] if self.fit is None else _fit_lines(self.fit, self.color)),
            *([f"  {self.candidates[0].name}: {self.room}"] if self.room is not None and len(self.fits) > 1 else []),
            *(f"  note: {note}" for note in self.notes),
        ]


def _measured(each: Ranked) -> str:
    return ", ".join(
        f"{name} {value[0]:.3g} to {value[1]:.3g}" if isinstance(value, tuple) else f"{name} {value:.3g}"
        for name, value in each.measured.items()
    )


def _fit_json(fit: Fit, color: str) -> dict[str, Any]:
    def listed(values: Array | None) -> Any:
        return None if values is None else np.asarray(values).T.tolist()

    return {
        "color": color,
        "mean_levels": fit.mean.tolist(),
        "mean_within": listed(fit.mean_interval),
        "std_levels": fit.std.tolist(),
        "std_within": listed(fit.std_interval),
        "divergence": fit.distance.value,
        "noise": fit.distance.noise,
    }


def _fit_lines(fit: Fit, color: str) -> Iterator[str]:
    yield f"  without candidates, by least squares, {color}: divergence {fit.distance.value:.3g}, as (grey level - mean) / std"
    if fit.mean_interval is None or fit.std_interval is None:
        yield "    the scale and mean of single channels are not told by these features and pictures"
        return
    for name, values, within in (("mean", fit.mean, fit.mean_interval), ("std", fit.std, fit.std_interval)):
        told = (f"{value:.4g} [{low:.4g}, {high:.4g}]" for value, low, high in zip(values, *within, strict=True))
        over = ", ".join(f"{value / 255:.3f}" for value in values)
        yield f"    {name} {', '.join(told)} grey levels; over 255: {over}"


def names_of(candidates: Sequence[Ranked]) -> str:
    return "; ".join(each.name for each in candidates)
