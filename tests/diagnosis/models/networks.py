"""Small networks whose BatchNorms know a preprocessing, without training; and pictures for them."""

import functools

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from PIL import Image
from torch import nn

from preproc.diagnosis import variants
from preproc.oracle import reference

WAYS = {variant.name: variant for variant in variants(None)}


@functools.cache
def pictures(count, *, seed, size=20):
    """(count, size, size, 3) uint8: smooth blobs, warm ones and cold ones, on brown paper."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        coarse = rng.normal(0, 1, (5, 5, 3)) * (45, 30, 20) + (170, 120, 70) + rng.normal(0, 12, 3)
        smooth = [Image.fromarray(coarse[..., c].astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC) for c in range(3)]
        found.append(np.stack([np.asarray(plane) for plane in smooth], axis=-1) + rng.normal(0, 6, (size, size, 3)))
    drawn = np.clip(np.rint(found), 0, 255).astype(np.uint8)
    drawn.flags.writeable = False  # all tests share them
    return drawn


def save(folder, arrays):
    folder.mkdir(parents=True)
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"{number:03}.png")
    return folder


def network(*middle, channels=3, seed=0):
    torch.manual_seed(seed)
    first = nn.Conv2d(channels, 8, 3, stride=2, padding=1)
    return nn.Sequential(first, *middle, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))


def with_statistics(net, steps, seen):
    """The network in eval mode, its BatchNorms as after one look at these pictures, prepared by these steps."""
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
    with torch.no_grad():
        net.train()(torch.from_numpy(reference.apply(steps, seen)).float())
    return net.eval()


def trained(way, seed=0):
    return with_statistics(network(nn.BatchNorm2d(8), nn.ReLU(), seed=seed), WAYS[way].steps, pictures(200, seed=100 + seed))


def as_onnx(net, path, *, fused=False):
    """The file of network(BatchNorm2d, ReLU), by hand, with its BatchNormalization or with that in the convolution."""
    conv, norm, *_, last = net
    weight, bias = conv.weight.detach().numpy(), conv.bias.detach().numpy()
    held = [value.detach().numpy() for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var)]
    if fused:
        scale = held[0] / np.sqrt(held[3] + norm.eps)
        weight, bias = weight * scale[:, None, None, None], (bias - held[2]) * scale + held[1]
    names = dict(zip(("w", "b", "scale", "shift", "mean", "var"), [weight, bias, *([] if fused else held)], strict=False))
    tensors = names | {"m": last.weight.detach().numpy(), "c": last.bias.detach().numpy()}
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["y" if not fused else "z"], strides=[2, 2], pads=[1, 1, 1, 1])]
    if not fused:
        nodes.append(helper.make_node("BatchNormalization", ["y", "scale", "shift", "mean", "var"], ["z"], epsilon=norm.eps))
    nodes += [
        helper.make_node("Relu", ["z"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "m", "c"], ["logits"], transB=1),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", onnx.TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [value("logits", onnx.TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path
