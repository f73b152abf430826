"""Finding the convolutions that read a torch backbone's input, in torch.export's graph."""

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, fx, nn

from ...errors import NotFoldableError, PreprocError
from ...steps import Affine
from .. import Reader, Tracked
from .rules import RULES
from .tracing import reason, unheard
from .values import Values, arguments_of


def first_convolutions(backbone: nn.Module, example: Tensor) -> list[Reader]:
    """The convolutions that read the values of the backbone's input, found in torch.export's graph.

    example: (N, C, H, W) float, model-ready.  Raises NotFoldableError with the reason if anything else reads them.
    """
    walk = _walk(backbone, example)
    walk.check()
    return walk.readers


def _walk(backbone: nn.Module, example: Tensor) -> "_Walk":
    if len(example) < 2:
        example = example.expand(2, *example.shape[1:])
    try:
        with torch.no_grad(), warnings.catch_warnings(), unheard():
            warnings.simplefilter("ignore")  # whatever the backbone warns about, it says again when it runs
            exported = torch.export.export(copy.deepcopy(backbone).eval() if backbone.training else backbone, (example,), strict=False)
    except Exception as error:  # torch.export raises whatever the model's code meets; it all means the same here
        raise NotFoldableError(f"torch.export cannot read the backbone: {reason(error)}", name="fold-untraceable") from error
    walk = _Walk(exported, example.shape[1])
    if walk.met_written:  # rare, and as slow as the export: the same graph without operations that write into their arguments
        walk = _Walk(exported.run_decompositions({}), example.shape[1])
    return walk


class _Walk(Values):
    """Translates torch.export's operators into Tracked's, from the input to the convolutions."""

    def __init__(self, exported: torch.export.ExportedProgram, channels: int) -> None:
        super().__init__(exported)
        (image,) = exported.graph_signature.user_inputs[:1]
        for node in self.nodes:
            if node.op == "placeholder" and node.name == image:
                self.tracked[node] = Tracked(Affine.identity(channels))
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
        if name.startswith("aten.conv2d"):
            self.readers.append(self._reader(node))
            return
        rule = RULES.get(name)
        if rule is None:
            raise self.no_convolution(name)
        self.tracked[node] = rule(self, node)

    def _reader(self, node: fx.Node) -> Reader:
        arguments = arguments_of(node)
        weight, bias = self._parameter(arguments["weight"], "weight"), arguments.get("bias")
        padding = arguments.get("padding", 0)
        kernel = self.values[weight].shape[2:]
        if isinstance(padding, str):
            pads_zero = padding == "same" and max(kernel) > 1
        else:
            pads_zero = max(padding if isinstance(padding, (list, tuple)) else [padding]) > 0
        return Reader.of(
            self.of(arguments["input"]),
            weight=weight,
            bias=None if bias is None else self._parameter(bias, "bias"),
            groups=arguments.get("groups", 1),
            pads_zero=pads_zero,
        )

    def _parameter(self, node: Any, word: str) -> str:
        if not isinstance(node, fx.Node) or node.name not in self.constants:
            raise NotFoldableError(f"the {word} of the first convolution is computed, not a parameter", name="fold-shared-weight")
        if len(node.users) > 1:
            raise NotFoldableError(
                f"the {word} of the first convolution, {self.constants[node.name]}, is used by another operation too",
                name="fold-shared-weight",
            )
        return self.constants[node.name]
