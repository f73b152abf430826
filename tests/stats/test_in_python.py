"""Arrays, tensors, data sets, loaders and PIL images."""

import numpy as np
import pytest
import torch
from PIL import Image

from preproc.errors import PreprocError
from preproc.stats import StatsInterruptedError, compute_stats
from tests.stats.making import of_array, total


def test_pictures_given_in_python():
    rng = np.random.default_rng(0)
    batch = rng.integers(0, 256, (10, 8, 9, 3), dtype=np.uint8)
    want = total([of_array(picture) for picture in batch]).to_bytes()
    tensors = torch.from_numpy(batch).permute(0, 3, 1, 2)
    dataset = torch.utils.data.TensorDataset(tensors, torch.arange(10))
    for source in (
        batch,
        list(batch),
        tensors,
        dataset,
        torch.utils.data.DataLoader(dataset, batch_size=4),
        [{"image": picture} for picture in batch],
        [(Image.fromarray(picture), 3) for picture in batch],
    ):
        assert compute_stats(source).accumulator.to_bytes() == want
    assert list(compute_stats(batch[..., 0]).accumulator.kinds) == ["GRAY"]
    assert list(compute_stats(tensors / 255).accumulator.kinds) == ["RGB float"]
    assert compute_stats([Image.fromarray(picture) for picture in batch], color="GRAY").only()[0] == "GRAY"
    for wrong, message in (
        ([], "expected pictures, got none"),
        ([3], "expected arrays, tensors or PIL images, got int"),
        ([{"x": batch[0]}], "an item with image, pixel_values or img, got x"),
    ):
        with pytest.raises(PreprocError, match=message):
            compute_stats(wrong)
    assert "uint8, uint16 or floats, got int64" in compute_stats([batch[0].astype(np.int64), batch[0]]).broken[0][1]


def test_python_sources_of_all_sorts():
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            yield from (torch.full((3, 4, 4), number, dtype=torch.uint8) for number in range(5))

    assert compute_stats(torch.utils.data.DataLoader(Stream(), batch_size=2)).images == 5
    assert compute_stats([torch.zeros(3, 4, 4, dtype=torch.bfloat16)]).images == 1
    with pytest.raises(PreprocError, match=r"one picture is array\[None\]"):
        compute_stats(np.zeros((40, 50, 3), np.uint8))
    assert "squares are finite" in compute_stats([np.array([[1e200, -1e200]])]).broken[0][1]
    levels = compute_stats([np.full((4, 4, 3), 130.0)])
    assert "unit" not in levels.to_json()

    def interrupted():
        yield from np.zeros((3, 4, 4), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(StatsInterruptedError) as stopped:
        compute_stats(interrupted())
    assert (stopped.value.stats.images, stopped.value.stats.partial) == (3, True)
