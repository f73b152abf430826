"""Folders of pictures to calibrate with, of a data set whose statistics the recipe has; and what was made with them."""

import numpy as np
import onnx
from onnx import numpy_helper
from PIL import Image

from preproc.sources import parse_recipe

TABLE = {
    "name": "m",
    "backbone": {"source": "onnx", "weights": "m.onnx", "color": "RGB"},
    "pixels": {"layout": "NHWC", "color": "RGB", "size": [8, 6]},
    "steps": [{"step": "rescale"}, {"step": "normalize", "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2], "unit": "0-1"}],
    "export": {"formats": ["onnx"]},
}
MEAN, STD = 255 * np.array([0.5, 0.4, 0.3]), 51


def pictures(folder, count, *, mean=MEAN, std=STD, size=(8, 6), rng=None):
    folder.mkdir(exist_ok=True)
    rng = rng or np.random.default_rng(1)
    for number in range(count):
        Image.fromarray(np.clip(rng.normal(mean, std, (*size, 3)), 0, 255).astype(np.uint8)).save(folder / f"{number:03}.png")
    return folder


def recipe(tmp_path, **changes):
    table = TABLE | {"pixels": {"layout": "NHWC", "color": "RGB", "size": [24, 20]}} | changes
    return parse_recipe(table, folder=tmp_path)


def nodes(file):
    graph = onnx.load(file).graph
    return graph, {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
