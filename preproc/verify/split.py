"""What an error in a lower precision is made of: the input's handling, the weights, the rest."""

from collections.abc import Mapping
from dataclasses import dataclass

from .arranging import arranged
from .cases import Case
from .difference import differences
from .parts import Part
from .runtimes import Outputs


@dataclass(frozen=True)
class Split:
    """How far, relative to the part's scale, the outputs are moved one after the other: `weights`, by the numbers that the narrowed network
    has in place of its own; `input`, by what the file makes of its input up to the first product with weights, and by the weights that
    were folded for that; `rest`, by all that is computed behind it in the runtime. Each is a largest difference: they do not add up to the
    `error` on the same samples, which is no larger than their sum; None in older reports."""

    input: float
    weights: float
    rest: float
    error: float | None = None

    def largest(self, other: "Split | None") -> "Split":
        if other is None:
            return self
        error = max(self.error or 0.0, other.error or 0.0)
        return Split(max(self.input, other.input), max(self.weights, other.weights), max(self.rest, other.rest), error)


@dataclass(frozen=True)
class Between:
    """Two answers to a case that lie between the truth and a runtime's, both evaluated in float64. narrowed: of the network with its
    narrowed numbers, fed with the reference's ready values.  handled: of the file, from what it makes of the pixels itself, in its own
    precision, up to the first product with weights."""

    narrowed: Outputs
    handled: Outputs

    def split(self, got: Outputs, case: Case, parts: Mapping[str, Part]) -> dict[str, Split]:
        """By part of the case, but for those of which nothing is compared: a NonMaxSuppression whose number of rows is luck. Raises
        VerificationError as differences() does, where an answer in between lists another number of rows."""
        weights = differences(self.narrowed, case, parts)
        handling = differences(self.handled, _after(case, self.narrowed, parts), parts)
        rest = differences(got, _after(case, self.handled, parts), parts)
        error = differences(got, case, parts)
        compared = [key for key in weights if not case.is_open(parts[key].output)]
        return {key: Split(handling[key], weights[key], rest[key], error[key]) for key in compared}


def _after(case: Case, answer: Outputs, parts: Mapping[str, Part]) -> Case:
    return Case(case.name, case.pixels, arranged(answer, case, parts).whole, unresolved=case.unresolved, axes=case.axes)
