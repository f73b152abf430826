"""The inputs that a model has beside the picture: what verification gives them."""

import zlib
from collections.abc import Callable, Container
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import PreprocError
from .picture import Picture, apart, other_inputs, sides

Others = Callable[[NDArray[Any]], dict[str, NDArray[Any]]]
"""The picture's ready values, (N, C, H, W) -> the arrays."""


def others(model: ir.Model, picture: Picture, *, but: Container[str] = ()) -> Others:
    """The same arrays for every picture: floats between 0.5 and 1.5, whole numbers and booleans 1; free sides are 1, but the batch is the
    picture's, and so are sides that are called as its height or width. but: inputs that are fed otherwise. Raises PreprocError for inputs
    that are no numbers."""
    values = [apart(value) for value in other_inputs(model, picture) if value.name not in but]
    picture = picture.alone()
    for value in values:
        _check(value)

    def of(ready: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return {str(value.name): _array(value, picture, ready) for value in values}

    return of


def promised_others(model: ir.Model, picture: Picture) -> list[dict[str, Any]]:
    """Name, dtype and shape of each, as the contract has them."""
    return [
        {"name": value.name, "dtype": value.dtype.numpy().name if value.dtype else None, "shape": _promised_sides(value, picture)}
        for value in other_inputs(model, picture)
    ]


def _promised_sides(value: ir.Value, picture: Picture) -> list[int | str | None] | None:
    """In the contract's words: the first is "N" where it is the picture's batch, and never else."""
    found = sides(value)
    if not found:
        return found
    assert value.shape is not None
    first = "N" if _is_batch(value.shape[0], _batch(picture)) else None if found[0] == "N" else found[0]
    return [first, *found[1:]]


def _batch(picture: Picture) -> object:
    """The first side of the picture's shape; 1 where it has no batch."""
    assert picture.value.shape is not None
    return picture.value.shape[0] if picture.axes else 1


def _is_batch(side: object, batch: object) -> bool:
    """Whether the first side of another input is the picture's batch: free, and called as that is."""
    return not isinstance(side, int) and side == batch


def _check(value: ir.Value) -> None:
    if value.dtype is None or value.shape is None or value.dtype == ir.DataType.STRING:
        raise PreprocError(
            f"expected inputs of numbers and of a known rank, got {value.name}: {value.dtype} {value.shape}", name="several-inputs"
        )


def _array(value: ir.Value, picture: Picture, ready: NDArray[Any]) -> NDArray[Any]:
    assert value.dtype is not None
    assert value.shape is not None
    shape = tuple(
        side if isinstance(side, int) and side > 0 else _as_pictures(value, at, picture, ready) for at, side in enumerate(value.shape)
    )
    rng = np.random.default_rng(zlib.crc32(str(value.name).encode()))
    made = rng.uniform(0.5, 1.5, shape) if value.dtype.is_floating_point() else np.ones(shape)
    if shape and _is_batch(value.shape[0], _batch(picture)):
        made = np.repeat(made, picture.rows(ready), axis=0)
    array: NDArray[Any] = made.astype(value.dtype.numpy())
    return array


def _as_pictures(value: ir.Value, at: int, picture: Picture, ready: NDArray[Any]) -> int:
    """How long a free side is: the picture's height or width where it is called so, or has no name and is where the picture has that."""
    assert picture.value.shape is not None
    assert value.shape is not None
    side, alike = value.shape[at], len(value.shape) == len(picture.layout)
    for axis, length in (("H", ready.shape[2]), ("W", ready.shape[3])):
        place = picture.layout.index(axis)
        own = picture.value.shape[place]
        unnamed = isinstance(side, ir.SymbolicDim) and side.value is None
        if not isinstance(own, int) and side == own and (not unnamed or (alike and at == place)):
            return int(length)
    return 1
