"""What a backbone is."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..published import Published

State = dict[str, Tensor]


@dataclass(frozen=True)
class Backbone:
    """module: in eval mode, float32, on the CPU.  weights: what they are, for people.  trained: False for random weights.
    published: what the weights know of their preprocessing, or None.  notes: what else somebody should know of them."""

    module: nn.Module
    weights: str
    trained: bool
    published: Published | None = None
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def sha256(self) -> str:
        """Of every name, shape, dtype and value in the state_dict."""
        digest = hashlib.sha256()
        for name, value in sorted(self.module.state_dict().items()):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data if value.numel() else b"")
        return digest.hexdigest()
