"""How far a file or a module is from float64, at its first convolution and at its logits.

float64: torch, of the network as it is, fed with pixels that NumPy normalized in float64. Nothing of preproc is in it.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from preproc.verify.runtimes import onnxruntime
from tests.survey.precision.networks import Network, Pixels
from tests.survey.precision.peers import Written

Double = NDArray[np.float64]
Opener = Callable[[bytes], Callable[[NDArray[Any]], list[NDArray[Any]]]]
Answers = tuple[Double, Double]
"""What the first convolution answers, with the BatchNorm behind it, (N, C, h, w), and the logits, (N, classes)."""


@dataclass(frozen=True)
class Truth:
    """In float64. behind: the logits that the network makes in float32 of what its first layer answers here."""

    first: Double
    logits: Double
    behind: Double


def truth_of(network: Network) -> Truth:
    first, logits = in_torch(copy.deepcopy(network.module).double(), torch.from_numpy(network.ready(network.shown)))
    return Truth(first, logits, behind(network, first))


def in_torch(module: nn.Module, x: torch.Tensor) -> Answers:
    kept: list[torch.Tensor] = []
    hook = first_layer(module)[1].register_forward_hook(lambda _module, _inputs, output: kept.append(output.clone()))  # a ReLU in place
    try:
        with torch.inference_mode():
            logits = torch.cat([module(part) for part in x.split(8)])
    finally:
        hook.remove()
    return torch.cat(kept).double().numpy(), logits.double().numpy()


def first_layer(module: nn.Module) -> tuple[nn.Conv2d, nn.Module]:
    """The first convolution, and what its answer is taken from: the BatchNorm behind it, or itself."""
    layers = [layer for layer in module.modules() if not list(layer.children())]
    at = next(at for at, layer in enumerate(layers) if isinstance(layer, nn.Conv2d))
    return layers[at], layers[at + 1] if isinstance(layers[at + 1], nn.BatchNorm2d) else layers[at]


def in_onnxruntime(written: Written, pixels: Pixels, open_with: Opener | None = None) -> Answers:
    model = onnx.load(written.file)
    value = next(node for node in model.graph.node if node.op_type == "Conv").output[0]
    value = next((node.output[0] for node in model.graph.node if node.op_type == "BatchNormalization" and node.input[0] == value), value)
    model.graph.output.append(onnx.ValueInfoProto(name=value))
    logits, first = (open_with or opened)(model.SerializeToString())(written.prepare(pixels))
    return first.astype(np.float64), logits.astype(np.float64)


def opened(model: Path | bytes) -> Callable[[NDArray[Any]], list[NDArray[Any]]]:
    """In ONNX Runtime on one thread of the CPU."""
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = ort.InferenceSession(str(model) if isinstance(model, Path) else model, options, providers=["CPUExecutionProvider"])
    (name,) = (value.name for value in session.get_inputs())
    return lambda x: session.run(None, {name: x})


def behind(network: Network, first: Double) -> Double:
    """The logits that the network makes in float32 of what a first layer answered."""
    hook = first_layer(network.module)[1].register_forward_hook(lambda *_: torch.from_numpy(first.astype(np.float32)))
    try:
        with torch.inference_mode():
            return network.module(torch.from_numpy(network.ready(network.shown).astype(np.float32))).double().numpy()
    finally:
        hook.remove()


@dataclass(frozen=True)
class Errors:
    """Root mean squares over root mean squares, one number a picture. inside, border: of the first convolution, border where it reads
    padding; None where there is none.  logits: over what the pictures make of them, less their mean over the pictures.  from_first: of
    them, what the first convolution's error alone makes of them.  agree: the share of pictures with the same largest logit."""

    inside: Double
    border: Double | None
    logits: Double
    from_first: Double
    agree: float


def errors_of(network: Network, got: Answers, truth: Truth) -> Errors:
    border = border_of(network)
    first, logits = got
    centre, alone = truth.logits.mean(axis=0), behind(network, first) - truth.behind
    return Errors(
        inside=_relative(first[..., ~border], truth.first[..., ~border]),
        border=_relative(first[..., border], truth.first[..., border]) if border.any() else None,
        logits=_relative(logits, truth.logits, centre),
        from_first=_relative(truth.logits + alone, truth.logits, centre),
        agree=float((logits.argmax(axis=1) == truth.logits.argmax(axis=1)).mean()),
    )


def border_of(network: Network) -> NDArray[np.bool_]:
    """(h, w): where the first convolution reads padding."""
    conv, _ = first_layer(network.module)
    ones = torch.ones(1, 1, *network.size), torch.ones(1, 1, *conv.kernel_size)
    seen = torch.nn.functional.conv2d(*ones, None, conv.stride, conv.padding, conv.dilation)[0, 0]
    return (seen < seen.max()).numpy()


def _relative(got: Double, truth: Double, centre: Double | float = 0.0) -> Double:
    axes = tuple(range(1, truth.ndim))
    return np.sqrt(np.square(got - truth).mean(axes) / np.square(truth - centre).mean())
