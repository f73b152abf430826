"""What few pictures leave room for, against published tables, and counted otherwise."""

import math
from fractions import Fraction

import numpy as np
import pytest

from preproc.diagnosis import at_least, student


@pytest.mark.parametrize(
    ("freedom", "share", "told"),
    [
        (1, 0.95, 12.706), (2, 0.95, 4.303), (3, 0.95, 3.182), (4, 0.95, 2.776), (30, 0.95, 2.042), (120, 0.95, 1.980),
        (3, 0.99, 5.841), (10, 0.99, 3.169), (60, 0.99, 2.660),
        (1, 0.999, 636.619), (4, 0.999, 8.610), (5, 0.999, 6.869), (9, 0.999, 4.781), (120, 0.999, 3.373),
    ],
)  # fmt: skip
def test_students_quantiles_are_those_of_the_table(freedom, share, told):
    """Abramowitz and Stegun, table 26.10."""
    assert student(freedom, share) == pytest.approx(told, abs=6e-4)


def test_with_many_pictures_it_is_the_normal_distribution():
    assert student(100_000, 0.999) == pytest.approx(3.290527, abs=2e-4)


@pytest.mark.parametrize(("right", "count", "share"), [(3, 4, (3, 5)), (20, 60, (1, 10)), (0, 3, (1, 3)), (7, 7, (1, 2)), (5, 4, (1, 2))])
def test_the_binomials_tail_is_what_fractions_add_up_to(right, count, share):
    p = Fraction(*share)
    exact = sum((math.comb(count, k) * p**k * (1 - p) ** (count - k) for k in range(right, count + 1)), Fraction(0))
    assert at_least(right, count, float(p)) == pytest.approx(float(exact), rel=1e-12)


def test_who_is_always_right_is_so_by_chance_alone_where_there_is_one_class():
    assert at_least(4, 4, 1.0) == 1.0
    assert at_least(1, 4, 0.0) == 0.0


def test_an_interval_of_few_holds_what_it_should_as_often_as_it_says():
    """Of 20,000 samples of five each; with the normal distribution's 1.96 it were 88 of 100."""
    drawn = np.random.default_rng(0).normal(0.3, 1.0, (20_000, 5))
    half = student(4, 0.95) * drawn.std(axis=1, ddof=1) / math.sqrt(5)
    assert np.mean(np.abs(drawn.mean(axis=1) - 0.3) <= half) == pytest.approx(0.95, abs=0.006)
