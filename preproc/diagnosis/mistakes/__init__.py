"""The mistakes that can be made with a recipe's steps: one list, and which of them tensors were made with.

In: steps, and pictures with tensors that they should have made. Out: what was done in their place, with the figures; variants of steps.
Never: a mistake named where the recipe is as near; one that changes nothing on these pictures.
"""

from .against import diagnose_against
from .mistake import Mistake
from .mistakes import Mistakes
from .variants import OWN, Variant, variants

__all__ = ["OWN", "Mistake", "Mistakes", "Variant", "diagnose_against", "variants"]
