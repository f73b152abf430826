"""Files of several pages and frames, the arrays in them, and what NumPy counts there."""

import numpy as np
from PIL import Image

RNG = np.random.default_rng(3)
DEEP = RNG.integers(48, 4081, (3, 12, 10)).astype(np.uint16)
GRAY = RNG.integers(0, 256, (4, 12, 10), dtype=np.uint8)
COLORS = RNG.integers(0, 256, (3, 12, 10, 3), dtype=np.uint8)
FLAT = np.stack([np.full((12, 10, 3), color, np.uint8) for color in ((255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 200))])


def stack(path, frames, **options):
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=others, **options)
    return path


def counts(frames):
    """What NumPy counts: per channel, how many pixels have each value."""
    bins = 65536 if frames.dtype == np.uint16 else 256
    planes = frames.reshape(-1, frames.shape[3] if frames.ndim == 4 else 1)
    return np.stack([np.bincount(plane, minlength=bins) for plane in planes.T])
