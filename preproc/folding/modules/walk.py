"""Finding the convolutions that read a torch backbone's input, in torch.export's graph."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from ...errors import NotFoldableError, PreprocError
from .. import Reader, Tracked
from .moves import shape_of
from .rules import RULES
from .tracing import reason, unheard
from .values import Values, arguments_of

TAKING_BIAS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
"""Modules that read a bias as soon as they have one."""
_PRODUCTS = frozenset(("aten.linear.default", "aten.matmul.default", "aten.mm.default"))


def first_convolutions(backbone: nn.Module, example: Tensor) -> Callable[[int], list[Reader]]:
    """What finds the convolutions, and products with a matrix, that read the values of the backbone's input, in torch.export's graph, if
    the input has so many channels.

    example: (N, C, H, W) float, model-ready.  Raises NotFoldableError with the reason if anything else reads them.
    """
    exported = _exported(backbone, example)

    def found(channels: int) -> list[Reader]:
        walk = _Walk(exported, backbone, channels)
        if walk.met_written:  # rare, and as slow as the export: the same graph without operations that write into their arguments
            walk = _Walk(exported.run_decompositions({}), backbone, channels)
        walk.check()
        return walk.readers

    return found


def _exported(backbone: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    if len(example) < 2:
        example = example.expand(2, *example.shape[1:])
    try:
        with torch.no_grad(), warnings.catch_warnings(), unheard():
            warnings.simplefilter("ignore")  # whatever the backbone warns about, it says again when it runs
            return torch.export.export(copy.deepcopy(backbone).eval() if backbone.training else backbone, (example,), strict=False)
    except Exception as error:  # torch.export raises whatever the model's code meets; it all means the same here
        raise NotFoldableError(f"torch.export cannot read the backbone: {reason(error)}", name="fold-untraceable") from error


class _Walk(Values):
    """Translates torch.export's operators into Tracked's, from the input to the convolutions."""

    def __init__(self, exported: torch.export.ExportedProgram, backbone: nn.Module, channels: int) -> None:
        super().__init__(exported)
        self.backbone, self.channels = backbone, channels
        (image,) = exported.graph_signature.user_inputs[:1]
        for node in self.nodes:
            if node.op == "placeholder" and node.name == image:
                batch, _, *sides = shape_of(node)
                self.tracked[node] = Tracked.picture("NCHW", [batch, channels, *sides])
            elif any(source in self.tracked for source in node.all_input_nodes):
                self.met_written |= any(source in self.written for source in node.all_input_nodes)
                self.visit(node)

    def visit(self, node: fx.Node) -> None:
        try:
            self._visit(node)
        except PreprocError as error:
            self.refusals.append(error if isinstance(error, NotFoldableError) else NotFoldableError(str(error), name=error.name))

    def _visit(self, node: fx.Node) -> None:
        if node.op == "output":
            raise NotFoldableError("the backbone returns its input", name="fold-not-convolution")
        name = str(node.target)
        if name.startswith(("aten.sym_size", "aten._assert_tensor_metadata", "aten.sym_numel")):
            return
        if name.startswith(("aten.conv1d", "aten.conv2d", "aten.conv3d")):
            self.readers.append(self._convolution(node))
            return
        if name in _PRODUCTS and isinstance(node.args[0], fx.Node) and node.args[0] in self.tracked:
            self.readers.append(self._product(node))
            return
        rule = RULES.get(name)
        if rule is None:
            raise self.no_convolution(name)
        self.tracked[node] = rule(self, node)

    def _convolution(self, node: fx.Node) -> Reader:
        arguments = arguments_of(node)
        weight, bias = self._parameter(arguments["weight"], "weight"), arguments.get("bias")
        padding = arguments.get("padding", 0)
        kernel = self.values[weight].shape[2:]
        if isinstance(padding, str):
            pads_zero = padding == "same" and max(kernel) > 1
        else:
            pads_zero = max(padding if isinstance(padding, (list, tuple)) else [padding]) > 0
        return self._reader(self.of(arguments["input"]), weight, bias, axis=1, groups=arguments.get("groups", 1), pads_zero=pads_zero)

    def _product(self, node: fx.Node) -> Reader:
        """x @ weight, or x @ weight.T + bias."""
        source = self.of(node.args[0])
        weight = self._parameter(node.args[1], "weight")
        if self.values[weight].ndim != 2 or source.rank < 2:
            raise self.no_convolution(str(node.target))
        turned = str(node.target) != "aten.linear.default"
        return self._reader(source, weight, arguments_of(node).get("bias"), axis=source.rank - 1, turned=turned)

    def _reader(self, source: Tracked, weight: str, bias: Any, **options: Any) -> Reader:
        name = None if bias is None else self._parameter(bias, "bias")
        owner, _, attribute = weight.rpartition(".")
        module = self.backbone.get_submodule(owner)
        takes_bias = bias is not None or (isinstance(module, TAKING_BIAS) and attribute == "weight" and not options.get("turned"))
        return Reader.of(source, weight=weight, bias=name, channels=self.channels, takes_bias=takes_bias, **options)

    def _parameter(self, node: Any, word: str) -> str:
        if not isinstance(node, fx.Node) or node.name not in self.constants:
            raise NotFoldableError(f"the {word} of the first convolution is computed, not a parameter", name="fold-shared-weight")
        if len(node.users) > 1:
            raise NotFoldableError(
                f"the {word} of the first convolution, {self.constants[node.name]}, is used by another operation too",
                name="fold-shared-weight",
            )
        return self.constants[node.name]
