"""Pipelines as their publishers write them down -> steps: torchvision's transforms, timm's pretrained_cfg, Hugging Face's processors.

In: what they publish, or objects of their libraries. Out: steps and the colour order of the network they are for.
Never: a guess. Every field is used or refused by name. None of them says which Pillow it was written for: pillow=12 or 13 chooses whose
order of passes the resizes have, see steps.Resampling; None is that of the Pillow which is installed. constants_because: as
steps.Normalize's, where published constants look like no mean and std.
"""

from .base import Published, check_torchvision, through_floats, title
from .huggingface import from_huggingface
from .original import original
from .timm import from_timm
from .torchvision import from_torchvision
from .transforms import to_torchvision
from .weights import named_weights, of_weights

__all__ = [
    "Published",
    "check_torchvision",
    "from_huggingface",
    "from_timm",
    "from_torchvision",
    "named_weights",
    "of_weights",
    "original",
    "through_floats",
    "title",
    "to_torchvision",
]
