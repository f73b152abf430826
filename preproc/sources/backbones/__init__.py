"""Where a network in Python comes from, and what its weights know of the preprocessing they were trained with.

In: a Recipe. Out: a Backbone in eval mode, float32, on the CPU; its reference in float64; the names of its outputs.
Never: a pickle; code that a bundle names.
"""

from .base import Backbone
from .double import Reference
from .loading import agreement, load_backbone, published_weights
from .outputs import answered, name_outputs, named_outputs

__all__ = [
    "Backbone",
    "Reference",
    "agreement",
    "answered",
    "load_backbone",
    "name_outputs",
    "named_outputs",
    "published_weights",
]
