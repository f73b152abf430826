"""One folder of pictures for the tests of the statistics, and what is counted in it."""

import numpy as np
import pytest
from PIL import Image

from preproc.stats import compute_stats
from tests.stats.making import pictures, save_all


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """120 files of three kinds, one of three frames, in two levels of folders, with a file that is none."""
    place = tmp_path_factory.mktemp("pictures")
    save_all(place / "a", pictures(59))
    first, *others = [Image.fromarray(frame) for frame in np.random.default_rng(5).integers(0, 256, (3, 8, 9, 3), dtype=np.uint8)]
    first.save(place / "a" / "stack.png", save_all=True, append_images=others)
    save_all(place / "b", pictures(40, seed=1, channels=1))
    save_all(place / "b" / "c", pictures(20, seed=2, channels=1, top=65536))
    (place / "notes.md").write_text("no picture")
    return place


@pytest.fixture(scope="session")
def expected(folder):
    stats = compute_stats(folder, workers=1)
    assert {name: kind.images for name, kind in stats.accumulator.kinds.items()} == {"RGB": 62, "GRAY": 40, "GRAY 16 bit": 20}
    assert stats.left_out == {".md": 1}
    return stats.accumulator.to_bytes()
