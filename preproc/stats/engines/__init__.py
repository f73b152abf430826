"""Who counts: this process, worker processes, or a dask cluster. Chunks of places out, tallies back, in whatever order."""

from .choice import ENGINES, count_places
from .cluster import check_installed
from .walk import Counting

__all__ = ["ENGINES", "Counting", "check_installed", "count_places"]
