"""Batch norms in the convolutions in front of them, before a network is narrowed: each of a norm's four numbers would be rounded by itself.

By torch's own arithmetic (torch.nn.utils.fusion), in float64, where torch.export's graph shows a convolution that only a norm reads.
Narrowed as they are, and joined then as exporters do it, the digits network errs by four times as much in float16.
"""

import copy
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights
from torch.utils._pytree import tree_leaves

from ...errors import NotFoldableError
from .tracing import exported
from .values import arguments_of

_FUSING: dict[str, Any] = {
    **dict.fromkeys(("aten.conv1d.default", "aten.conv2d.default", "aten.conv3d.default", "aten.conv2d.padding"), fuse_conv_bn_weights),
    "aten.linear.default": fuse_linear_bn_weights,
}
"""What computes the weights of both, by the operator in front."""
NEAR = 1e-4
"""How far the answers may be from each other, as a share of the largest: float32's roundings are less, a norm that is lost is more."""


def fold_batch_norms(network: nn.Module, example: Tensor) -> nn.Module:
    """A copy, in which every norm that follows a convolution or a linear layer of its own does nothing.

    network: in eval mode.  example: (N, C, H, W) float32, model-ready.  What torch.export cannot read, and what would answer otherwise,
    stays as it is.
    """
    made = copy.deepcopy(network)
    try:
        program = exported(network, example)
    except NotFoldableError:
        return made
    signature = program.graph_signature
    names = dict(signature.inputs_to_parameters) | dict(signature.inputs_to_buffers)
    for node in program.graph_module.graph.nodes:
        if str(node.target) == "aten.batch_norm.default":
            _fold(made, node, names)
    return made if _agree(network, made, example) else copy.deepcopy(network)


def _fold(network: nn.Module, node: fx.Node, names: dict[str, str]) -> None:
    """In place, if the norm follows what only it reads, and both are modules that run once."""
    before, own = node.args[0], arguments_of(node)
    if not isinstance(before, fx.Node) or str(before.target) not in _FUSING or len(before.users) > 1:
        return
    path = _owner(network, arguments_of(before)["weight"], names, (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear))
    norm_path = _owner(network, own["running_mean"], names, (_BatchNorm,))
    if path is None or norm_path is None:
        return
    layer, norm = network.get_submodule(path), cast("_BatchNorm", network.get_submodule(norm_path))
    bias = layer.bias if layer.bias is not None else torch.zeros(len(layer.weight))
    given = [layer.weight, bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias]
    weight, bias = _FUSING[str(before.target)](*(value.detach().double() if isinstance(value, Tensor) else value for value in given))
    layer.weight, layer.bias = (nn.Parameter(value.float(), requires_grad=False) for value in (weight, bias))
    if type(norm).forward is _BatchNorm.forward:
        network.set_submodule(norm_path, nn.Identity())
    else:  # one that does more besides
        norm.reset_running_stats()
        norm.reset_parameters()
        norm.eps = 0.0


def _owner(network: nn.Module, value: Any, names: dict[str, str], kinds: tuple[type[nn.Module], ...]) -> str | None:
    """The name of the module of one of `kinds` that holds a value which nothing else reads."""
    if not isinstance(value, fx.Node) or value.name not in names or len(value.users) > 1:
        return None
    path = names[value.name].rpartition(".")[0]
    return path if isinstance(network.get_submodule(path), kinds) else None


def _agree(network: nn.Module, made: nn.Module, example: Tensor) -> bool:
    with torch.inference_mode():
        both = [[value for value in tree_leaves(each(example)) if isinstance(value, Tensor)] for each in (network, made)]
    return all(
        bool((want.double() - got.double()).abs().max() <= NEAR * want.double().abs().max()) for want, got in zip(*both, strict=True)
    )
