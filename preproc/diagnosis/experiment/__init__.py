"""The experiment: what other preprocessing in front of a model costs, on pictures whose classes are known.

In: a recipe, a bundle or a file of ours, and pictures with their classes. Out: for each variant accuracy with a paired interval,
calibration, the pictures that changed their answer, time and bytes; a page.
Never: a difference told as one that chance explains; a picture left out in silence; two variants compared on different pictures.
"""

from .data import Data, classes_of, read_data
from .experiment import compare
from .page import TITLE, page
from .paired import paired
from .result import Compared
from .scores import PROBABILITIES, chosen, kind_of
from .state import ENDING

__all__ = [
    "ENDING",
    "PROBABILITIES",
    "TITLE",
    "Compared",
    "Data",
    "chosen",
    "classes_of",
    "compare",
    "kind_of",
    "page",
    "paired",
    "read_data",
]
