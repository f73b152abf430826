"""Small ONNX models of a few nodes in front of convolutions, in double precision, and their answers."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from preproc.oracle.files import DoubleFile
from preproc.sources import PixelsSpec
from preproc.steps import FromPixels, Normalize, Rescale

CHANNELS = {"RGB": 3, "BGR": 3, "RGBA": 4, "GRAY": 1}
DOUBLE, FLOAT = TensorProto.DOUBLE, TensorProto.FLOAT


def spec(color="RGB", layout="NHWC", dtype="uint8", size=None, channels=None):
    return PixelsSpec(layout=layout, color=color, dtype=dtype, size=size, channels=channels or CHANNELS[color])


def pixels(color="RGB", layout="NHWC", size=(9, 7), seed=0, dtype="uint8"):
    shape = (2, *size, CHANNELS[color]) if layout == "NHWC" else (2, CHANNELS[color], *size)
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def imagenet(color="RGB", layout="NHWC"):
    return [FromPixels(layout=layout, color=color), Rescale(), Normalize.preset("imagenet")]


def model(nodes, constants, *, kind=DOUBLE, opset=18, outputs=("y",), channels=3, inputs=(), rank=4):
    """A model of hand-made nodes that reads `x` (N, channels, h, w)."""
    np_type = helper.tensor_dtype_to_np_dtype(kind)
    initializers = [
        numpy_helper.from_array(value.astype(np_type) if value.dtype.kind == "f" else value, name) for name, value in constants.items()
    ]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, ["N", channels, "h", "w"]), *inputs],
        [helper.make_tensor_value_info(name, kind, [None] * rank) for name in outputs],
        initializers,
    )
    return ir.from_proto(helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=10))


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs.split(), [output], **attributes)


def conv(weight="w", bias=None, source="x", output="y", **attributes):
    return helper.make_node("Conv", [source, weight, *([bias] if bias else [])], [output], name=f"conv_{output}", **attributes)


def evaluate(made, name, value):
    """onnx's own reference implementation, in the model's precision: no runtime of ours."""
    return ReferenceEvaluator(ir.to_proto(made)).run(None, {name: value})[0]


def doubled(made, name, value):
    """All outputs, in float64 by what shares nothing with the graph's code: onnx's own reference is slow at resizes, knows no groups of
    transposed convolutions, and has cubic weights of float32."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        onnx.save(ir.to_proto(made), file)
        return list(DoubleFile(file)({name: value}, tuple(output.name for output in made.graph.outputs)).values())


W = np.random.default_rng(1).normal(size=(4, 3, 3, 3))
PAD1 = {"pads": [1, 1, 1, 1]}
