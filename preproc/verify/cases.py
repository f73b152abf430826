"""What is asked and what is true of it, as values."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Truth(Protocol):
    """The original backbone: model-ready (N, C, H, W) float64 in, named outputs out: floats in float64, others in their own dtype, strings
    in NumPy's. mixed: what computed in less than float64.  per_picture: whether each output has a row for each picture, whatever else is in
    the batch; else the batch is fed as it is.  untouched: the outputs that no value of the picture goes into."""

    per_picture: bool
    untouched: frozenset[str]

    @property
    def mixed(self) -> Collection[str]: ...

    def __call__(self, x: NDArray[Any]) -> Mapping[str, NDArray[Any]]: ...

    def others(self, x: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """What the backbone takes beside the picture, of which this is the model-ready tensor."""
        ...


Answers = Callable[[NDArray[Any]], Mapping[str, NDArray[Any]]]
"""What a backbone answers to a model-ready tensor, (N, C, H, W)."""
Given = Callable[[NDArray[Any]], Mapping[str, NDArray[Any]]]
"""What a file takes beside the picture, of which the argument is the model-ready tensor, (N, C, H, W)."""


@dataclass(frozen=True)
class Case:
    """One batch of pixels with the outputs that the reference gives for it. others: what an .onnx file takes beside them.  slack: by part
    of the outputs, how far the roundings of a fast resize may move it, relative; {} where Power's holds.  ready: the reference's
    model-ready tensor, (N, C, H, W); None where it was not kept, for golden samples of a bundle and batches.
    unresolved: by output, True where a few roundings of the ready tensor decide the value, in the output's shape; or the single True:
    they decide the number of rows.  whole: in a batch, the outputs that have no row for each picture, whatever else is in the batch."""

    name: str
    pixels: NDArray[Any]
    expected: Mapping[str, NDArray[Any]]
    others: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    slack: Mapping[str, float] = field(default_factory=dict)
    ready: NDArray[np.float64] | None = None
    unresolved: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()

    @property
    def pictures(self) -> NDArray[Any]:
        """The pixels as a batch of pictures: one without a batch as a batch of one, frames one behind the other."""
        return self.pixels.reshape(-1, *self.pixels.shape[-3:])

    @property
    def batch(self) -> int:
        """How many rows an output has that has one for each picture, or each batch of frames."""
        return 1 if self.pixels.ndim == 3 else len(self.pixels)

    def size(self, layout: str) -> tuple[int, int]:
        """(height, width) of the pixels."""
        height, width = self.pixels.shape[-3:-1] if layout == "NHWC" else self.pixels.shape[-2:]
        return height, width
