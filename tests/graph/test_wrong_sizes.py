"""Pixels of Y, U and V whose size cuts a block: no file answers for them, in any runtime that reads it."""

import itertools

import numpy as np
import pytest

from preproc import graph
from preproc.folding import FOLDED
from preproc.sources import PixelsSpec
from preproc.steps import CenterCrop, FromPixels, Normalize, Rescale, Resize, layouts_of
from preproc.verify.runtimes import RUNTIMES
from tests.graph.models import FLOAT, conv, model, node
from tests.onnx_files import in_one_thread
from tests.yuv import SAID

RNG = np.random.default_rng(4)
VALUES = {1: [Rescale(), Normalize(mean=[0.5], std=[0.25], unit="0-1")], 3: [Rescale(), Normalize.preset("imagenet")]}
SIZE = (32, 24)
"""Of the picture in files of a fixed size."""
FILES = {
    "3x3": (3, {"strides": [2, 2], "pads": [1, 1, 1, 1]}, [], {}),
    "patches": (3, {"strides": [4, 4]}, [], {}),
    "stride-1": (3, {"pads": [1, 1, 1, 1]}, [], {}),
    "unfolded": (3, {"strides": [2, 2], "pads": [1, 1, 1, 1]}, [], {"fold": "off"}),
    "rgb8": (3, {"strides": [2, 2]}, [], {"conversion": "rgb8"}),
    "bilinear": (3, {"strides": [2, 2]}, [], {"chroma": "bilinear", "siting": "left"}),
    "resized": (3, {"strides": [2, 2], "pads": [1, 1, 1, 1]}, [Resize(size=(16, 12), antialias=False), CenterCrop(size=(12, 8))], {}),
    "grey": (1, {"strides": [2, 2], "pads": [1, 1, 1, 1]}, [], {"to": "GRAY"}),
    "grey-unfolded": (1, {"strides": [2, 2]}, [], {"to": "GRAY", "fold": "off"}),
    "grey-resized": (1, {"strides": [2, 2]}, [Resize(size=(16, 12), antialias=False)], {"to": "GRAY"}),
}
"""Channels, settings of the first convolution, what moves the pixels, and what else is said of them."""
IN_EACH = ("3x3", "patches", "unfolded", "grey", "grey-unfolded")
CASES = [(name, color) for name in FILES for color in ("NV12", "I420", "YUYV") if color == "NV12" or name in IN_EACH]


def written(name, color, size):
    """The file's bytes."""
    channels, settings, moves, said = FILES[name]
    fold, side = said.get("fold", "auto"), 4 if name == "patches" else 3
    first = FromPixels(layout=layouts_of(color)[0], color=color, **SAID | {key: value for key, value in said.items() if key != "fold"})
    nodes = [conv(output="c", **settings), node("GlobalAveragePool", "c", "g"), node("Flatten", "g", "y")]
    made = model(nodes, {"w": RNG.normal(size=(4, channels, side, side))}, kind=FLOAT, channels=channels, rank=2)
    done = graph.attach(made, [first, *moves, *VALUES[channels]], PixelsSpec.of(first, size=size, channels=channels), fold=fold)
    assert done.folded == (fold != "off"), done.reason
    assert (done.chroma == FOLDED) == (name in ("3x3", "patches", "resized"))
    return graph.to_bytes(made)


def shapes(color, *, right):
    """Of values that are a picture, or of those that cut a block."""
    if color == "YUYV":
        return [(32, 24, 2), (20, 28, 2)] if right else [(32, width, 2) for width in (23, 25, 3)]
    if right:
        return [(48, 24), (30, 28)]
    return [*itertools.product((2, 5, 7, 46, 47, 49, 50, 52), (24, 48)), (48, 23), (48, 25), (6, 3), (47, 25)]


def in_onnxruntime(made, _):
    session = in_one_thread(made)
    return lambda x: session.run(None, {"pixels": x})[0]


def in_openvino(made, folder):
    pytest.importorskip("openvino", reason="OpenVINO is asked")
    (folder / "model.onnx").write_bytes(made)
    runtime = RUNTIMES["openvino-cpu"]()
    runtime.open(folder / "model.onnx")
    return lambda x: runtime.run(x)["y"]


def answers(run, shape):
    x = RNG.integers(0, 256, (1, *shape), dtype=np.uint8)
    try:
        return run(x).size > 0
    except Exception:  # noqa: BLE001 # each runtime has its own
        return False


@pytest.mark.parametrize("opened", [in_onnxruntime, in_openvino])
@pytest.mark.parametrize(("name", "color"), CASES)
def test_no_file_answers_for_a_size_that_cuts_a_block(name, color, opened, tmp_path):
    for size in (None, SIZE, (32, None), (None, 24)):
        run = opened(written(name, color, size), tmp_path)
        taken = shapes(color, right=True)[: 1 if size else None]
        assert [answers(run, shape) for shape in taken] == [True] * len(taken)
        assert [shape for shape in shapes(color, right=False) if answers(run, shape)] == []
