"""The error function, to the last bits of the one that Python has."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preproc.oracle.files.erf import PIECE, STEP, WORK, erf
from preproc.oracle.files.evaluating import multiply_adds
from preproc.oracle.files.reading import Node


@given(st.lists(st.floats(-8, 8) | st.floats(), min_size=1, max_size=20))
def test_it_is_pythons(values):
    found = erf(np.array(values))
    for value, got in zip(values, found, strict=True):
        assert got == pytest.approx(math.erf(value), rel=4e-16, abs=5e-324, nan_ok=True)


def test_between_places_and_in_pieces():
    x = np.arange(-6.5, 6.5, STEP / 2 + STEP / 97)
    x = np.resize(x, (2, PIECE // 2 + 3))
    found = erf(x)
    assert found.shape == x.shape
    assert np.abs(found - [[math.erf(value) for value in row] for row in x]).max() <= 2.3e-16


def test_what_it_takes_is_counted():
    x = np.zeros((3, 5))
    counted = [multiply_adds(Node(kind, "", (), (), {}, 20, frozenset()), [x]) for kind in ("Erf", "Gelu", "com.microsoft:Gelu", "Relu")]
    assert counted == [15 * WORK, 15 * WORK, 15 * WORK, 0]
