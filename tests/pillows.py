"""The order of passes of the installed Pillow, the other one, and what they differ on."""

from importlib import metadata

import numpy as np

HERE = 12 if int(metadata.version("pillow").split(".")[0]) < 13 else 13
OTHER = {12: 13, 13: 12}[HERE]
TALL, SMALL = (331, 200), (56, 64)
"""From the one to the other Pillow 13 begins with the rows."""
CLIP = {
    "image_processor_type": "CLIPImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 64},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 64, "width": 64},
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
}


def noise(size):
    return np.random.default_rng(3).integers(0, 256, (1, 3, *size), dtype=np.uint8)
