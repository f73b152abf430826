"""Arrays, in files and in Python: where their channels lie."""

import numpy as np
import pytest
from PIL import Image

from preproc.errors import PreprocError
from preproc.host.decoding import looks_otherwise, read_array
from preproc.stats import compute_stats
from tests.host.decoding.making import COLORS, GRAY, RNG


def test_arrays_are_files_of_pictures(tmp_path):
    six = RNG.integers(0, 256, (4, 12, 10, 6), dtype=np.uint8)
    np.save(tmp_path / "six.npy", six)
    assert compute_stats(f"{tmp_path}/*.npy").accumulator.to_bytes() == compute_stats(six).accumulator.to_bytes()
    first = compute_stats(tmp_path / "six.npy", frames="first")
    assert (first.images, first.skipped[0][0]) == (1, f"{tmp_path}/six.npy[1]")
    Image.fromarray(GRAY[0]).save(tmp_path / "a.png")
    stats = compute_stats(tmp_path)  # may be labels: what is not named itself counts by its suffix
    assert (stats.images, stats.left_out) == (1, {".npy": 1})
    for array, message in (
        (six.transpose(0, 3, 1, 2), "may be (C, H, W): move the channels last"),
        (np.zeros(3), "expected pictures of shape (H, W) or (H, W, C), got (3,)"),
        (np.array([{}]), "expected a .npy file with an array of numbers"),
    ):
        np.save(tmp_path / "x.npy", array, allow_pickle=True)
        told = compute_stats(tmp_path / "x.npy")
        assert told.images == 0
        assert message in told.broken[0][1]
    assert "got a .npy array" in compute_stats(tmp_path / "six.npy", color="RGB").broken[0][1]
    (tmp_path / "cut.npy").write_bytes((tmp_path / "six.npy").read_bytes()[:300])
    with pytest.raises(PreprocError, match=r"expected a \.npy file"):
        read_array(tmp_path / "cut.npy")


def test_arrays_whose_channels_lie_elsewhere_are_refused():
    batch = COLORS[:, :, :, :]
    first = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
    import torch

    want = compute_stats(batch).accumulator.to_bytes()
    for source in (list(first), [{"pixel_values": picture} for picture in first], [first], first):
        with pytest.raises(PreprocError, match=r"which may be \((N, )?C, H, W\): move the channels last, or say"):
            compute_stats(source)
        assert compute_stats(source, layout="NCHW").accumulator.to_bytes() == want
    for tensors in ([torch.from_numpy(picture) for picture in batch], torch.from_numpy(batch)):
        with pytest.raises(PreprocError, match=r"which may be \((N, )?H, W, C\): move the channels first, or say"):
            compute_stats(tensors)
        assert compute_stats(tensors, layout="NHWC").accumulator.to_bytes() == want
    with pytest.raises(PreprocError, match="expected layout to be one of NHWC, NCHW"):
        compute_stats(batch, layout="CHW")
    with pytest.raises(PreprocError, match="arrays or tensors for a layout, got paths"):
        compute_stats("x", layout="NCHW")
    with pytest.raises(PreprocError, match="expected paths for masks, samples, frames"):
        compute_stats(batch, frames="first")


@pytest.mark.parametrize(
    ("shape", "otherwise"),
    [
        ((20, 30, 3), False),
        ((3, 20, 30), True),
        ((1, 28, 28), True),
        ((13, 64, 64), True),
        ((64, 64, 13), False),
        ((145, 145, 200), False),
        ((3, 640, 3), True),
        ((1, 20, 4), True),
        ((4, 4, 3), False),
        ((640, 3, 3), False),
        ((2, 4, 5, 3), False),
        ((2, 3, 4, 5), True),
    ],
)
def test_where_channels_are_likely(shape, otherwise):
    assert looks_otherwise(shape, first=False) is otherwise
    turned = (*shape[:-3], shape[-1], shape[-2], shape[-3])
    assert looks_otherwise(turned, first=True) is otherwise
