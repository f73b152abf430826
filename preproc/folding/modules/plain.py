"""A convolution that computes its weight, as a plain one: weight standardization, parametrizations, weights made of others.

The fold writes what the computation gives. It can, where the module does nothing but this convolution: then an nn.Conv2d stands in for it.
"""

import copy
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from ...errors import NotFoldableError, first_line
from .values import arguments_of

_PADS = frozenset(("aten.pad.default", "aten.constant_pad_nd.default"))
NEAR = 1e-3
"""How far the two may be from each other, as a share of the largest output: a row of padding more or less is a share of 1."""


class SameConv2d(nn.Conv2d):
    """TensorFlow's SAME: as many outputs as the input has strides, what is missing padded with zeros, the larger half behind."""

    def forward(self, x: Tensor) -> Tensor:
        ends = list[Any]()
        for side, kernel, stride, dilation in zip(x.shape[2:], self.kernel_size, self.stride, self.dilation, strict=True):
            missing = ((side + stride - 1) // stride - 1) * stride + (kernel - 1) * dilation + 1 - side
            ends = [missing // 2, missing - missing // 2, *ends]
        return super().forward(functional.pad(x, ends))


def stand_in(backbone: nn.Module, node: fx.Node, weight: Tensor, bias: Tensor | None, tracked: Any) -> tuple[str, nn.Conv2d]:
    """The name of the module that calls this convolution, and an nn.Conv2d that does the same.

    node: the call of aten.conv2d.  weight, bias: what it computes.  tracked: the nodes whose values are the picture's.
    Raises NotFoldableError where the module does something else besides.
    """
    path, arguments = _owner(node), arguments_of(node)
    _check_alone(path, node, tracked)
    owner = backbone.get_submodule(path)
    quiet = copy.deepcopy(owner).eval()  # a spectral norm in training changes with every run
    for made in _candidates(weight, bias, arguments):
        if _agree(quiet, made, arguments["input"].meta["val"]):
            return path, made.train(owner.training)
    raise _not_alone(path, "pads it as no nn.Conv2d does")


def _candidates(weight: Tensor, bias: Tensor | None, arguments: dict[str, Any]) -> Iterator[nn.Conv2d]:
    """arguments: of the call."""
    stride, dilation = pair(arguments.get("stride", 1)), pair(arguments.get("dilation", 1))
    kernel, groups = (weight.shape[2], weight.shape[3]), arguments.get("groups", 1)
    padding = arguments.get("padding", 0)
    fits = all((k - 1) * d + 1 >= s for k, s, d in zip(kernel, stride, dilation, strict=True))  # else a side of SAME's could be negative
    for kind, pads in ((nn.Conv2d, padding if isinstance(padding, str) else pair(padding)), (SameConv2d, 0)):
        if kind is nn.Conv2d or fits:
            made = kind(weight.shape[1] * groups, len(weight), kernel, stride, pads, dilation, groups, bias=False)
            made.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
            made.bias = None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=False)
            yield made


def _stack(node: fx.Node) -> list[str]:
    """The names of the modules around it, the innermost last; of a second call, conv@1, too."""
    return [re.sub(r"@\d+", "", str(path)) for path, _ in node.meta.get("nn_module_stack", {}).values()]


def module_of(node: fx.Node) -> str:
    """The name of the innermost module around it; empty in the network's own forward."""
    return ["", *_stack(node)][-1]


def _owner(node: fx.Node) -> str:
    path = module_of(node)
    if not path:
        raise NotFoldableError(
            "the weight of the first convolution is computed in the network's own forward: give the convolution a module of its own",
            name="fold-shared-weight",
        )
    return path


def _check_alone(path: str, node: fx.Node, tracked: Any) -> None:
    """That what goes on in the module is this convolution, and a padding in front of it."""
    inside = [other for other in node.graph.nodes if path in _stack(other)]
    for other in inside:
        reads = any(source in tracked or source is node for source in other.all_input_nodes)
        if other is not node and reads and str(other.target) not in _PADS:
            raise _not_alone(path, f"does more with what it reads or makes ({other.target})")
        if other is not node and any(user not in inside for user in other.users):
            raise _not_alone(path, f"hands on more than what it makes of the picture ({other.target})")


def _not_alone(path: str, what: str) -> NotFoldableError:
    return NotFoldableError(
        f"the weight of the first convolution is computed in {path}, which {what}: give the convolution a module of its own",
        name="fold-shared-weight",
    )


def pair(value: Any) -> tuple[int, int]:
    """torch.export writes one number where both are the same, at times."""
    first, *more = value if isinstance(value, (list, tuple)) else [value]
    return first, more[0] if more else first


def _agree(owner: nn.Module, made: nn.Conv2d, like: Tensor) -> bool:
    """Whether both answer the same to pictures of twice as many sizes as the stride is wide: a padding that goes by the size comes round.

    like: what the owner's convolution reads.
    """
    for x in _pictures(made, like):
        try:
            with torch.no_grad():
                want, got = owner(x), made(x)
        except Exception as error:  # whatever the module raises, it means the same here
            raise NotFoldableError(
                f"the weight of the first convolution is computed in a module that takes no {tuple(x.shape)}: {first_line(error)}",
                name="fold-shared-weight",
            ) from error
        if not isinstance(want, Tensor) or want.shape != got.shape or (want - got).abs().max() > NEAR * want.abs().max():
            return False
    return True


def _pictures(made: nn.Conv2d, like: Tensor) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(0)
    reach = [max(k * d, s) + s for k, d, s in zip(made.kernel_size, made.dilation, made.stride, strict=True)]
    for more in range(2 * max(made.stride)):
        size = [min(int(side), 4 * most) + more for side, most in zip(like.shape[2:], reach, strict=True)]
        yield torch.rand(1, like.shape[1], *size, generator=generator, dtype=torch.float64).to(made.weight)
