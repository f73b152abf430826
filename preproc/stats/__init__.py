"""What is in a data set, counted exactly: the statistics that a z-score needs, and what else one should know of the pictures.

In: pictures, as paths, archives, URLs, stats.json files or objects in Python. Out: Stats, which is stats.json; tables, a report, a drift.
Never: a number that depends on how the work was split, a picture left out without a word, or torch, which is not imported here.

The names are resolved when they are first used: a worker process imports what it counts with, and nobody dask, rich or matplotlib unasked.
"""

from typing import TYPE_CHECKING

__all__ = [
    "Stats",
    "StatsInterruptedError",
    "check_targets",
    "compute_stats",
    "counting_bar",
    "drift",
    "find",
    "keep",
    "printable",
    "report_page",
    "run_chunk",
    "show_drift",
    "show_stats",
]

_WHERE = {
    "places": ("find",),
    "counting": ("run_chunk",),
    "stats": ("Stats", "StatsInterruptedError"),
    "compute": ("compute_stats",),
    "comparison": ("drift",),
    "output.keeping": ("check_targets", "keep"),
    "output.progress": ("counting_bar",),
    "output.report": ("report_page",),
    "output.tables": ("printable", "show_drift", "show_stats"),
}

if TYPE_CHECKING:
    from .comparison import drift
    from .compute import compute_stats
    from .counting import run_chunk
    from .output.keeping import check_targets, keep
    from .output.progress import counting_bar
    from .output.report import report_page
    from .output.tables import printable, show_drift, show_stats
    from .places import find
    from .stats import Stats, StatsInterruptedError
else:

    def __getattr__(name):
        from importlib import import_module

        for module, names in _WHERE.items():
            if name in names:
                return getattr(import_module(f".{module}", __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
