"""Student's t and the binomial's tail, by their formulas: what few pictures leave room for. SciPy is no dependency."""

import functools
import math


@functools.cache
def student(freedom: int, share: float) -> float:
    """What |t| stays below with the probability `share`, for so many degrees of freedom, 1 or more."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        if _inside(freedom, middle) < share:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def _inside(freedom: int, angle: float) -> float:
    """How likely |t| is below sqrt(freedom) tan(angle): Abramowitz and Stegun, 26.7.3 and 26.7.4, which are finite sums."""
    odd, cosine = freedom % 2, math.cos(angle)
    term, total = (cosine if odd else 1.0), 0.0
    for number in range(1 + odd, freedom, 2):
        total += term
        term *= cosine * cosine * number / (number + 1)
    inside = math.sin(angle) * total
    return 2 / math.pi * (angle + inside) if odd else inside


def at_least(right: int, count: int, share: float) -> float:
    """How likely `right` or more of `count` are if each is with the probability `share`."""
    return math.fsum(_exactly(number, count, share) for number in range(right, count + 1))


def _exactly(number: int, count: int, share: float) -> float:
    if share in (0.0, 1.0):
        return float(number == count * share)
    ways = math.lgamma(count + 1) - math.lgamma(number + 1) - math.lgamma(count - number + 1)
    return math.exp(ways + number * math.log(share) + (count - number) * math.log1p(-share))
