"""Counts: exact against NumPy on all pixels, and the same bits in any order."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preproc.errors import PreprocError
from preproc.stats import compute_stats
from preproc.stats.sums import Accumulator, Histogram
from tests.stats.making import of_array, pictures, pooled, save_all, total


@pytest.mark.parametrize(("channels", "top", "kind"), [(3, 256, "RGB"), (1, 256, "GRAY"), (4, 256, "RGBA"), (1, 65536, "GRAY 16 bit")])
def test_against_numpy_on_all_pixels(tmp_path, channels, top, kind):
    arrays = pictures(channels=channels, top=top)
    stats = compute_stats(save_all(tmp_path / "p", arrays))
    found, values = stats.accumulator.kinds[kind], pooled(arrays)
    assert (found.images, found.pixels) == (len(arrays), values.shape[1])
    assert np.allclose(found.mean(), values.mean(axis=1), rtol=1e-14)
    for correction in (0, 1):
        assert np.allclose(found.std(correction=correction), values.std(axis=1, ddof=correction), rtol=1e-12)
    assert found.range() == list(zip(values.min(axis=1), values.max(axis=1), strict=True))
    for percent in (1, 25, 50, 75, 99, 100):
        assert found.percentile(percent) == np.percentile(values, percent, axis=1, method="inverted_cdf").tolist()
    each = [(pooled([array]).mean(axis=1), pooled([array]).std(axis=1)) for array in arrays]
    for over, own in zip((found.mean_over_images(), found.std_over_images()), zip(*each, strict=True), strict=True):
        assert np.allclose(over.mean, np.mean(own, axis=0), atol=1e-9)
        assert np.allclose(over.spread, np.std(own, axis=0, ddof=1), atol=1e-6)
    assert np.allclose(found.saturation(), np.stack([(values == 0).mean(axis=1), (values == top - 1).mean(axis=1)], axis=1))
    mean, std = stats.mean_and_std()
    assert np.allclose(mean, values.mean(axis=1) / (top - 1))
    assert np.allclose(std, values.std(axis=1) / (top - 1))


def test_the_usual_mistakes_give_other_numbers(tmp_path):
    """The mean of the stds is not the std, and pictures of different sizes do not weigh the same."""
    arrays = pictures()
    found = compute_stats(save_all(tmp_path / "p", arrays)).accumulator.kinds["RGB"]
    assert min(np.array(found.std()) - found.std_over_images().mean) > 5
    assert max(np.abs(np.array(found.mean()) - found.mean_over_images().mean)) > 1


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 3), min_size=12, max_size=12), st.permutations(range(12)), st.sampled_from([256, 65536]))
def test_any_split_in_any_order_gives_the_same_bytes(groups, order, top):
    parts = [of_array(picture) for picture in pictures(12, top=top)]
    together = total(parts)
    split = [[parts[index] for index in order if groups[index] == group] for group in range(4)]
    again = total([total(part) for part in split if part])
    assert again.to_bytes() == together.to_bytes()
    assert Accumulator.from_json(json.loads(together.to_bytes())).to_bytes() == together.to_bytes()
    assert total(parts[1:]).to_bytes() != together.to_bytes()


@settings(deadline=None, max_examples=40)
@given(st.permutations(range(8)), st.integers(1, 7), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_floats_merge_within_the_tolerance(order, cut, shift, scale):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(shift, scale, (5, number + 1, 3)) for number in range(8)]
    parts = [of_array(arrays[index]) for index in order]
    merged = (total(parts[:cut]) + total(parts[cut:])).kinds["RGB float"]
    values = pooled(arrays)
    size = np.abs(values).max()
    assert np.abs(merged.mean - values.mean(axis=1)).max() <= 1e-12 * size
    assert np.abs(np.array(merged.std()) - values.std(axis=1)).max() <= 1e-12 * size
    assert (merged.low == values.min(axis=1)).all()
    assert (merged.high == values.max(axis=1)).all()


def test_ten_to_the_fifteen_pixels_do_not_overflow():
    one = Histogram.of(np.tile(np.bincount([0, 65535, 65535, 65535], minlength=65536), (1, 3, 1)).astype(np.int64))
    many = Histogram(
        one.counts * 2**48,
        2**48,
        *(tuple(value * 2**48 for value in sums) for sums in (one.means, one.stds, one.mean_squares, one.std_squares)),
        0,
        0,
        0,
    )
    assert many.pixels == 2**50 > 1e15
    assert many.mean() == [65535 * 3 / 4] * 3
    assert np.allclose(many.std(), 65535 * np.sqrt(3) / 4, rtol=1e-15)
    assert (many + many).std() == many.std()
    assert Histogram.from_json(json.loads(json.dumps(many.to_json()))).std() == many.std()
    with pytest.raises(PreprocError, match=r"fewer than 2\^63 pixels"):
        _ = (
            Histogram(one.counts * 2**61, 1, one.means, one.stds, one.mean_squares, one.std_squares, 0, 0, 0)
            + one
            + Histogram(one.counts * 2**61, 1, one.means, one.stds, one.mean_squares, one.std_squares, 0, 0, 0)
        )
