"""Who does what can be done apart: this process, worker processes, or a dask cluster.

In: work, and chunks of items, both plain data. Out: an answer for each chunk, in whatever order, with the items that it is of.
Never: an item that is lost with the worker that had it, or done twice.
"""

from .choice import check_engine, perform
from .cluster import check_installed
from .walk import Answers, Lost
from .work import Work

__all__ = ["Answers", "Lost", "Work", "check_engine", "check_installed", "perform"]
