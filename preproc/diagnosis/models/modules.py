"""Networks of torch."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .networks import Array, Norm, features

if TYPE_CHECKING:
    from torch import Tensor, nn


class _SeenError(BaseException):
    """All that was asked for is there. No Exception, for which networks' own code may have a net."""


class ModuleNetwork:
    """An nn.Module that takes one picture, in eval mode, in float32 on the CPU. names: of its outputs; (): those that it gives them."""

    def __init__(self, module: "nn.Module", names: Sequence[str] = ()) -> None:
        from torch import nn

        self.module, self.names = module, tuple(names)
        named = [(name, part) for name, part in module.named_modules() if _has_statistics(part)]
        self.parts = [part for _, part in named]
        self.norms: Sequence[Norm] = [
            Norm(name, _array(part.running_mean), _array(part.running_var), float(getattr(part, "eps", 0.0))) for name, part in named
        ]
        others = (nn.LayerNorm, nn.GroupNorm, nn.modules.instancenorm._InstanceNorm)
        self.other_norms: Sequence[str] = sorted({type(part).__name__ for part in module.modules() if isinstance(part, others)})

    def before(self, ready: Array, which: Sequence[int]) -> list[Array | None]:
        import torch

        from ...sources.backbones import answered

        given: dict[int, Tensor] = {}

        def keep(number: int) -> Any:
            def hook(_: object, inputs: tuple[Any, ...]) -> None:
                given.setdefault(number, inputs[0].detach())
                if len(given) == len(which):
                    raise _SeenError

            return hook

        with contextlib.ExitStack() as stack, torch.inference_mode():
            for number in which:
                stack.callback(self.parts[number].register_forward_pre_hook(keep(number)).remove)
            with contextlib.suppress(_SeenError):
                answered(self.module, ready)
        return [features(given[number].numpy(), self.norms[number]) if number in given else None for number in which]

    def answers(self, ready: Array) -> Mapping[str, NDArray[Any]]:
        from ...sources.backbones import answered

        found = answered(self.module, ready)
        names = self.names if len(self.names) == len(found) else [f"output {number}" for number in range(len(found))]
        return dict(zip(names, found, strict=True))


def _has_statistics(part: "nn.Module") -> bool:
    """By what it has, for there are many classes: torchvision's FrozenBatchNorm2d, timm's BatchNormAct2d, SyncBatchNorm."""
    import torch

    held = [getattr(part, name, None) for name in ("running_mean", "running_var")]
    return all(isinstance(value, torch.Tensor) for value in held) and not isinstance(part, torch.nn.modules.instancenorm._InstanceNorm)


def _array(value: Any) -> Array:
    array: Array = value.detach().cpu().double().numpy().reshape(-1)
    return np.array(array)
