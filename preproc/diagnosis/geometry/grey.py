"""How colours become grey: by the libraries that round it, or with weights."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[Any]
Weights = tuple[float, float, float]
REC_601, REC_709 = (0.299, 0.587, 0.114), (0.2126, 0.7152, 0.0722)
"""Of R, G and B: ITU-R BT.601 and BT.709."""


@dataclass(frozen=True)
class Grey:
    """name: of one way.  weights: of R, G and B, about, where a library makes whole levels of it.  library: that, or "" where nothing is
    rounded.  first: whether in front of the resize; else behind."""

    name: str
    weights: Weights
    library: str = ""
    first: bool = False

    @property
    def rounds(self) -> bool:
        return bool(self.library)

    @property
    def words(self) -> str:
        return f"made grey {self.name}"

    def __call__(self, x: Pixels) -> Pixels:
        """x: (H, W, 3) grey levels, none finite where no picture is. Returns (H, W, 1)."""
        weighted = [weight * x[..., channel].astype(np.float64) for channel, weight in enumerate(self.weights) if weight]
        if not self.rounds:
            return np.asarray(sum(weighted))[..., None]
        if x.dtype == np.uint8:
            return _RUN[self.library](x)[..., None]
        known = np.asarray(np.isfinite(x).all(axis=2))
        made = _RUN[self.library](np.where(known[..., None], x, 0).astype(np.uint8))
        return np.where(known, made, sum(weighted))[..., None]


def _torchvision(x: Pixels) -> Pixels:
    import torch
    from torchvision.transforms.v2 import functional

    return np.asarray(functional.rgb_to_grayscale(torch.from_numpy(x.transpose(2, 0, 1).copy()))[0].numpy())


def _opencv(x: Pixels) -> Pixels:
    cv2 = importlib.import_module("cv2")
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(x), cv2.COLOR_RGB2GRAY))


_RUN: dict[str, Callable[[Pixels], Pixels]] = {
    "Pillow": lambda x: np.asarray(Image.fromarray(np.ascontiguousarray(x)).convert("L")),
    "OpenCV": _opencv,
    "torchvision": _torchvision,
    "Pillow of BGR": lambda x: np.asarray(Image.fromarray(np.ascontiguousarray(x[..., ::-1])).convert("L")),
    "OpenCV of BGR": lambda x: _opencv(x[..., ::-1]),
}
_ROUNDED = (
    Grey("by Pillow's convert('L')", REC_601, "Pillow"),
    Grey("by OpenCV's COLOR_RGB2GRAY", REC_601, "OpenCV"),
    Grey("by torchvision's rgb_to_grayscale on uint8", (0.2989, 0.587, 0.114), "torchvision"),
    Grey("by Pillow's convert('L') with red and blue exchanged", REC_601[::-1], "Pillow of BGR"),
    Grey("by OpenCV's COLOR_RGB2GRAY with red and blue exchanged", REC_601[::-1], "OpenCV of BGR"),
)
WEIGHTED = (
    Grey("with Rec. 601's weights", REC_601),
    Grey("with Rec. 601's weights in four digits, as torchvision and TensorFlow have them", (0.2989, 0.587, 0.114)),
    Grey("with Rec. 709's weights", REC_709),
    Grey("with scikit-image's weights", (0.2125, 0.7154, 0.0721)),
    Grey("as the plain average", (1 / 3, 1 / 3, 1 / 3)),
    Grey("with Rec. 601's weights, red and blue exchanged", REC_601[::-1]),
    Grey("as the red channel alone", (1.0, 0.0, 0.0)),
    Grey("as the green channel alone", (0.0, 1.0, 0.0)),
    Grey("as the blue channel alone", (0.0, 0.0, 1.0)),
)
GREYS = (*(Grey(one.name, one.weights, one.library, first=first) for first in (True, False) for one in _ROUNDED), *WEIGHTED)
"""All that are tried, the usual ones first."""
