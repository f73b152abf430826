"""How far two accuracies on the same pictures are apart, and how sure that is. By the formulas, without scipy."""

import math
from collections.abc import Sequence

from .. import at_least

Z = 1.959963984540054
"""Of the normal distribution's middle 95 %."""


def wilson(right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share: Wilson's score interval (1927)."""
    share, more = right / count, Z * Z / count
    middle = (share + more / 2) / (1 + more)
    half = Z / (1 + more) * math.sqrt(share * (1 - share) / count + more / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def mcnemar(lost: int, gained: int) -> float:
    """McNemar's exact test, two-sided: how likely is so uneven a split of the pictures on which two disagree, if each falls to either side
    by a coin. lost, gained: right of the first alone, and of the second."""
    return min(1.0, 2 * at_least(max(lost, gained), lost + gained, 0.5))


def paired(lost: int, gained: int, count: int) -> tuple[float, float]:
    """The 95 % interval of (gained - lost) / count, the difference of two accuracies on the same `count` pictures: the score interval of
    Tango (Statistics in Medicine 17, 1998), which keeps its promise for few pictures, and for differences near 1."""
    low, high = (_limit(lost, gained, count, bound) for bound in (Z, -Z))
    return low, high


def _limit(lost: int, gained: int, count: int, bound: float) -> float:
    """Where the score, which falls as the difference rises, is `bound`."""
    low, high = -1.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _score(lost, gained, count, middle) > bound:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _score(lost: int, gained: int, count: int, difference: float) -> float:
    """How many standard errors the observed difference is above that one; the standard error is where that one is most likely."""
    b = -gained - lost + (2 * count - gained + lost) * difference
    c = -lost * difference * (1 - difference)
    chance = (math.sqrt(max(0.0, b * b - 8 * count * c)) - b) / (4 * count)  # of a picture that is lost
    variance = count * (2 * chance + difference * (1 - difference))
    distance = gained - lost - count * difference
    return distance / math.sqrt(variance) if variance > 1e-12 else math.copysign(math.inf, distance) if distance else 0.0


def those_that_differ(chances: Sequence[float], share: float = 0.05) -> list[bool]:
    """Which of several tests hold when all are looked at: Benjamini and Hochberg (1995), a false discovery rate of `share`."""
    ordered = sorted(chances)
    passing = [chance for rank, chance in enumerate(ordered, start=1) if chance <= share * rank / len(ordered)]
    most = max(passing, default=-1.0)
    return [chance <= most for chance in chances]
