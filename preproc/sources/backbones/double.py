"""The original backbone in float64: what every runtime is compared with."""

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from .outputs import named_outputs, run


class Reference:
    """A backbone in float64 on the CPU: model-ready (N, C, H, W) float64 in, named outputs out, floats in float64.

    `mixed` collects the operations that computed in less than float64 all the same.
    """

    per_picture, untouched = True, frozenset[str]()

    def __init__(self, module: nn.Module, names: tuple[str, ...], *, dtype: torch.dtype = torch.float64) -> None:
        self.module = copy.deepcopy(module).to("cpu", dtype).eval()
        self.names, self.dtype, self.mixed = names, dtype, set[str]()

    def __call__(self, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
        results = []
        with torch.inference_mode(), _Watch(self.mixed, self.dtype):
            for picture in torch.from_numpy(np.ascontiguousarray(x)).to(self.dtype).split(1):
                results.append(named_outputs(run(self.module, picture), self.names))
        return {name: torch.cat([result[name] for result in results]).numpy() for name in self.names}

    def others(self, x: NDArray[Any]) -> dict[str, NDArray[Any]]:  # noqa: ARG002 - as verify.Truth says
        """A network in Python takes the picture alone."""
        return {}


class _Watch(TorchDispatchMode):
    """Notes every operation whose floating output has fewer bits than `dtype`."""

    def __init__(self, found: set[str], dtype: torch.dtype) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found, self.bits = found, torch.finfo(dtype).bits

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and out.is_floating_point() and torch.finfo(out.dtype).bits < self.bits:
            self.found.add(str(func))
        return out
