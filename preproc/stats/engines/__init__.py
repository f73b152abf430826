"""Who counts: this process, worker processes, or a dask cluster.

In: Places. Out: tallies, in whatever order, each with the Places that it is of.
Never: a Place that is lost with the worker that had it, or counted twice.
"""

from .choice import ENGINES, count_places
from .cluster import check_installed
from .walk import Counting

__all__ = ["ENGINES", "Counting", "check_installed", "count_places"]
