"""Grey levels as whole numbers, which is what a resize computes with."""

import torch
from torch import Tensor
from torch.jit import is_scripting  # type: ignore[attr-defined]

from ..errors import PreprocError
from .sides import recorded

SMALL = 8.0
"""Pictures whose largest value is below it are looked at: they are dark, or no grey levels."""


def levels(x: Tensor) -> Tensor:
    """Grey levels in int32; what is behind the comma is cut off."""
    check_levels(x)
    return x.to(torch.int32)


def check_levels(x: Tensor) -> None:
    """Values in 0..1, or normalized ones, would all become 0: where nothing is recorded or scripted, they are refused."""
    if is_scripting() or recorded() or not x.is_floating_point() or x.numel() == 0:
        return
    x = x.detach()
    if float(x.amax()) < SMALL and not torch.equal(x.to(torch.int32).to(x.dtype), x):
        raise PreprocError(
            "expected grey levels, whole numbers of 0..255, got others; put the resize in front of what rescales", name="grey-levels-needed"
        )
