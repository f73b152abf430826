"""Finding the convolutions that read a torch backbone's input, in torch.export's graph."""

import copy
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from ...errors import NotFoldableError, PreprocError
from ...steps import Affine
from .. import Reader, Tracked
from .plain import stand_in
from .rules import RULES
from .tracing import reason, unheard
from .values import Values, arguments_of


@dataclass(frozen=True)
class Found:
    """readers: the convolutions that read the picture.  plain: those of them that stand in for modules which compute their weights, by
    these modules' names."""

    readers: list[Reader]
    plain: dict[str, nn.Conv2d]

    def stand_in(self, backbone: nn.Module) -> None:
        """Makes every reader's weight a parameter, in place."""
        for path, convolution in self.plain.items():
            backbone.set_submodule(path, convolution)


def first_convolutions(backbone: nn.Module, example: Tensor) -> Found:
    """The convolutions that read the values of the backbone's input, found in torch.export's graph.

    example: (N, C, H, W) float, model-ready.  Raises NotFoldableError with the reason if anything else reads them.
    """
    walk = _walk(backbone, example)
    walk.check()
    return Found(walk.readers, walk.plain)


def _walk(backbone: nn.Module, example: Tensor) -> "_Walk":
    if len(example) < 2:
        example = example.expand(2, *example.shape[1:])
    try:
        with torch.no_grad(), warnings.catch_warnings(), unheard():
            warnings.simplefilter("ignore")  # whatever the backbone warns about, it says again when it runs
            exported = torch.export.export(copy.deepcopy(backbone).eval() if backbone.training else backbone, (example,), strict=False)
    except Exception as error:  # torch.export raises whatever the model's code meets; it all means the same here
        raise NotFoldableError(f"torch.export cannot read the backbone: {reason(error)}", name="fold-untraceable") from error
    walk = _Walk(exported, example.shape[1], backbone)
    if walk.met_written:  # rare, and as slow as the export: the same graph without operations that write into their arguments
        walk = _Walk(exported.run_decompositions({}), example.shape[1], backbone)
    return walk


class _Walk(Values):
    """Translates torch.export's operators into Tracked's, from the input to the convolutions. plain: as Found's."""

    def __init__(self, exported: torch.export.ExportedProgram, channels: int, backbone: nn.Module) -> None:
        super().__init__(exported)
        self.backbone, self.plain = backbone, dict[str, nn.Conv2d]()
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
        source, weight, bias = self.of(arguments["input"]), arguments["weight"], arguments.get("bias")
        given = [value for value in (weight, bias) if value is not None]
        if all(isinstance(value, fx.Node) and value.name in self.constants for value in given):
            names = [self._parameter(value, word) for value, word in zip(given, ("weight", "bias"), strict=False)]
        else:
            names = self._standing_in(node, weight, bias)
        padding = arguments.get("padding", 0)
        if isinstance(padding, str):
            pads_zero = padding == "same" and max(weight.meta["val"].shape[2:]) > 1
        else:
            pads_zero = max(padding if isinstance(padding, (list, tuple)) else [padding]) > 0
        return Reader.of(
            source, weight=names[0], bias=names[1] if bias is not None else None, groups=arguments.get("groups", 1), pads_zero=pads_zero
        )

    def _parameter(self, node: fx.Node, word: str) -> str:
        name = self.constants[node.name]
        if len(node.users) > 1:
            raise NotFoldableError(
                f"the {word} of the first convolution, {name}, is used by another operation too", name="fold-shared-weight"
            )
        return name

    def _standing_in(self, node: fx.Node, weight: Any, bias: Any) -> list[str]:
        """The names that weight and bias will have in the convolution that stands in for the module which computes them."""
        path, made = stand_in(self.backbone, node, self._tensor(weight), None if bias is None else self._tensor(bias), self.tracked)
        self.plain[path] = made
        return [f"{path}.weight", f"{path}.bias"]

    def _tensor(self, value: Any) -> Tensor:
        found = self._evaluate(value)
        if not isinstance(found, Tensor):
            raise NotFoldableError(
                "the weight of the first convolution is computed from what only a run tells, or from the picture",
                name="fold-computed-value",
            )
        return found
