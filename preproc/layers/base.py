"""What the layers share: their base class, and the guards that forward() calls."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.jit import is_scripting, is_tracing  # type: ignore[attr-defined]

from ..errors import PreprocError
from ..steps import Step

Device = torch.device | str | int | None


class Layer(nn.Module):
    """A layer keeps its step: the step is the truth, the buffers mirror it. (No class-level annotation: torch.jit.script would choke.)"""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step

    def extra_repr(self) -> str:
        return ", ".join(f"{key}={value!r}" for key, value in self.step.spec().items() if key != "step")


def per_channel(values: Sequence[float], device: Device, dtype: torch.dtype | None) -> Tensor:
    """(1, C, 1, 1), to broadcast over (N, C, H, W)."""
    return torch.tensor(list(values), device=device, dtype=dtype or torch.get_default_dtype()).reshape(1, -1, 1, 1)


def check_tensor(x: object) -> None:
    """By what tensors have, so that torch.fx's stand-ins for them pass, too. Not for TorchScript, which takes nothing else."""
    if not hasattr(x, "dim"):
        raise PreprocError(
            f"expected a tensor of torch, got {type(x).__name__}; torch.from_numpy(x) makes one of NumPy's array x", name="wrong-object"
        )


def check_image(x: Tensor) -> None:
    if not is_scripting():
        check_tensor(x)
    if x.dim() != 4:
        raise PreprocError(
            f"expected a batch of pictures (N, C, H, W), got {x.dim()} dimensions; one picture is x.unsqueeze(0)", name="not-a-batch"
        )
    if not x.is_floating_point():
        raise PreprocError("expected floats, got integers; put FromPixels first", name="pixel-dtype")


def check_channels(x: Tensor, channels: int) -> None:
    check_image(x)
    if not is_tracing() and x.shape[1] != channels:  # a trace would warn about the comparison, and not keep it
        raise PreprocError(
            f"expected (N, {channels}, H, W), as many channels as constants, got {x.shape[1]} channels", name="channel-mismatch"
        )


def widened(x: Tensor) -> Tensor:
    """x in at least float32, for sums that half precision would overflow or round away."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
