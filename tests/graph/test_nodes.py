"""The nodes of every step, equal to the oracle."""

import numpy as np
import onnx_ir as ir
import pytest
import torch

from preproc import graph
from preproc.graph.builder import Builder
from preproc.graph.editing import insert
from preproc.graph.nodes import build
from preproc.layers import Pipeline
from preproc.oracle import reference
from preproc.steps import (
    ChannelAffine,
    FromPixels,
    LocalResponseNorm,
    MinMaxNormalize,
    MinMaxScale,
    Normalize,
    Rescale,
    Standardize,
    collapse_steps,
    rounds_once,
)
from preproc.verify.runtimes import evaluate
from tests.graph.models import CHANNELS, FLOAT, model, node, pixels, spec
from tests.onnx_files import alone, in_one_thread

NODES = {
    "rescale": ([Rescale(scale=1 / 127.5, offset=-1)], "RGB"),
    "normalize": ([Rescale(), Normalize.preset("imagenet")], "BGR"),
    "min-max-scale": ([MinMaxScale(low=10, high=200, out=(-1, 1), clip=True)], "RGB"),
    "min-max-normalize": ([Rescale(), MinMaxNormalize()], "RGB"),
    "min-max-normalize-channel": ([MinMaxNormalize(per="channel", out=(-1, 1))], "BGR"),
    "standardize": ([Standardize()], "RGB"),
    "standardize-channel": ([Rescale(), Standardize(per="channel", min_std=0.01, correction=1)], "GRAY"),
    "lrn": ([Rescale(), LocalResponseNorm(size=5, alpha=0.3, k=2)], "RGB"),
    "lrn-even-beta": ([Rescale(), LocalResponseNorm(size=2, alpha=0.3, beta=0.6)], "RGB"),
    "lrn-spatial": ([Rescale(), LocalResponseNorm(size=3, alpha=0.3, region="spatial")], "RGB"),
    "affine-mixing": ([ChannelAffine(matrix=((0.3, 0.6, 0.1), (0.5, -0.4, 0.2)), offset=(1, 2))], "RGB"),
    "affine-monomial": ([ChannelAffine(matrix=((0, 0, 2), (0, 3, 0), (4, 0, 0)), offset=(1, 2, 3))], "RGB"),
    "gray": ([Rescale(), Normalize.preset("imagenet")], "GRAY"),
    "rgba": ([Rescale(), Normalize.preset("imagenet")], "RGBA"),
}

ONCE = [
    *(
        ("uint8", Rescale(scale=scale, offset=offset))
        for scale, offset in ((1 / 255, 0), (2 / 255, -1), (1 / 127.5, -1), (1 / 128, -127.5 / 128))
    ),
    *(("uint8", Normalize(mean=(mean,), std=(std,), unit="0-255")) for mean, std in ((127.5, 127.5), (100.25, 57.0), (0.0, 3.0))),
    ("uint16", Rescale(scale=1 / 65535)),
]


def prepended(steps, color, layout, channels):
    """A model that returns what `steps` make, negated; no step collapsed."""
    made = model([node("Neg", "x", "y")], {}, kind=FLOAT, channels=channels)
    if layout == "collapsed":
        graph.attach(made, steps, spec(color), fold="off")
        return made
    builder = Builder(ir.DataType.FLOAT, CHANNELS[color])
    value = ir.Value(name="pixels", shape=ir.Shape(["N", None, None, None]), type=ir.TensorType(ir.DataType.UINT8))
    insert(made.graph, made.graph.inputs[0], value, builder, build(builder, steps, value))
    return made


@pytest.mark.parametrize(("dtype", "step"), ONCE)
def test_every_level_is_rounded_once_in_file_and_layers(dtype, step):
    """float32 of what float64 computes, level by level: what lies on a tie stays there."""
    top = {"uint8": 255, "uint16": 65535}[dtype]
    steps = [FromPixels(layout="NCHW", color="GRAY", to="GRAY", pixel_dtype=dtype), step]
    assert rounds_once(steps, 1)
    levels = np.arange(top + 1, dtype=dtype).reshape(1, 1, 16, -1)
    want = reference.apply(steps, levels).astype(np.float32)
    (made,) = evaluate(alone(collapse_steps(steps, 1)), [{"pixels": levels}])
    np.testing.assert_array_equal(made[0], want)
    layers = Pipeline.from_steps(steps).collapse()(torch.from_numpy(levels))
    np.testing.assert_array_equal(layers.numpy(), want)


def test_other_constants_are_not_said_to_be_rounded_once():
    steps = [FromPixels(layout="NCHW"), Rescale(), Normalize.preset("imagenet")]
    assert not rounds_once(steps, 3)
    assert not rounds_once([*steps[:1], Standardize()], 3)
    assert rounds_once([*steps[:1], Rescale(scale=0.25, offset=-0.5)], 3)
    assert not rounds_once([*steps[:1], Rescale(scale=0.25, offset=-1 / 3)], 3)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW", "collapsed"])
@pytest.mark.parametrize("name", NODES)
def test_nodes_equal_the_oracle_in_onnxruntime(name, layout):
    later, color = NODES[name]
    order = "NHWC" if layout == "collapsed" else layout
    steps = [FromPixels(layout=order, color=color), *later]
    made = prepended(steps, color, layout, 2 if name == "affine-mixing" else 3)
    session = in_one_thread(graph.to_bytes(made))
    for size in ((9, 7), (6, 11)):
        x = pixels(color, order, size)
        (got,) = session.run(None, {"pixels": x})
        want = -reference.apply(steps, x)
        np.testing.assert_allclose(got, want, rtol=0, atol=2e-6 * np.abs(want).max())


@pytest.mark.parametrize("layout", ["NHWC", "NCHW", "collapsed"])
def test_pixels_go_into_a_cast_alone(layout):
    """Where nothing moves them before: TensorRT takes uint8 into nothing else."""
    order = "NHWC" if layout == "collapsed" else layout
    made = prepended([FromPixels(layout=order, color="BGR"), Rescale(), Normalize.preset("imagenet")], "BGR", layout, 3)
    assert [reader.op_type for reader, _ in made.graph.inputs[0].uses()] == ["Cast"]
