"""What diagnose answers of pairs: a verdict, what fits, how far the next one is, what stays open, and the recipe."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PreprocError
from ...host import targets
from ...steps import Step
from ..geometry import Geometry
from ..solving import Solved
from .constants import Constants
from .recipe import THIS, Said

VERDICTS = ("identified", "narrowed", "not identified")


@dataclass(frozen=True, eq=False)
class Candidate:
    """One geometry with the affine part that fits best behind it.

    rms, largest: of the residual over all pairs, in grey levels; where every picture has constants of its own, rms with those.
    alike: all geometries that do the same to these pictures, it among them.
    """

    geometry: Geometry
    solved: Solved
    rms: float
    largest: float | None
    alike: tuple[Geometry, ...] = ()

    @property
    def words(self) -> str:
        return self.geometry.words

    def to_json(self) -> dict[str, Any]:
        affine = self.solved.affine
        return {
            "geometry": self.words,
            "order": list(affine.order),
            "scale": affine.scale.tolist(),
            "scale_within": _finite(self.solved.scale_within),
            "offset": affine.offset.tolist(),
            "offset_within": _finite(self.solved.offset_within),
            "residual_rms_levels": self.rms,
            "residual_largest_levels": self.largest,
        }


def _finite(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


@dataclass(frozen=True, eq=False, kw_only=True)
class Diagnosis:
    """verdict: "identified", "narrowed" or "not identified".  fits: the candidates that explain the tensors, the best first; of "not
    identified" the nearest, or none.  second: the best of those that do not explain them, None where all do.  explained: how large a
    residual the tensors' own precision explains, in grey levels; exact: whether the best one's is no larger.  constants: the affine part in
    words.  said: the recipe, None where none says it.  ambiguous: what the pairs do not tell.  notes: what was noticed on the way.  tried:
    how many geometries.  precision: of the tensors' numbers.  reason: of "not identified", where there is one."""

    verdict: str
    fits: tuple[Candidate, ...] = ()
    second: Candidate | None = None
    explained: float = 0.0
    exact: bool = False
    constants: Constants | None = None
    said: Said | None = None
    ambiguous: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    pictures: int = 0
    tried: int = 0
    precision: str = ""
    reason: str | None = None

    @staticmethod
    def of_none(reason: str, notes: tuple[str, ...], pictures: int, *, tried: int) -> "Diagnosis":
        """Where nothing can be judged."""
        return Diagnosis(verdict="not identified", reason=reason, notes=notes, pictures=pictures, tried=tried)

    @property
    def recipe(self) -> str | None:
        """The TOML of the steps, where a recipe says them."""
        return self.said.text if self.said else None

    @property
    def steps(self) -> tuple[Step, ...] | None:
        """The recipe's, whole, which reproduce the tensors, as far as `said.apart` says, of pictures to which `said.before` was done."""
        return self.said.steps if self.said else None

    @property
    def best(self) -> Candidate | None:
        return self.fits[0] if self.fits else None

    def save(self, path: str | Path) -> None:
        """Writes the recipe, over no file, and what lines() says above it as comments. Raises PreprocError, also where there is no
        recipe."""
        path = Path(path)
        if self.recipe is None:
            raise PreprocError(f"{path}: {self.refusal}", name="steps-cannot-say")
        check_free(path)
        with targets.writing(path):
            told = "".join(f"# {line}\n" for line in self.lines())
            path.write_text(told + self.recipe.replace(THIS, path.name, 1), encoding="utf-8")

    @property
    def refusal(self) -> str:
        """Of a recipe, where there is none."""
        return f"expected a preprocessing that a recipe can say, got: {self.why_no_recipe}; nothing is written"

    @property
    def why_no_recipe(self) -> str:
        """Where there is none."""
        if self.verdict == "not identified" or self.best is None:
            return f"nothing identified ({self.reason or 'no candidate is near'})"
        return f"{self.best.words}, which no recipe says"

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "pictures": self.pictures,
            "tried": self.tried,
            "fits": [candidate.to_json() for candidate in self.fits],
            "second": None if self.second is None else self.second.to_json(),
            "exact": self.exact,
            "explained_levels": self.explained,
            "precision": self.precision,
            "constants": None if self.constants is None else self.constants.to_json(),
            "ambiguous": list(self.ambiguous),
            "notes": list(self.notes),
            "steps": None if self.steps is None else [step.spec() for step in self.steps],
            "recipe": self.recipe,
            "recipe_behind": list(self.said.before) if self.said else [],
            "recipe_apart": asdict(self.said.apart) if self.said else None,
        }

    def lines(self) -> list[str]:
        """For people."""
        pictures = f"{self.pictures} picture{'' if self.pictures == 1 else 's'}"
        told = [f"{self.verdict}, from {pictures} and {self.tried} geometries" + (f": {self.reason}" if self.reason else "")]
        nearest = "nearest" if self.verdict == "not identified" else "geometry"
        told += [f"  {nearest:10} {each.words}{_residual(each)}" for each in self.fits[:MOST]]
        told += [f"  and {len(self.fits) - MOST} more"] if len(self.fits) > MOST else []
        if self.constants is not None and self.fits and self.verdict != "not identified":
            told += [f"  constants  {line}" for line in self.constants.lines(self.fits[0].solved)]
        if self.fits and not self.exact:
            told.append(
                f"  left over {_residual(self.fits[0])[1:]}, which the tensors' "
                f"precision ({self.precision}, {self.explained:.2g}) does not explain: nothing that was tried makes exactly these tensors"
                + ("; are they those of these pictures?" if self.verdict == "not identified" else "")
            )
        if self.second is not None:
            told.append(f"  next       {self.second.words}{_residual(self.second)}")
        told += [f"  open       {sentence}" for sentence in self.ambiguous]
        told += [f"  note       {sentence}" for sentence in self.notes]
        if self.said is None and self.fits:
            told.append(f"  recipe     none: {self.why_no_recipe}")
        if self.said is not None and self.said.before:
            told.append(f"  recipe     it begins behind {' and '.join(self.said.before)}, which nothing in it does: do that first")
        if self.said is not None and self.said.apart.why:
            told.append(f"  recipe     {self.said.apart.line}")
        return told


def check_free(path: Path) -> None:
    """Raises PreprocError where a recipe cannot be written."""
    if path.suffix != ".toml" or not path.absolute().parent.is_dir():
        raise PreprocError(f"{path}: expected the name of a .toml file in a folder that exists, got another", name="target-name")
    if path.exists():
        raise PreprocError(f"{path}: expected a free name, got a file that is there and stays as it is", name="target-taken")
    targets.check_place(path)


MOST = 8
"""Candidates that are printed."""


def _residual(one: Candidate) -> str:
    most = "" if one.largest is None else f", up to {one.largest:.3g}"
    return f": residual {one.rms:.3g} grey levels{most}"
