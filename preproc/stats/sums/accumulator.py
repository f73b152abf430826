"""Pictures by kind, each kind with its own sums."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PreprocError
from .histogram import Histogram
from .kinds import has_alpha
from .moments import Moments

Kind = Histogram | Moments
Counted = tuple[str, NDArray[np.int64] | Moments]
"""One picture: its kind, and how many of its pixels have each value, (channels, 256 or 65536), or for floats their moments."""
BATCH = 32
"""Pictures whose histograms wait to be summed together."""


class _Batch:
    """Pictures of one kind whose histograms wait to be summed together. They are copied: as long as each one's own array lives, the
    allocator does not give the next picture the memory of the last, which costs a tenth of the time that decoding takes."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.counts, self.size = np.empty((BATCH, *shape), np.int64), 0

    def add(self, counts: NDArray[np.int64]) -> None:
        self.counts[self.size] = counts
        self.size += 1

    def histogram(self, kind: str) -> Histogram:
        return Histogram.of(self.counts[: self.size], alpha=has_alpha(kind))


@dataclass(frozen=True, eq=False)
class Accumulator:
    """Pictures by kind ("RGB", "GRAY", "GRAY 16 bit", "RGB float", ...), which are never mixed."""

    kinds: Mapping[str, Kind] = field(default_factory=lambda: MappingProxyType({}))

    def __add__(self, other: "Accumulator") -> "Accumulator":
        """Bit for bit the same in any order, but for kinds of floats."""
        merged = dict(self.kinds)
        for name, kind in other.kinds.items():
            if type(merged.get(name, kind)) is not type(kind):
                raise PreprocError(
                    f"expected pictures of {name} with integers in both, or with floats in both, got one of each", name="several-kinds"
                )
            merged[name] = kind if name not in merged else merged[name] + kind  # type: ignore[operator]
        return Accumulator(MappingProxyType(dict(sorted(merged.items()))))

    @property
    def images(self) -> int:
        return sum(kind.images for kind in self.kinds.values())

    @staticmethod
    def of(found: Iterable["Counted"]) -> "Accumulator":
        """Of pictures, in batches, so that Python's share is small."""
        total, waiting = Accumulator(), dict[str, _Batch]()
        for name, one in found:
            if isinstance(one, Moments):
                total += Accumulator({name: one})
                continue
            batch = waiting.get(name) or waiting.setdefault(name, _Batch(one.shape))
            batch.add(one)
            if batch.size == BATCH:
                total += Accumulator({name: waiting.pop(name).histogram(name)})
        return total + Accumulator({name: batch.histogram(name) for name, batch in waiting.items()})

    def to_json(self) -> dict[str, Any]:
        return {name: kind.to_json() for name, kind in self.kinds.items()}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Accumulator":
        """Raises PreprocError for what to_json() never writes."""
        try:
            kinds = {name: (Histogram if "counts" in kind else Moments).from_json(kind) for name, kind in data.items()}
        except PreprocError:
            raise
        except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise PreprocError(
                f"expected an accumulator of preproc stats, got one without or with a wrong {error}", name="stats-damaged"
            ) from error
        return Accumulator(MappingProxyType(dict(sorted(kinds.items()))))

    def to_bytes(self) -> bytes:
        """Canonical: the same accumulator, the same bytes."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":")).encode()

    def sha256(self) -> str:
        return hashlib.sha256(self.to_bytes()).hexdigest()
