"""A network that takes model-ready floats, as a diagnosis asks it: for its answers, and for what its BatchNorms are given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Norm:
    """A BatchNorm. mean, var: (K,) float64, its running statistics.  eps: what it adds to the variance."""

    name: str
    mean: Array
    var: Array
    eps: float

    @property
    def is_fresh(self) -> bool:
        """Whether no picture has gone into its statistics: they are as a network begins."""
        return not self.mean.any() and bool((self.var == 1).all())


class Network(Protocol):
    """norms: its BatchNorms.  other_norms: what it has in their place, by the names of the kinds."""

    norms: Sequence[Norm]
    other_norms: Sequence[str]

    def before(self, ready: Array, which: Sequence[int]) -> list[Array | None]:
        """What those of its BatchNorms are given of one picture, ready: (1, C, H, W): (K, positions) each; None for what is no picture's
        features. Raises PreprocError where the network does not take the picture."""

    def answers(self, ready: Array) -> Mapping[str, NDArray[Any]]:
        """Its outputs by name for ready: (N, C, H, W), a row for each picture. Raises as before()."""


def features(values: NDArray[Any], norm: Norm) -> Array | None:
    """(1, K, H, W), or with other axes behind K, as before() gives it."""
    fits = values.ndim >= 3 and values.shape[:2] == (1, len(norm.mean)) and values.dtype.kind == "f"
    return values[0].reshape(len(norm.mean), -1).astype(np.float64) if fits else None
