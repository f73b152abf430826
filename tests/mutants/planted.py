"""A planted fault, and what became of it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Planted:
    """what: the fault.  noticed: by what, or None.  moved: how far the outputs of fresh pictures go, over the largest one; None: there are
    none. tolerance: how far they might.  alone: nothing but the recipe says what is meant, so that nobody can tell."""

    kind: str
    what: str
    noticed: str | None
    moved: float | None
    tolerance: float = 0.0
    alone: bool = False

    @property
    def moves(self) -> bool:
        return self.noticed is None and self.moved is not None and self.moved > self.tolerance

    @property
    def missed(self) -> bool:
        return self.moves and not self.alone

    def row(self) -> str:
        moved = "nothing runs" if self.moved is None else f"{self.moved:.1e}"
        unnoticed = "left: the recipe is all that says" if self.moves and self.alone else "not noticed, and nothing moves"
        verdict = self.noticed or ("**missed**" if self.missed else unnoticed)
        return f"| {self.kind} | {self.what} | {verdict} | {moved} |"
