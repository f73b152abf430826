"""Finding the convolutions that read a torch backbone's input, in torch.export's graph."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from ...errors import NotFoldableError, PreprocError
from .. import Reader, Side, Tracked, Window
from .moves import shape_of
from .plain import module_of, pair, stand_in
from .rules import RULES
from .tracing import exported
from .values import Values, arguments_of

TAKING_BIAS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear)
"""Modules that read a bias as soon as they have one."""
_PRODUCTS = frozenset(("aten.linear.default", "aten.matmul.default", "aten.mm.default"))


class Found:
    """What finds the convolutions, and products with a matrix, that read the values of the backbone's input, if that has so many channels.

    plain: those that stand in for modules which compute their weights, by these modules' names.
    """

    def __init__(self, exported: torch.export.ExportedProgram, backbone: nn.Module) -> None:
        self.exported, self.backbone, self.plain = exported, backbone, dict[str, nn.Conv2d]()

    def __call__(self, channels: int) -> list[Reader]:
        """Raises NotFoldableError with the reason if anything else reads them."""
        walk = _Walk(self.exported, self.backbone, channels)
        if walk.met_written:  # rare, and as slow as the export: the same graph without operations that write into their arguments
            walk = _Walk(self.exported.run_decompositions({}), self.backbone, channels)
        walk.check()
        self.plain = walk.plain
        return walk.readers

    def stand_in(self, backbone: nn.Module) -> None:
        """Makes every reader's weight a parameter, in place."""
        for path, convolution in self.plain.items():
            backbone.set_submodule(path, convolution)


def first_convolutions(backbone: nn.Module, example: Tensor) -> Found:
    """In torch.export's graph. example: (N, C, H, W) float, model-ready.  Raises NotFoldableError where there is none."""
    return Found(exported(backbone, example), backbone)


class _Walk(Values):
    """Translates torch.export's operators into Tracked's, from the input to the convolutions. plain: as Found's."""

    def __init__(self, exported: torch.export.ExportedProgram, backbone: nn.Module, channels: int) -> None:
        super().__init__(exported)
        self.backbone, self.channels, self.plain = backbone, channels, dict[str, nn.Conv2d]()
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
            path = module_of(node)
            self.refuse(error, f"in module {path}" if path else "")

    def _visit(self, node: fx.Node) -> None:
        if node.op == "output":
            raise NotFoldableError("the backbone returns its input", name="fold-not-convolution")
        name = str(node.target)
        if name.startswith(("aten.sym_size", "aten._assert_tensor_metadata", "aten.sym_numel")):
            return
        if name.startswith(("aten.conv1d", "aten.conv2d", "aten.conv3d", "aten.conv_transpose")):
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
        source, weight, bias = self.of(arguments["input"]), arguments["weight"], arguments.get("bias")
        padding, kernel = arguments.get("padding", 0), shape_of(weight)[2:]
        transposed = str(node.target).startswith("aten.conv_transpose")
        if transposed:  # it reads zeros wherever a stride or a kernel leaves room
            pads_zero = (
                max(*kernel, *_all(arguments.get("stride", 1)), *(2 * side for side in _all(arguments.get("output_padding", 0)))) > 1
            )
        elif isinstance(padding, str):
            pads_zero = padding == "same" and max(kernel) > 1
        else:
            pads_zero = max(_all(padding)) > 0
        options = {"axis": 1, "groups": arguments.get("groups", 1), "pads_zero": pads_zero, "turned": transposed}
        options["window"] = None if transposed or len(kernel) != 2 else _window(arguments, kernel)
        if transposed or len(kernel) != 2 or all(value is None or value.name in self.constants for value in (weight, bias)):
            return self._reader(source, self._parameter(weight, "weight"), bias, **options)
        path, made = stand_in(self.backbone, node, self._tensor(weight), None if bias is None else self._tensor(bias), self.tracked)
        self.plain[path] = made
        return Reader.of(source, weight=f"{path}.weight", bias=None if bias is None else f"{path}.bias", channels=self.channels, **options)

    def _tensor(self, node: Any) -> Tensor:
        """What is computed from constants."""
        found = self._evaluate(node)
        if not isinstance(found, Tensor):
            raise NotFoldableError(
                "the weight of the first convolution is computed from what only a run tells, or from the picture",
                name="fold-computed-value",
            )
        return found

    def _product(self, node: fx.Node) -> Reader:
        """x @ weight, or x @ weight.T + bias."""
        source = self.of(node.args[0])
        weight = self._parameter(node.args[1], "weight")
        if self.values[weight].ndim != 2 or source.rank < 2:
            raise self.no_convolution(str(node.target))
        turned = str(node.target) != "aten.linear.default"
        return self._reader(source, weight, arguments_of(node).get("bias"), adds_bias=not turned, axis=source.rank - 1, turned=turned)

    def _reader(self, source: Tracked, weight: str, bias: Any, *, adds_bias: bool = True, **options: Any) -> Reader:
        """adds_bias: whether the operator reads its module's, if that has one."""
        name = None if bias is None else self._parameter(bias, "bias")
        owner, _, attribute = weight.rpartition(".")
        module = self.backbone.get_submodule(owner)
        takes_bias = bias is not None or (isinstance(module, TAKING_BIAS) and attribute == "weight" and adds_bias)
        return Reader.of(source, weight=weight, bias=name, channels=self.channels, takes_bias=takes_bias, **options)

    def _parameter(self, node: Any, word: str) -> str:
        if not isinstance(node, fx.Node) or node.name not in self.constants:
            raise NotFoldableError(f"the {word} of the first convolution is computed, not a parameter", name="fold-shared-weight")
        if len(node.users) > 1:
            raise NotFoldableError(
                f"the {word} of the first convolution, {self.constants[node.name]}, is used by another operation too",
                name="fold-shared-weight",
            )
        name = self.constants[node.name]
        owner, _, attribute = name.rpartition(".")
        if not hasattr(self.backbone.get_submodule(owner), attribute):  # of another network, whose function is called
            raise NotFoldableError(f"the {word} of the first convolution is none of the backbone's own", name="fold-shared-weight")
        return name


def _window(arguments: dict[str, Any], kernel: Sequence[int]) -> Window:
    """Of a convolution of pictures. Padding of "same" has what is left over behind, as torch does."""
    padding, sides = arguments.get("padding", 0), list[Side]()
    for axis, size in enumerate(kernel):
        stride, dilation = (pair(arguments.get(name, 1))[axis] for name in ("stride", "dilation"))
        total = dilation * (size - 1) if padding == "same" else 0
        before, behind = (total // 2, total - total // 2) if isinstance(padding, str) else (pair(padding)[axis],) * 2
        sides.append(Side(size, stride, before, behind, dilation))
    return Window(*sides)


def _all(value: Any) -> Sequence[int]:
    """torch.export writes one number where all are the same, at times."""
    return value if isinstance(value, (list, tuple)) else [value]
