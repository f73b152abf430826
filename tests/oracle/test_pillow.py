"""Both orders of Pillow's passes, judged by the Pillow here."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from preproc.oracle import pillow, reference
from preproc.steps import PILLOWS, Resize
from tests.pillows import HERE, OTHER, SMALL, TALL, noise

SIDES = st.integers(1, 60)


def by_passes(x, new, interpolation, *, rows_first):
    """Pillow itself, asked for one axis at a time: so every Pillow can make both orders."""
    method = getattr(Image.Resampling, interpolation.upper())
    sides = [(new[1], x.shape[2]), new[::-1]] if not rows_first else [(x.shape[3], new[0]), new[::-1]]
    planes = []
    for plane in x[0]:
        image = Image.fromarray(plane)
        for side in sides:
            image = image.resize(side, method)
        planes.append(np.asarray(image))
    return np.array(planes)[None]


def removes_more(old, new):
    return old[0] - new[0] > max(0, 2 * (old[1] - new[1]))


@given(old=st.tuples(SIDES, SIDES), new=st.tuples(SIDES, SIDES), interpolation=st.sampled_from(["bilinear", "bicubic"]))
def test_both_orders_are_pillows(old, new, interpolation):
    x = noise(old)
    for order in PILLOWS:
        expected = by_passes(x, new, interpolation, rows_first=order == 13 and removes_more(old, new))
        assert np.array_equal(reference.apply([Resize(size=new, interpolation=interpolation, pillow=order)], x), expected)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_the_other_order_shows_where_they_differ(interpolation):
    """The Pillow that is installed is one of the two."""
    x, method = noise(TALL), getattr(Image.Resampling, interpolation.upper())
    truth = np.array([np.asarray(Image.fromarray(plane).resize(SMALL[::-1], method)) for plane in x[0]])[None]
    made = {order: reference.apply([Resize(size=SMALL, interpolation=interpolation, pillow=order)], x) for order in PILLOWS}
    assert np.array_equal(made[HERE], truth)
    assert (made[OTHER] != truth).mean() > 0.1
    assert pillow.vertical_first(TALL, SMALL, 13)
    assert not pillow.vertical_first(TALL, SMALL, 12)
