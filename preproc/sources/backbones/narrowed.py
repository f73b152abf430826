"""A network in half precision, as torch itself narrows it: float32 in, its weights and arithmetic in 16 bits."""

import contextlib
import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ...errors import PreprocError, first_line
from .. import ExportSpec

HALF = {"float16": torch.float16, "bfloat16": torch.bfloat16}
"""The precisions with 16 bits, as torch calls them."""
_OTHERWISE = '; precision = "bfloat16" holds larger ones, with 8 bits of mantissa'


class Narrowed(nn.Module):
    """A network in half precision, fed with what it rounds itself.

    x: (N, C, H, W), float32 or of the network's dtype.  y: what the network answers, its floats in `outputs`.
    layout: of the memory in which the network gets its values.
    """

    def __init__(
        self, network: nn.Module, dtype: torch.dtype, outputs: torch.dtype, layout: torch.memory_format = torch.preserve_format
    ) -> None:
        super().__init__()
        self.network, self.dtype, self.outputs, self.layout = network, dtype, outputs, layout

    def forward(self, x: Tensor) -> Any:
        return pytree.tree_map_only(Tensor, self._answered, self.network(x.to(self.dtype, memory_format=self.layout)))

    def _answered(self, value: Tensor) -> Tensor:
        return value.to(self.outputs) if value.is_floating_point() else value


def narrowed(network: nn.Module, spec: ExportSpec, ready: Tensor | None = None) -> nn.Module:
    """A copy in the precision that a recipe says; the network itself, where that is one of 32 bits.

    network: answers a tensor or a tuple of tensors.  ready: (N, C, H, W) float32, for one that torch will run: pixel beside pixel
    (channels_last), where it takes that. torch's convolutions in half are five times as fast so on a CPU without instructions for them,
    and it is what CUDA's are made for; a network that views its values plane by plane does not take it.
    Raises PreprocError for weights that the precision does not hold.
    """
    if not spec.half:
        return network
    dtype = HALF[spec.precision]
    _check_weights(network, spec)
    outputs = HALF.get(spec.outputs_precision, torch.float32)
    narrow = copy.deepcopy(network).to(dtype)
    beside = Narrowed(narrow, dtype, outputs, torch.channels_last).eval()
    return beside if ready is not None and _runs(beside, ready) else Narrowed(narrow, dtype, outputs).eval()


def check_narrowed(network: nn.Module, spec: ExportSpec, ready: Tensor) -> None:
    """Raises PreprocError where the network does not run in the precision that a recipe says, with the module and what torch says of its
    operator, or where it answers no numbers there, with the largest value that it has in float32.

    network: as narrowed()'s, in float32.  ready: (N, C, H, W) float32, model-ready.
    """
    if not spec.half:
        return
    narrow, entered = narrowed(network, spec, ready), list[str]()
    try:
        with torch.inference_mode(), _hooked(narrow, before=entered.append, after=lambda *_: entered.pop()):
            answer = narrow(ready)
    except Exception as error:  # torch raises whatever an operator does that has no kernel
        where = "".join(f", in {name.removeprefix('network.')}" for name in entered[-1:] if name not in ("", "network"))
        raise PreprocError(
            f"expected a network that torch runs in {spec.precision} on the CPU, got{where}: {first_line(error)}; export it in float32",
            name="precision-unsupported",
        ) from error
    if all(bool(value.isfinite().all()) for value in pytree.tree_leaves(answer)):
        return
    largest: dict[str, float] = {}
    with torch.inference_mode(), _hooked(network, after=lambda name, answer: largest.update({name: _largest(answer)})):
        network(ready)
    name = max(largest, key=lambda key: largest[key])
    if math.isfinite(largest[name]):  # else it answers none in float32, either, which the reference will tell
        raise PreprocError(
            f"expected a network whose values {spec.precision} holds, up to {_most(spec):g}, got answers that are no numbers; its largest "
            f"value in float32 is {largest[name]:.4g}, what {name or 'it'} answers{_OTHERWISE}",
            name="precision-overflow",
        )


def _check_weights(network: nn.Module, spec: ExportSpec) -> None:
    dtype = HALF[spec.precision]
    values = [(name, value) for name, value in (*network.named_parameters(), *network.named_buffers()) if value.is_floating_point()]
    found = {name: _largest(value) for name, value in values if bool((value.isfinite() & value.to(dtype).isinf()).any())}
    if found:
        name = max(found, key=lambda key: found[key])
        more = f", and too large ones in {len(found) - 1} more tensors" if len(found) > 1 else ""
        raise PreprocError(
            f"expected weights that {spec.precision} holds, up to {_most(spec):g}, got {found[name]:.4g} in {name}{more}{_OTHERWISE}",
            name="precision-overflow",
        )


def _runs(network: nn.Module, ready: Tensor) -> bool:
    try:
        with torch.inference_mode():
            network(ready)
    except RuntimeError:  # as of a view that does not fit
        return False
    return True


def _most(spec: ExportSpec) -> float:
    return torch.finfo(HALF[spec.precision]).max


def _largest(answer: object) -> float:
    """The largest magnitude among the floats of a tensor, or of several."""
    values = [value for value in pytree.tree_leaves(answer) if isinstance(value, Tensor) and value.is_floating_point()]
    return max((float(value.abs().max()) for value in values if value.numel()), default=0.0)


@contextlib.contextmanager
def _hooked(
    network: nn.Module, *, before: Callable[[str], object] = lambda _: None, after: Callable[[str, object], object]
) -> Iterator[None]:
    """While the body runs, each module's name is told before it runs, and with what it answers after it."""

    names, handles = {module: name for name, module in network.named_modules()}, list[Any]()

    def entered(module: nn.Module, _: object) -> None:  # what a hook returns takes the answer's place
        before(names[module])

    def left(module: nn.Module, _: object, answer: object) -> None:
        after(names[module], answer)

    for module in names:
        handles += [module.register_forward_pre_hook(entered), module.register_forward_hook(left)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
