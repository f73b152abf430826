"""The experiment: what other preprocessing in front of a model costs, on pictures whose classes are known.

In: a recipe, a bundle or a file of ours, and pictures with their classes. Out: for each variant accuracy with a paired interval,
calibration, the pictures that changed their answer, time and bytes; a page.
Never: a difference told as one that chance explains; a picture left out in silence; two variants compared on different pictures.
"""

from .experiment import compare
from .page import TITLE, page
from .result import Compared
from .state import ENDING

__all__ = ["ENDING", "TITLE", "Compared", "compare", "page"]
