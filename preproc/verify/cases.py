"""Inputs with what is true of them: each picture alone, and different ones together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import PreprocError
from ..host import Progress, paced, silent
from ..oracle import reference
from ..steps import FromPixels, Geometry, Step


class Truth(Protocol):
    """The original backbone: model-ready (N, C, H, W) float64 in, named outputs out. mixed: what computed in less than float64."""

    mixed: set[str]

    def __call__(self, x: NDArray[Any]) -> Mapping[str, NDArray[Any]]: ...

    def others(self, batch: int) -> Mapping[str, NDArray[Any]]:
        """What the backbone takes beside the picture, for a batch of that size."""
        ...


@dataclass(frozen=True)
class Case:
    """One batch of pixels with the outputs that the reference gives for it. others: what an .onnx file takes beside them.  slack: how far
    the roundings of a fast resize may move these outputs, relative; 0 where Power's holds.  ready: the reference's model-ready tensor,
    (N, C, H, W); None where it was not kept, for golden samples of a bundle and batches."""

    name: str
    pixels: NDArray[Any]
    expected: Mapping[str, NDArray[Any]]
    others: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    slack: float = 0.0
    ready: NDArray[np.float64] | None = None

    def size(self, layout: str) -> tuple[int, int]:
        """(height, width) of the pixels."""
        height, width = self.pixels.shape[1:3] if layout == "NHWC" else self.pixels.shape[2:4]
        return height, width


def make_cases(
    sequence: Sequence[Step],
    truth: Truth,
    pictures: Iterable[tuple[str, NDArray[Any]]],
    *,
    batch: int | None = None,
    progress: Progress = silent,
) -> list[Case]:
    """Every picture alone, and a batch of five different ones of each size; or, for a model of a fixed batch, batches of so many
    different pictures, each called after its first."""
    by_size: dict[tuple[int, ...], list[tuple[str, NDArray[Any]]]] = {}
    for name, pixels in pictures:
        by_size.setdefault(pixels.shape[1:], []).append((name, pixels))
    cases = []
    all_of_them = [(same, position) for same in by_size.values() for position in range(len(same))]
    for same, position in paced(all_of_them, "computing the float64 reference", progress):
        together = [same[(position + further) % len(same)][1] for further in range(batch or 1)]
        pixels = np.concatenate(together)
        ready = reference.apply(sequence, pixels)
        cases.append(Case(same[position][0], pixels, truth(ready), truth.others(len(pixels)), ready=ready))
    for case in cases:
        if not all(np.isfinite(values).all() for values in case.expected.values()):
            raise PreprocError(
                f"expected a backbone that answers finite numbers, got a NaN or an infinity on {case.name}; check its weights",
                name="not-finite",
            )
    return cases if batch is not None else cases + _batches(cases, truth)


def _batches(singles: Sequence[Case], truth: Truth) -> list[Case]:
    """Five different pictures of each size."""
    by_size: dict[tuple[int, ...], list[Case]] = {}
    for case in singles:
        by_size.setdefault(case.pixels.shape[1:], []).append(case)
    batches = []
    for shape, same in by_size.items():
        chosen = same[:: max(1, len(same) // 5)][:5]
        joined = {name: np.concatenate([case.expected[name] for case in chosen]) for name in same[0].expected}
        title = f"batch of {len(chosen)} ({'x'.join(map(str, shape))})"
        pixels = np.concatenate([case.pixels for case in chosen])
        batches.append(Case(title, pixels, joined, truth.others(len(pixels))))
    return batches


def parts(sequence: Sequence[Step]) -> tuple[FromPixels, Sequence[Step], Sequence[Step]]:
    """The first step, it and those that move pixels, and the others. Raises PreprocError for steps that do not start at pixels."""
    first = sequence[0]
    if not isinstance(first, FromPixels):
        raise PreprocError(f"expected steps that start at pixels (from_pixels), got {first.name} first", name="no-from-pixels")
    front = [step for step in sequence if step is first or isinstance(step, Geometry)]
    return first, front, sequence[len(front) :]
