"""A runtime of each kind, in this process or in one of its own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .base import Runtime
from .elsewhere import Elsewhere
from .kinds import here

if TYPE_CHECKING:
    from torch import nn


def made(kind: type[Runtime], module: "nn.Module | None", outputs: Sequence[str], *, why_not: str = "", tf32: bool = False) -> Runtime:
    """A runtime of that kind, in a process of its own where it has to be; around `module`, with these names of its outputs, where it takes
    modules in Python."""
    runtime = here(kind, module, outputs, why_not=why_not, tf32=tf32)
    return Elsewhere(runtime, "in a process of its own") if kind.alone else runtime
