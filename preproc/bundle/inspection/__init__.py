"""What a file is, by its bytes alone.

In: any model file or bundle. Out: what pixels it takes and what it does to them.
Never: code of the file's; a statement where the look did not reach.
"""

from .describing import describe, lines
from .torchfiles import SUFFIXES

__all__ = ["SUFFIXES", "describe", "lines"]
