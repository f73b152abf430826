"""What diagnose answers of pairs: a verdict, what fits, how far the next one is, what stays open, and the recipe."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PreprocError
from ..host import targets
from ..steps import Step
from .affine import Solved
from .geometry import Geometry

VERDICTS = ("identified", "narrowed", "not identified")


@dataclass(frozen=True, eq=False)
class Candidate:
    """One geometry with the affine part that fits best behind it.

    rms, largest: of the residual over all pairs, in grey levels.  words: of the whole.
    """

    geometry: Geometry
    solved: Solved
    rms: float
    largest: float

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


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """verdict: "identified", "narrowed" or "not identified".  fits: the candidates that explain the tensors, the best first; of "not
    identified" the nearest.  second: the best of those that do not, None where all do.  steps: a recipe's, whole, which reproduce the
    tensors; None where no recipe says that.  ambiguous: what the pairs do not tell.  notes: what was noticed on the way.  recipe: TOML.
    explained: the residual, in grey levels, that the tensors' own precision explains."""

    verdict: str
    fits: Sequence[Candidate]
    second: Candidate | None
    explained: float
    steps: tuple[Step, ...] | None
    recipe: str | None
    ambiguous: tuple[str, ...]
    notes: tuple[str, ...]
    pictures: int

    @property
    def best(self) -> Candidate:
        return self.fits[0]

    def save(self, path: str | Path) -> None:
        """Writes the recipe, over no file. Raises PreprocError, where there is none, too."""
        path = Path(path)
        if self.recipe is None:
            raise PreprocError(
                f"{path}: expected a preprocessing that a recipe can say, got: {self.why_no_recipe}", name="steps-cannot-say"
            )
        if path.suffix != ".toml" or not path.absolute().parent.is_dir():
            raise PreprocError(f"{path}: expected the name of a .toml file in a folder that exists, got another", name="target-name")
        if path.exists():
            raise PreprocError(f"{path}: expected a free name, got a file that is there and stays as it is", name="target-taken")
        targets.check_place(path)
        with targets.writing(path):
            path.write_text(self.recipe, encoding="utf-8")

    @property
    def why_no_recipe(self) -> str:
        return self.verdict

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "pictures": self.pictures,
            "fits": [candidate.to_json() for candidate in self.fits],
            "second": None if self.second is None else self.second.to_json(),
            "explained_levels": self.explained,
            "ambiguous": list(self.ambiguous),
            "notes": list(self.notes),
            "steps": None if self.steps is None else [step.spec() for step in self.steps],
            "recipe": self.recipe,
        }

    def lines(self) -> list[str]:
        """For people."""
        return [self.verdict, *(candidate.words for candidate in self.fits)]
