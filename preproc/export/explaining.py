"""Why answers of a bundle's file are wrong, where the original network is at hand to say it."""

from typing import TYPE_CHECKING

from ..bundle import EIGHT, Bundle, precision_of, steps_of
from ..verify import Answers, Explain, explainer
from .finding import rebuild
from .truths import truths_of

if TYPE_CHECKING:
    from pathlib import Path

    from ..sources import Recipe
    from ..sources.backbones import Backbone


def explained(bundle: Bundle, known: "tuple[Recipe, Backbone | Path] | None" = None) -> Explain | None:
    """What explains wrong answers of its files; None where they have 8 bits, which hide most of it, or take several pictures.

    known: the recipe and the original network, as rebuild() finds them; None: they are looked for where they are needed.
    """
    if precision_of(bundle.contract) == EIGHT or "pictures" in bundle.contract:
        return None

    def original() -> Answers:
        return truths_of(*(known or rebuild(bundle, None))).reference

    return explainer(steps_of(bundle.contract), original)
