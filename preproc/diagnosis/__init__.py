"""Which preprocessing was it: candidates, and what tells them apart.

In: what a network may have been trained with, or fed with. Out: candidates by name, each as steps.
Never: torch, OpenCV, or a network that runs.
"""

from .mistake import Mistake
from .mistakes import Mistakes
from .variants import Variant, variants

__all__ = ["Mistake", "Mistakes", "Variant", "variants"]
