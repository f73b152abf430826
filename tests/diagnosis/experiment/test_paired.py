"""The statistics of pairs, against the definitions, computed otherwise."""

import math

import numpy as np
import pytest

from preproc.diagnosis.experiment.paired import Z, mcnemar, paired, those_that_differ, wilson

COUNTS = [(0, 0, 10), (9, 0, 10), (0, 1, 10), (3, 5, 20), (10, 0, 10), (40, 12, 200), (0, 7, 1000)]


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (1, 0), (5, 0), (0, 9), (7, 3), (60, 41), (500, 430)])
def test_mcnemars_exact_test_is_the_binomials_two_tails(lost, gained):
    count = lost + gained
    tail = sum(math.comb(count, k) for k in range(min(lost, gained) + 1))
    assert mcnemar(lost, gained) == pytest.approx(min(1.0, 2 * tail / 2**count), rel=1e-9)


def likeliest_loss(lost, gained, count, difference):
    """The probability of a loss that makes the counts likeliest where gains are more probable by `difference`: looked for, not solved."""
    low, high = max(0.0, -difference), (1 - difference) / 2
    for _ in range(12):  # a grid, and ever finer ones around its best point
        grid = np.linspace(low, high, 2001)
        gain, rest = grid + difference, 1 - 2 * grid - difference
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = ((lost, grid), (gained, gain), (count - lost - gained, rest))
            fit = sum(np.where(n > 0, n * np.log(np.clip(p, 1e-300, 1)), 0) for n, p in terms)
        best = int(fit.argmax())
        low, high = grid[max(best - 2, 0)], grid[min(best + 2, 2000)]
    return float((low + high) / 2)


@pytest.mark.parametrize(("lost", "gained", "count"), COUNTS)
def test_tangos_limits_are_where_the_score_is_that_of_95_percent(lost, gained, count):
    for limit, sign in zip(paired(lost, gained, count), (1, -1), strict=True):
        if abs(limit) > 1 - 1e-6:
            continue  # the score is nowhere as large
        loss = likeliest_loss(lost, gained, count, limit)
        error = math.sqrt(count * (2 * loss + limit * (1 - limit)))
        assert (gained - lost - count * limit) / error == pytest.approx(sign * Z, abs=2e-3)


@pytest.mark.parametrize(
    ("lost", "gained", "count", "limits"),
    [
        (7, 1, 21, (-0.517, -0.026)),  # Fagerland, Lydersen and Laake, Statistics in Medicine 33 (2014), table II
        (8, 16, 86, (-0.020, 0.207)),  # Agresti and Min, Statistics in Medicine 24 (2005)
    ],
)
def test_tangos_interval_is_that_of_published_examples(lost, gained, count, limits):
    assert paired(lost, gained, count) == pytest.approx(limits, abs=5e-4)


@pytest.mark.parametrize("chances", [(0.05, 0.05), (0.3, 0.1), (0.6, 0.02), (0.02, 0.0)])
def test_the_interval_holds_the_difference_as_often_as_it_says(chances):
    """All outcomes of 16 pictures, with their probabilities: no simulation."""
    lose, gain = chances
    count, covered = 16, 0.0
    for lost in range(count + 1):
        for gained in range(count + 1 - lost):
            rest = count - lost - gained
            ways = math.factorial(count) // (math.factorial(lost) * math.factorial(gained) * math.factorial(rest))
            low, high = paired(lost, gained, count)
            if low <= gain - lose <= high:
                covered += ways * lose**lost * gain**gained * (1 - lose - gain) ** rest
    assert covered > 0.93


@pytest.mark.parametrize(("right", "count"), [(0, 5), (5, 5), (199, 200), (37, 80)])
def test_wilsons_interval_are_the_roots_of_its_equation(right, count):
    share = right / count
    roots = np.roots([1 + Z**2 / count, -(2 * share + Z**2 / count), share**2])
    assert wilson(right, count) == pytest.approx(sorted(roots.real), abs=1e-9)


def test_the_first_of_many_is_not_found_by_looking_often():
    assert those_that_differ([0.03] + [0.5] * 19) == [False] * 20
    assert those_that_differ([0.04, 0.001, 0.9, 0.02]) == [False, True, False, True]
    assert those_that_differ([]) == []
    assert those_that_differ([0.049]) == [True]
