"""Where a network in Python comes from, and what its weights know of the preprocessing they were trained with.

In: a Recipe. Out: a Backbone in eval mode, float32, on the CPU; its reference in float64; the names of its outputs.
With it: the same network in half precision.
Never: a pickle; code that a bundle names.
"""

from .base import Backbone
from .double import Reference
from .loading import agreement, load_backbone, published_weights
from .narrowed import HALF, check_narrowed, narrowed
from .outputs import answered, name_outputs, named_outputs

__all__ = [
    "HALF",
    "Backbone",
    "Reference",
    "agreement",
    "answered",
    "check_narrowed",
    "load_backbone",
    "name_outputs",
    "named_outputs",
    "narrowed",
    "published_weights",
]
