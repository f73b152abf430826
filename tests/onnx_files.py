"""Small .onnx files for tests: made by hand, for attach; and steps alone."""

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper
from packaging.version import Version

from preproc.export import attach
from preproc.graph.builder import Builder
from preproc.graph.nodes import build
from preproc.sources import PixelsSpec
from preproc.steps import YUV, FromPixels, Normalize, Rescale
from preproc.verify.runtimes import onnxruntime

STEPS = (Rescale(), Normalize.preset("imagenet"))
AUTO_PADS = ["SAME_UPPER", "SAME_LOWER", "VALID"] if Version(onnx.__version__) >= Version("1.23") else []
"""What onnx's own evaluator can be the oracle of: older ones take the batch and the channels for the sides of the picture."""


def hand_made(
    tmp_path,
    *,
    shape=("N", 3, 24, 20),
    dtype=TensorProto.FLOAT,
    opset=18,
    ir_version=10,
    nodes=None,
    metadata=None,
    extra=(),
):
    """A small file that reacts to everything, with whatever a test wants in it."""
    rng = np.random.default_rng(2)
    np_type = helper.tensor_dtype_to_np_dtype(dtype)
    weights = {"w": rng.normal(size=(8, 3, 3, 3)), "b": rng.normal(size=8), "h": rng.normal(size=(8, 4))}
    tail = [
        helper.make_node("Conv", ["first", "w", "b"], ["c"], name="conv", pads=[1, 1, 1, 1], strides=[2, 2], doc_string="the stem"),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("MatMul", ["f", "h"], ["scores/out:0"]),
    ]
    inputs = [helper.make_tensor_value_info("image", dtype, shape), *extra]
    if ir_version < 4:
        inputs += [helper.make_tensor_value_info(key, dtype, value.shape) for key, value in weights.items()]
    outputs = [helper.make_tensor_value_info("scores/out:0", dtype, [shape[0], 4])]
    made = helper.make_graph(
        [*(nodes or [helper.make_node("Identity", ["image"], ["first"])]), *tail],
        "net",
        inputs,
        outputs,
        [numpy_helper.from_array(value.astype(np_type), key) for key, value in weights.items()],
        doc_string="a graph",
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version, producer_name="somebody")
    helper.set_model_props(model, metadata or {})
    onnx.save(model, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def old_network(tmp_path):
    """Of opset 9, with operators that newer ones write otherwise."""
    rng, names = np.random.default_rng(3), ("scale", "shift", "mean", "var")
    weights = {"w": rng.normal(size=(3, 3, 3, 3))} | {name: rng.uniform(0.5, 1.5, 3) for name in names}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", *names], ["n"]),
        helper.make_node("Clip", ["n"], ["r"], min=0.0, max=6.0),
        helper.make_node("Dropout", ["r"], ["d", "mask"], ratio=0.3),
        helper.make_node("Pad", ["d"], ["p"], pads=[0, 0, 1, 1, 0, 0, 0, 0], value=0.5),
        helper.make_node("Slice", ["p"], ["s"], starts=[1, 0], ends=[9, 20], axes=[2, 3]),
        helper.make_node("Upsample", ["s", "twice"], ["u"]),
        helper.make_node("ReduceMean", ["u"], ["y"], axes=[2, 3], keepdims=0),
    ]
    made = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 24, 20])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [
            *(numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()),
            numpy_helper.from_array(np.float32([1, 1, 2, 2]), "twice"),
        ],
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 9)], ir_version=4), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def single(tmp_path):
    """A number per picture, (N,)."""
    file = hand_made(tmp_path, opset=13)
    model = onnx.load(file)
    model.graph.node.append(helper.make_node("ReduceMax", ["scores/out:0"], ["most"], keepdims=0, axes=[1]))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("most", TensorProto.FLOAT, ["N"]))
    onnx.save(model, file)
    return file


def put(file, out, **options):
    spec = PixelsSpec(layout="NHWC", color="BGR", dtype="uint8", size=options.pop("size", None), channels=3)
    return attach(file, out, steps=options.pop("steps", STEPS), pixels=spec, **options)


def in_one_thread(model):
    """A session of ONNX Runtime on the CPU. Threads of its own, which spin, make a small one cost ten times as much."""
    options = onnxruntime().SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime().InferenceSession(model, options, providers=["CPUExecutionProvider"])


def alone(steps, *, size=None, channels=3, opset=18, dtype=ir.DataType.FLOAT, batch="N"):
    """The steps as a whole model, its bytes: "pixels" as a leading from_pixels takes them, else (N, C, H, W) of dtype; "ready" out.
    size: (height, width) of the pixels; None: free, one of them or both.  channels: where no from_pixels says how many."""
    first = steps[0]
    raw = isinstance(first, FromPixels)
    channels = (first.channels() or channels) if raw else channels
    size = size or (None, None)
    height, width = (name if side is None else side for side, name in zip(size, "hw", strict=True))
    sides = {"N": batch, "C": channels, "H": height, "W": width}
    if raw and first.color in YUV:
        values = YUV[first.color].values
        sides |= {"C": int(values), "H": height if first.layout != "NHW" else "rows" if size[0] is None else int(size[0] * values)}
    shape = [sides[axis] for axis in (first.layout if raw else "NCHW")]
    kind = ir.DataType[first.pixel_dtype.upper()] if raw else dtype
    builder = Builder(dtype, channels, opset=opset, size=size)
    pixels = ir.Value(name="pixels", shape=ir.Shape(shape), type=ir.TensorType(kind))
    output = build(builder, steps, pixels)
    output.name, output.type, output.shape = "ready", ir.TensorType(dtype), ir.Shape(["a", "b", "c", "d"])
    made = ir.Graph([pixels], [output], nodes=builder.nodes, initializers=builder.constants, opset_imports={"": opset}, name="steps")
    proto = ir.to_proto(ir.Model(made, ir_version=10))
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


def several(tmp_path, *, number=True):
    """A picture, a second picture, a row per picture and a number (else as many as pictures)."""
    extra = [
        helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["N", 1, 24, 20]),
        helper.make_tensor_value_info("info/row", TensorProto.FLOAT, ["N", 4]),
        helper.make_tensor_value_info("count", TensorProto.INT64, [] if number else ["N", 1]),
    ]
    proto = onnx.load(hand_made(tmp_path, extra=extra))
    proto.graph.node[-1].output[0] = "scores"
    proto.graph.node.extend(
        [
            helper.make_node("GlobalMaxPool", ["mask"], ["m"]),
            helper.make_node("Flatten", ["m"], ["m1"]),
            helper.make_node("Mul", ["scores", "info/row"], ["s1"]),
            helper.make_node("Mul", ["s1", "m1"], ["s2"]),
            helper.make_node("Cast", ["count"], ["c1"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["s2", "c1"], ["scores/out:0"]),
        ]
    )
    onnx.save(proto, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"
