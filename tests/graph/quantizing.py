"""Small .onnx files that quantize their picture first, as quantizers write them: QDQ and QOperator, of every dtype and layout."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

node = helper.make_node
LAYOUTS = {"NCHW": ["N", 3, "h", "w"], "NHWC": ["N", "h", "w", 3]}


def quantizing(path, scale=1 / 255, zero=0, *, dtype=np.uint8, layout="NCHW", operator="qdq", channels=3, front=(), opset=17, more=()):
    """x -> QuantizeLinear "first" -> a padded convolution of int8 weights -> y. scale, zero: a number, or one for each channel.
    operator: "qdq", "QLinearConv" or "ConvInteger".  front: nodes that make "ready" of x.  more: nodes and outputs behind."""
    rng = np.random.default_rng(0)
    signed = dtype == np.int8
    arrays = {
        "s": np.asarray(scale, np.float32),
        "z": np.asarray(zero, dtype),
        "wq": rng.integers(-100, 100, (8, channels, 3, 3)).astype(np.int8),
        "ws": rng.uniform(0.005, 0.01, 8).astype(np.float32),
        "wz": np.zeros(8, np.int8),
        "ys": np.float32(0.05),
        "yz": np.asarray(0 if signed else 128, dtype),
        "h": rng.normal(size=(8, 5)).astype(np.float32),
    }
    quantize = {"axis": layout.index("C")} if np.size(scale) > 1 else {}
    nodes = [*front, node("QuantizeLinear", ["ready" if front else "x", "s", "z"], ["q"], name="first", **quantize)]
    if layout == "NHWC":
        nodes.append(node("Transpose", ["q"], ["qt"], perm=[0, 3, 1, 2]))
        quantize = {"axis": 1} if quantize else {}
    q, conv = ("qt" if layout == "NHWC" else "q"), {"pads": [1] * 4, "strides": [2, 2]}
    match operator:
        case "qdq":
            nodes.append(node("DequantizeLinear", [q, "s", "z"], ["d"], name="back", **quantize))
            nodes.append(node("DequantizeLinear", ["wq", "ws", "wz"], ["w"], axis=0))
            nodes.append(node("Conv", ["d", "w"], ["c"], **conv))
        case "QLinearConv":
            nodes.append(node("QLinearConv", [q, "s", "z", "wq", "ws", "wz", "ys", "yz"], ["c8"], **conv))
            nodes.append(node("DequantizeLinear", ["c8", "ys", "yz"], ["c"]))
        case "ConvInteger":
            arrays["step"] = np.float32(0.01 * scale)
            nodes += [node("ConvInteger", [q, "wq", "z"], ["ci"], **conv), node("Cast", ["ci"], ["cf"], to=TensorProto.FLOAT)]
            nodes.append(node("Mul", ["cf", "step"], ["c"]))
    nodes += [node("Relu", ["c"], ["r"]), node("GlobalAveragePool", ["r"], ["g"]), node("Flatten", ["g"], ["f"])]
    nodes += [node("MatMul", ["f", "h"], ["y"])]
    used = {name for each in nodes for name in each.input}
    return saved(path, nodes, {name: array for name, array in arrays.items() if name in used}, LAYOUTS[layout], opset=opset, more=more)


def appended(path, dtype=np.uint8, zero=118, *, before=0, opset=17):
    """As a quantizer leaves pixels that are folded with a constant channel: whole numbers, a scale of 1."""
    front = [
        node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        node("Transpose", ["floats"], ["t"], perm=[0, 3, 1, 2]),
        node("Sub", ["t", "middle"], ["u"]),
        node("Pad", ["u", "pads", "one"], ["ready"], mode="constant"),
    ]
    proto = onnx.load(quantizing(path, 1, zero, dtype=dtype, channels=4, front=front, opset=opset))
    weights = {"middle": np.float32(118), "one": np.float32(1), "pads": np.array([0, before, 0, 0, 0, 1 - before, 0, 0])}
    proto.graph.initializer.extend(numpy_helper.from_array(np.asarray(array), key) for key, array in weights.items())
    proto.graph.input[0].CopyFrom(helper.make_tensor_value_info("pixels", TensorProto.UINT8, LAYOUTS["NHWC"]))
    onnx.save(proto, path)
    return path


def saved(path, nodes, arrays, shape, *, opset=17, more=(), kind=TensorProto.FLOAT):
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5]), *more]
    weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    made = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", kind, shape)], outputs, weights)
    proto = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(proto), path)
    return path
