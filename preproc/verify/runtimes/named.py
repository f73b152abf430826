"""What ONNX Runtime answers, as arrays by name: tensors, the tensors of a sequence one by one, the keys and values of maps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import VerificationError

WORDS = ("float", "float16", "double", "bool", "string", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
COMPARED = tuple(f"{before}tensor({word}){behind}" for word in WORDS for before, behind in (("", ""), ("seq(", ")")))
"""The types of outputs that can be verified, as ONNX Runtime calls them; and maps. Not optional ones."""


def is_compared(kind: str) -> bool:
    return kind in COMPARED or kind.removeprefix("seq(").startswith("map(")


def named(names: Sequence[str], values: Sequence[Any]) -> dict[str, NDArray[Any]]:
    """By name, strings in NumPy's own dtype. Of a sequence `boxes` its tensors, boxes[0], boxes[1], ... Of a map `scores`, or one for each
    picture as a ZipMap makes them, scores[keys] and scores[values], in the map's own order.

    Raises VerificationError for maps that have not all as many keys.
    """
    found = dict[str, NDArray[Any]]()
    for name, value in zip(names, values, strict=True):
        if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
            found |= {f"{name}[{word}]": array for word, array in zip(("keys", "values"), _of_maps(name, value), strict=True)}
        elif isinstance(value, list):
            found |= {f"{name}[{position}]": plain(item) for position, item in enumerate(value)}
        else:
            found[name] = plain(value)
    return found


def _of_maps(name: str, maps: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    if isinstance(maps, dict):
        return np.array([*maps]), np.array([*maps.values()])
    each = [_of_maps(name, one) for one in maps]
    if len({len(keys) for keys, _ in each}) > 1:
        raise VerificationError(f"expected maps of as many keys for each picture in {name}, got {sorted({len(keys) for keys, _ in each})}")
    return np.stack([keys for keys, _ in each]), np.stack([values for _, values in each])


def items_of(name: str, answered: Mapping[str, Any]) -> list[str]:
    """The names under which an output is answered: its own, or those of its tensors."""
    return [name] if name in answered else [key for key in answered if key.rpartition("[")[0] == name]


def plain(values: NDArray[Any]) -> NDArray[Any]:
    """Strings, which ONNX Runtime answers as objects, in NumPy's own dtype for them."""
    return values.astype(np.str_) if values.dtype == object else values
