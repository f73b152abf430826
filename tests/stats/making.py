"""What the tests of the statistics share: pictures that differ, in memory and on disk, and the command as it is typed."""

import functools
import io
import tarfile

import numpy as np
from PIL import Image

from preproc.stats.counting import count_array
from preproc.stats.sums import Accumulator
from tests import commands

run = functools.partial(commands.run, check=0)


def pictures(number=40, *, seed=0, channels=3, top=256):
    """Of different sizes and contrasts."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(number):
        height, width, low = rng.integers(1, 30), rng.integers(1, 30), rng.integers(0, top // 2)
        shape = (height, width, channels) if channels > 1 else (height, width)
        found.append(rng.integers(low, rng.integers(low + 1, top + 1), shape).astype(np.uint8 if top == 256 else np.uint16))
    return found


def save_all(folder, arrays, suffix=".png"):
    folder.mkdir(exist_ok=True)
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"{number:03}{suffix}")
    return folder


def pooled(arrays):
    """(channels, pixels) float64."""
    return np.concatenate([array.reshape(-1, array.shape[2] if array.ndim == 3 else 1) for array in arrays]).T.astype(np.float64)


def of_array(picture):
    return Accumulator.of([count_array(picture)])


def total(parts):
    return functools.reduce(lambda a, b: a + b, parts)


def png(array=None, **options):
    held = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8) if array is None else array).save(held, "PNG", **options)
    return held.getvalue()


def tar_of(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
