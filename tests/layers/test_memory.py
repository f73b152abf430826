"""Layers write to what they have made themselves; what they are given, and what anybody sees of a module inside of them, stays as it is."""

import numpy as np
import pytest
import torch
from torch import nn

from preproc.layers import ChannelAffine, FromPixels, MinMaxScale, Normalize, Pipeline, Rescale
from preproc.oracle import reference
from tests.layers.kinds import LAYERS, picture

MIX = ((0.3, 0.6, 0.1), (0.5, -0.4, 0.2), (0.1, 0.1, 0.9))
IMAGENET = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
WITH_SUMS = {
    "rescaled": [Rescale(scale=1 / 127.5, offset=-1)],
    "normalized": [Rescale(), Normalize.preset("imagenet")],
    "grey-levels": [Normalize(unit="0-255", **IMAGENET)],
    "ranges": [Rescale(), MinMaxScale(low=0.1, high=0.9, clip=True)],
    "mixed": [ChannelAffine(matrix=MIX, offset=(1.0, 2.0, 3.0))],
}
PIPELINES = {
    f"{name}, {color}, {layout}": lambda later=later, color=color, layout=layout: Pipeline(FromPixels(layout=layout, color=color), *later)
    for name, later in WITH_SUMS.items()
    for color in ("RGB", "BGR")
    for layout in ("NHWC", "NCHW")
}


def changed(module, x):
    """The modules in `module` whose input or output was written to after they were given it, or gave it."""
    held = []

    def hold(name):
        return lambda _, given, made: held.extend((name, value, value.detach().clone()) for value in (*given, made))

    for name, part in module.named_modules():
        part.register_forward_hook(hold(name))
    module(x)
    assert len(held) >= 2
    return [name for name, value, before in held if torch.is_tensor(value) and not torch.equal(value, before)]


def test_what_is_written_to_is_seen():
    assert changed(nn.Sequential(nn.Identity(), nn.ReLU(inplace=True)), torch.full((1, 3, 2, 2), -1.0)) != []


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_leaves_its_input_and_what_its_parts_made(name, gradient):
    x = torch.from_numpy(picture(3, (9, 7))).float() * 255
    assert changed(LAYERS[name](3), x.requires_grad_(gradient)) == []


@pytest.mark.parametrize("collapsed", [False, True])
@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_leaves_what_its_layers_made(name, collapsed, rng):
    pipeline = PIPELINES[name]()
    pipeline = pipeline.collapse() if collapsed else pipeline
    shape = (2, 6, 5, 3) if "NHWC" in name else (2, 3, 6, 5)
    assert changed(pipeline, torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8))) == []


@pytest.mark.parametrize("pixel_dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("strides", ["whole", "every-second", "channels-last", "mirrored"])
def test_pixels_of_any_strides_become_contiguous_planes(strides, layout, pixel_dtype, rng):
    """They are cast and moved in one pass, which follows the memory that it is given."""
    pixels = torch.from_numpy(rng.integers(0, 256, (2, 6, 8, 3) if layout == "NHWC" else (2, 3, 6, 8)).astype(pixel_dtype))
    if strides == "every-second":
        pixels = pixels[:, ::2, :, :]
    elif strides == "channels-last":
        pixels = pixels.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    elif strides == "mirrored":
        pixels = pixels.transpose(2, 3).contiguous().transpose(2, 3)
    channels = pixels.shape[3 if layout == "NHWC" else 1]
    layer = FromPixels(layout=layout, color="ANY", to="ANY", pixel_dtype=pixel_dtype)
    made = layer(pixels)
    assert made.is_contiguous()
    assert made.shape[1] == channels
    np.testing.assert_array_equal(made.numpy(), reference.apply([layer.step], pixels.numpy()))


def test_a_recorded_graph_begins_with_the_cast():
    """The one thing that TensorRT takes uint8 into."""
    x = torch.zeros(2, 6, 5, 3, dtype=torch.uint8)
    program = torch.export.export(FromPixels(layout="NHWC"), (x,))
    first = next(
        node
        for node in program.graph.nodes
        if node.op == "call_function" and node.target is not torch.ops.aten._assert_tensor_metadata.default
    )
    assert first.target in (torch.ops.aten.to.dtype, torch.ops.aten._to_copy.default)
    assert first.args[0].op == "placeholder"
