"""Pairs, as they are asked about: one picture and one tensor each, all tensors laid out alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...errors import PreprocError

MOST = 200
"""Pairs that are read: more tell nothing more."""
_LAYOUTS = (("NCHW", 0), ("NHWC", 2))
_CHANNELS = (3, 1)
Name = TypeVar("Name")


@dataclass(frozen=True, eq=False)
class Pair:
    """name: of the picture.  picture: its file, or its pixels (H, W, 3) uint8 RGB.  tensor: (C, H, W) float64, C 3 or 1."""

    name: str
    picture: Path | NDArray[np.uint8]
    tensor: NDArray[np.float64]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the tensor."""
        return int(self.tensor.shape[1]), int(self.tensor.shape[2])


@dataclass(frozen=True, eq=False)
class Pairs:
    """layout: NCHW or NHWC, as the tensors had it.  dtype: that they had.  notes: what was noticed while they were read."""

    pairs: tuple[Pair, ...]
    layout: str
    dtype: str
    notes: tuple[str, ...] = ()


def some(names: Sequence[Name]) -> tuple[Sequence[Name], tuple[str, ...]]:
    """MOST of them, evenly, and the note that says so."""
    if len(names) <= MOST:
        return names, ()
    return [names[at * len(names) // MOST] for at in range(MOST)], (f"{MOST} of {len(names)} pairs were taken, evenly",)


def paired(found: Mapping[str, tuple[Any, Any]], where: str, notes: tuple[str, ...] = ()) -> Pairs:
    """By name a picture and a tensor each. Raises PreprocError for what is no picture or no tensor, and for tensors that are laid out in
    several ways, or in one that cannot be told."""
    bare = {name: _bare(np.asarray(given), f"{where}: {name}") for name, (_, given) in found.items()}
    layout = _layout(bare, where)
    pairs = []
    for name, array in bare.items():
        x = array[None] if array.ndim == 2 else array if layout == "NCHW" else array.transpose(2, 0, 1)
        pairs.append(Pair(name, _picture(found[name][0], f"{where}: {name}"), np.ascontiguousarray(x, dtype=np.float64)))
    dtypes = sorted({str(array.dtype) for array in bare.values()})
    return Pairs(tuple(pairs), layout, " and ".join(dtypes), notes)


def _bare(array: NDArray[Any], where: str) -> NDArray[Any]:
    """Without the batch of one in front."""
    shape = array.shape
    if array.dtype.kind not in "fiu":
        raise PreprocError(f"{where}: expected a tensor of numbers, got {array.dtype}", name="picture-unfit")
    while array.ndim > 3 and array.shape[0] == 1:
        array = array[0]
    if array.size == 0 or not _possible(array):
        raise PreprocError(
            f"{where}: expected a tensor (C, H, W) or (H, W, C) of 3 channels or 1, with or without a batch of one in front, tried as NCHW "
            f"and as NHWC, got {shape}",
            name="shape-mismatch",
        )
    if not np.isfinite(array).all():
        raise PreprocError(f"{where}: expected finite numbers, got a NaN or an infinity", name="not-finite")
    return array


def _possible(array: NDArray[Any]) -> set[tuple[str, int]]:
    """Its layouts and channels, whichever it can have."""
    if array.ndim == 2:
        return {("NCHW", 1)}
    shape = array.shape if array.ndim == 3 else (0, 0, 0)
    return {(layout, channels) for layout, axis in _LAYOUTS for channels in _CHANNELS if shape[axis] == channels}


def _layout(arrays: Mapping[str, NDArray[Any]], where: str) -> str:
    """NCHW or NHWC, whichever all of them can be."""
    can = set.intersection(*map(_possible, arrays.values()))
    if len(can) != 1:
        shapes = " and ".join(sorted({str(array.shape) for array in arrays.values()})[:2])
        told = "some of each" if not can else "both fit"
        raise PreprocError(
            f"{where}: expected tensors that are all (C, H, W), or all (H, W, C), of 3 channels or 1, got {shapes}: {told}",
            name="layout-ambiguous",
        )
    return can.pop()[0]


def _picture(given: Any, where: str) -> Path | NDArray[np.uint8]:
    if isinstance(given, Path):
        return given
    array = np.asarray(given)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or array.size == 0:
        raise PreprocError(f"{where}: expected a picture (H, W, 3) of uint8, got {array.shape} of {array.dtype}", name="picture-unfit")
    return np.ascontiguousarray(array)
