"""A runtime as it is asked: here, or in a process of its own where it has to be alone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .base import Runtime
from .elsewhere import Elsewhere
from .kinds import here

if TYPE_CHECKING:
    from torch import nn


def made(kind: type[Runtime], module: "nn.Module | None", outputs: Sequence[str], *, why_not: str = "", tf32: bool = False) -> Runtime:
    """A runtime of that kind, see here()."""
    runtime = here(kind, module, outputs, why_not=why_not, tf32=tf32)
    return Elsewhere(runtime, "in a process of its own") if kind.alone else runtime
