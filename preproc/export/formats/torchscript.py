"""A model as one TorchScript file: the pipeline scripted, the backbone traced, together in one module."""

import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ...errors import PreprocError, first_line
from ...layers import Model
from .archives import repack

FLAGS = ("benchmark", "deterministic", "cudnn_enabled", "allow_tf32")
"""The last arguments of aten::_convolution. A trace takes them from its process, as constants that no switch changes later."""
ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "transposed", "output_padding", "groups", *FLAGS)
CONVOLUTIONS = ("_convolution", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")


def export_torchscript(model: Model, example: Tensor, path: Path, *, tf32: bool, extra: Mapping[str, str]) -> None:
    """Writes `path`, loadable without preproc. Not frozen, so that it can still move to a device; one dtype per file.

    example: pixels, a batch of at least 2.  tf32: whether its convolutions may round to TF32 on a CUDA device.  extra: TorchScript extra
    files by name.
    Raises PreprocError if the backbone cannot be traced.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.")  # deprecated in torch 2.15; LibTorch and Triton load nothing else
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]  # verification runs other batches, and other sizes
        raw = io.BytesIO()
        try:
            pipeline = torch.jit.script(model.pipeline)
            with _PaddingInNumbers():
                backbone = torch.jit.trace(model.backbone, model.pipeline(example), check_trace=False)
            whole = _copied(torch.jit.script(Model(pipeline, backbone)))  # a backbone that is TorchScript already is its owner's
            settle(whole, tf32=tf32)
            check_settled(whole, tf32=tf32)
        except PreprocError:
            raise
        except (RuntimeError, TypeError, ValueError) as error:
            raise PreprocError(
                f"expected a backbone that torch.jit.trace can record, got: {first_line(error)}", name="not-exportable"
            ) from error
        torch.jit.save(whole, raw, _extra_files=dict(extra))
        repack(raw, path, lambda name: not name.endswith(".debug_pkl"))  # they hold the paths and source lines of this machine


def _copied(module: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    content = io.BytesIO()
    torch.jit.save(module, content)
    content.seek(0)
    copy: torch.jit.ScriptModule = torch.jit.load(content)
    return copy


def settle(model: torch.jit.ScriptModule, *, tf32: bool) -> None:
    """Chooses, in place, what a trace takes from the process and the machine that make it: the flags of every convolution, and the device
    of the tensors that the backbone makes, which becomes that of its input.

    model: scripted around a traced backbone. Its forward becomes one graph; what modules inside would do by themselves stays.
    """
    graph = model.backbone.graph
    torch._C._jit_pass_inline(graph)
    for kind in CONVOLUTIONS:
        for node in graph.findAllNodes(f"aten::{kind}"):
            _replace(graph, node, _chosen(tf32=tf32) | _implied(kind))
    baked = _devices(graph)
    if baked:
        _, picture, *_ = graph.inputs()
        node = graph.create("prim::device", [picture], 1)
        node.insertBefore(next(graph.nodes()))
        node.output().setType(torch._C.DeviceObjType.get())
        for constant in baked:
            constant.output().replaceAllUsesWith(node.output())
            constant.destroy()


def _replace(graph: Any, node: Any, given: Mapping[str, Any]) -> None:
    """By an aten::_convolution with these arguments, the others as they are."""
    if node.namedInput("padding").type().kind() == "StringType":  # only in what came as TorchScript: as the process says, now as before
        return
    graph.setInsertPoint(node)
    inputs = [graph.insertConstant(given[name]) if name in given else node.namedInput(name) for name in ARGUMENTS]
    new = graph.create("aten::_convolution", inputs, 1)
    new.insertBefore(node)
    node.output().replaceAllUsesWith(new.output())
    node.destroy()


def _implied(kind: str) -> dict[str, Any]:
    """The arguments that a convolution of this kind does not have."""
    if kind == "_convolution":
        return {}
    return {"transposed": True} if "transpose" in kind else {"transposed": False, "output_padding": [0]}


def check_settled(model: torch.jit.ScriptModule, *, tf32: bool) -> None:
    """Raises PreprocError if the graph that runs holds a device, or a convolution with other flags than settle() chooses."""
    graph: Any = model.inlined_graph
    chosen = _chosen(tf32=tf32)
    wrong = [f"the device {node.output().toIValue()}" for node in _devices(graph)]
    for node in graph.findAllNodes("aten::_convolution"):
        flags = {name: node.namedInput(name).toIValue() for name in FLAGS}
        wrong += [f"a convolution with {name} = {value}" for name, value in flags.items() if value is not chosen[name]]
    if wrong:
        raise PreprocError(
            f"expected a TorchScript graph that holds nothing of the process that made it, got {wrong[0]}", name="not-exportable"
        )


def _chosen(*, tf32: bool) -> dict[str, bool]:
    return dict(zip(FLAGS, (False, False, True, tf32), strict=True))


def _devices(graph: Any) -> list[Any]:
    """The constants that are a device: one for each tensor that the traced code made or moved."""
    return [node for node in graph.findAllNodes("prim::Constant") if node.output().type().kind() == "DeviceObjType"]


class _PaddingInNumbers(TorchFunctionMode):
    """Writes a padding of "same" or "valid" in numbers: torch.jit.trace records the word, and no flags."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in (torch.conv1d, torch.conv2d, torch.conv3d):
            return func(*args, **kwargs)
        given = dict(zip(_PLAIN, args, strict=False)) | kwargs
        return func(**given | _padding(**given)) if isinstance(given.get("padding"), str) else func(**given)


_PLAIN = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
"""The arguments of torch.conv1d and its like."""


def _padding(*, input: Tensor, weight: Tensor, padding: str, dilation: Any = 1, **_: Any) -> dict[str, Any]:  # noqa: A002 - torch's names
    """The padding in numbers, which are those for both sides, and the input with what is left over behind, as torch has it."""
    sides = [int(side) for side in weight.shape[2:]]
    steps = [dilation] * len(sides) if isinstance(dilation, int) else dilation
    total = [step * (side - 1) if padding == "same" else 0 for step, side in zip(steps, sides, strict=True)]
    behind = [end for both in reversed(total) for end in (0, both % 2)]
    return {"input": functional.pad(input, behind) if any(behind) else input, "padding": [both // 2 for both in total]}
