"""Exact statistics of the pixels of a data set. Pillow and NumPy; no torch, and dask and fsspec only where they are asked for."""

from .compute import StatsInterruptedError, compute_stats
from .histogram import Accumulator, Histogram, Moments
from .result import Stats

__all__ = ["Accumulator", "Histogram", "Moments", "Stats", "StatsInterruptedError", "compute_stats"]
