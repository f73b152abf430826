"""What a file is, and what it does to its input, by its bytes and by running its first operators; none of its code.

In: any model file or bundle. Out: what pixels it takes and what it does to them.
Never: code of the file's; a statement where the look did not reach.
"""

from .describing import describe
from .effect import graph_effect
from .telling import lines
from .torchfiles import SUFFIXES

__all__ = ["SUFFIXES", "describe", "graph_effect", "lines"]
