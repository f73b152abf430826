"""What is in a data set, counted exactly: the statistics that a z-score needs, and what else one should know of the pictures.

In: pictures, as paths, archives, URLs, stats.json files or objects in Python. Out: Stats, which is stats.json; how far two are apart.
Never: a number that depends on how the work was split; a picture left out in silence; torch, or dask and fsspec where nobody asks for them.
"""

from .comparison import Comparison, drift
from .compute import compute_stats
from .stats import FORMAT, Progress, Stats, StatsInterruptedError

__all__ = ["FORMAT", "Comparison", "Progress", "Stats", "StatsInterruptedError", "compute_stats", "drift"]
