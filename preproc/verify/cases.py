"""What is asked and what is true of it, as values."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import PreprocError


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
    unresolved: by output, True where a few roundings of the ready tensor decide the value, in the output's shape. Where they decide the
    number of its rows, with as many rows more as there may be: those of True may be missing. Or the single True: nothing of it is
    compared.  whole: in a batch, the outputs that have no row for each picture, whatever else is in the batch.  axes: how many the pixels
    of one picture have."""

    name: str
    pixels: NDArray[Any]
    expected: Mapping[str, NDArray[Any]]
    others: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    slack: Mapping[str, float] = field(default_factory=dict)
    ready: NDArray[np.float64] | None = None
    unresolved: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()
    axes: int = 3

    @property
    def pictures(self) -> NDArray[Any]:
        """The pixels as a batch of pictures: one without a batch as a batch of one, frames one behind the other."""
        return self.pixels.reshape(-1, *self.pixels.shape[-self.axes :])

    @property
    def batch(self) -> int:
        """How many rows an output has that has one for each picture, or each batch of frames."""
        return 1 if self.pixels.ndim == self.axes else len(self.pixels)

    def open_rows(self, name: str) -> tuple[int, int] | None:
        """Of an output whose number of rows is open, their axis, and how many more than expected there may be."""
        mask, shape = self.unresolved.get(name), self.expected[name].shape
        if mask is None or mask.ndim != len(shape) or mask.shape == shape:
            return None
        axis = next(at for at, sides in enumerate(zip(mask.shape, shape, strict=True)) if sides[0] != sides[1])
        return axis, mask.shape[axis] - shape[axis]

    def borderline(self, name: str) -> int:
        """Of an output whose number of rows is open, how many rows may be there or not: of those that are expected, and more."""
        opened = self.open_rows(name)
        return (
            0
            if opened is None
            else int(np.moveaxis(self.unresolved[name], opened[0], -1).all(axis=tuple(range(self.unresolved[name].ndim - 1))).sum())
        )

    def is_open(self, name: str) -> bool:
        """Whether nothing of an output is compared, not even its number of rows."""
        mask = self.unresolved.get(name)
        return mask is not None and mask.ndim == 0 and bool(mask)

    def undecided(self, name: str) -> NDArray[np.bool_] | None:
        """What of an output is unresolved: in its shape, or the single True."""
        mask = self.unresolved.get(name)
        if mask is None or self.open_rows(name) is None:
            return mask
        return mask[tuple(slice(side) for side in self.expected[name].shape)]

    def size(self, layout: str) -> tuple[int, int]:
        """(height, width) of the pictures."""
        height, width = self.pixels.shape[-3:-1] if layout == "NHWC" else self.pixels.shape[-2:]
        return (height * 2 // 3 if layout == "NHW" else height), width


def check_alike(cases: Sequence[Case]) -> None:
    """A tensor of a sequence is compared with that in its place, which is there for every picture.
    Raises PreprocError."""
    for case in cases:
        if list(case.expected) != list(cases[0].expected):
            counts = " and ".join(f"{len(one.expected)} ({', '.join(one.expected)[:60]})" for one in (cases[0], case))
            raise PreprocError(
                f"expected sequences of as many tensors for {case.name} as for {cases[0].name}, got {counts}; cut the model before them, "
                "or name the other outputs only in a recipe",
                name="output-unfit",
            )
