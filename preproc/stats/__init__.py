"""Exact statistics of the pixels of a data set.

In: folders, archives, lists, other statistics. Out: integer histograms and what follows from them, the same bits however they are split.
Never: torch; dask, fsspec and matplotlib only where they are asked for; a picture that is cut or left out in silence.
"""

from . import report, result
from .compute import StatsInterruptedError, compute_stats
from .drift import drift
from .report import page
from .result import Stats
from .show import counting, printable, show_drift, show_stats

__all__ = [
    "Stats",
    "StatsInterruptedError",
    "compute_stats",
    "counting",
    "drift",
    "page",
    "printable",
    "report",
    "result",
    "show_drift",
    "show_stats",
]
