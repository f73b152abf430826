"""Resizes, crops and pads of every kind, pictures for them, and Pillow's, torch's and ONNX Runtime's answers."""

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from preproc.steps import INTERPOLATIONS, PILLOWS, CenterCrop, Letterbox, Pad, Resize
from preproc.verify.runtimes import onnxruntime
from tests.onnx_files import alone

FILTERS = {name: Image.Resampling[name.upper()] for name in INTERPOLATIONS}
SMOOTH = [name for name in FILTERS if name != "nearest"]
SIDES = st.integers(1, 70)
SIZES = [(1, 1), (1, 7), (2, 300), (300, 4), (4, 300), (37, 53), (100, 100), (120, 333), (64, 48), (33, 40)]
FIXED = [
    *(Resize(size=(17, 90), pillow=pillow) for pillow in PILLOWS),
    *(Resize(size=(17, 90), interpolation="bicubic", pillow=pillow) for pillow in PILLOWS),
    Resize(size=(33, 40), interpolation="nearest"),
    Resize(size=(31, 29), antialias=False),
    Letterbox(size=64),
    *(Resize(size=(17, 90), interpolation=name) for name in ("lanczos", "box", "hamming")),
    *(Resize(size=(17, 90), interpolation=name, torch="uint8") for name in ("bilinear", "bicubic", "lanczos")),
    *(Letterbox(size=(50, 90), antialias=True, interpolation="bicubic", fill=3, pillow=pillow) for pillow in PILLOWS),
    CenterCrop(size=(33, 40), fill=7),
    CenterCrop(size=(33, 40), rounding="floor"),
    CenterCrop(size=(33, 40), rounding="trunc"),
]
FREE = [
    *(Resize(size=32, pillow=pillow) for pillow in PILLOWS),
    *(Resize(size=50, max_size=61, interpolation="bicubic", pillow=pillow) for pillow in PILLOWS),
    Resize(size=110, interpolation="nearest"),
    Resize(size=40, max_size=47, antialias=False),
    Resize(size=32, torch="uint8"),
    Pad(padding=(1, 2, 3, 4), fill=9),
]


def noise(size, seed=0, channels=3):
    return np.random.default_rng(seed).integers(0, 256, (2, channels, *size), dtype=np.uint8)


def with_pillow(x, size, interpolation):
    """(N, C, H, W) through Pillow, plane by plane."""
    made = [[Image.fromarray(plane).resize(size[::-1], FILTERS[interpolation]) for plane in picture] for picture in x]
    return np.array([[np.asarray(plane) for plane in picture] for picture in made])


def ultralytics(shape, new_shape):
    """The sizes of its LetterBox(auto=False, scaleup=True): the resized picture's, and the border's top, bottom, left, right."""
    ratio = min(new_shape[0] / shape[0], new_shape[1] / shape[1])
    width, height = round(shape[1] * ratio), round(shape[0] * ratio)
    across, down = (new_shape[1] - width) / 2, (new_shape[0] - height) / 2
    return (height, width), (round(down - 0.1), round(down + 0.1), round(across - 0.1), round(across + 0.1))


LAYERS = [*FIXED, *FREE]


def session(steps, size, opset=18):
    """The steps alone as an ONNX model in ONNX Runtime; size None: dynamic."""
    return onnxruntime().InferenceSession(alone(steps, size=size, opset=opset), providers=["CPUExecutionProvider"])


def in_layout(x, layout):
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)) if layout == "NHWC" else x
