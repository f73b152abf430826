"""Paired timing: peers take turns, so that a machine whose speed drifts slows them all alike."""

import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.conftest import ROOT


@dataclass(frozen=True)
class Ratio:
    """median: of the pairwise ratios to the peer.  low, high: its 95 % interval (bootstrap).  seconds: this side's median."""

    median: float
    low: float
    high: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}]"


BURST_SECONDS = 0.02
"""How long a turn lasts at least, in calls of the peer: a server that runs one model finds its memory in the caches, as all but the first
call of a turn do."""


def ratios(candidates: Mapping[str, Callable[[], object]], *, peer: str, rounds: int = 60, seconds: float = 6.0) -> dict[str, Ratio]:
    """Runs all candidates in turn, in another order each round, and compares each with `peer` round by round."""
    rng, names = np.random.default_rng(0), list(candidates)
    for call in candidates.values():
        _seconds(call, 2)
    burst = int(np.clip(BURST_SECONDS / _seconds(candidates[peer], 2), 1, 50))
    times: dict[str, list[float]] = {name: [] for name in names}
    start = time.perf_counter()
    while len(times[peer]) < rounds and (len(times[peer]) < 9 or time.perf_counter() - start < seconds):
        for name in rng.permutation(names):
            times[name].append(_seconds(candidates[name], burst))
    base = np.array(times[peer])
    return {name: _ratio(np.array(times[name]), base) for name in names}


def _seconds(call: Callable[[], object], burst: int) -> float:
    """Of one call, on average over a turn."""
    before = time.perf_counter()
    for _ in range(burst):
        call()
    return (time.perf_counter() - before) / burst


def _ratio(ours: NDArray[np.float64], base: NDArray[np.float64]) -> Ratio:
    pairs = ours / base
    resampled = np.random.default_rng(1).choice(pairs, (2000, len(pairs)))
    low, high = np.percentile(np.median(resampled, axis=1), [2.5, 97.5])
    return Ratio(float(np.median(pairs)), float(low), float(high), float(np.median(ours)))


def commit() -> str:
    """Of the code that is measured, with "+changes" where the working tree differs; "unknown" outside of a clone."""
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "preproc"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found + ("+changes" if changed else "")
