"""Small .onnx files that take other than one batch of pictures: no batch, frames, two pictures."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

node = helper.make_node
RNG = np.random.default_rng(3)
W2, W3 = (RNG.normal(size=(8, 3, *[3] * rank)).astype(np.float32) for rank in (2, 3))
HEAD = RNG.normal(size=(8, 4)).astype(np.float32)


def network(folder, shape, front, *, opset=13, weight=W2, pads=1, image="image", batch=1):
    """front: nodes that make "first" of the picture; then a convolution up to (batch, 4) scores that react to everything."""
    kernel = weight.ndim - 2
    nodes = [
        *front,
        node("Conv", ["first" if front else image, "w", "b"], ["c"], pads=[pads] * 2 * kernel, name="conv"),
        node("Relu", ["c"], ["r"]),
        node("GlobalAveragePool", ["r"], ["g"]),
        node("Flatten", ["g"], ["f"]),
        node("MatMul", ["f", "h"], ["y"]),
    ]
    arrays = {"w": weight, "b": RNG.normal(size=8).astype(np.float32), "h": HEAD, "zero": np.array([0], np.int64)}
    arrays |= {"pictures": np.array([-1, 3, 12, 16], np.int64)}
    arrays |= {name: np.array([number], np.int64) for name, number in (("two", 2), ("five", 5), ("all", -1))}
    inputs = [helper.make_tensor_value_info(image, TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 4])]
    made = helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(array, name) for name, array in arrays.items()])
    file = folder / "m.onnx"
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), file)
    return file


UNSQUEEZED = [node("Unsqueeze", ["image", "zero"], ["first"])]
OLD = [node("Unsqueeze", ["image"], ["first"], axes=[0])]
TURNED = [node("Transpose", ["image"], ["t"], perm=[2, 0, 1]), node("Unsqueeze", ["t", "zero"], ["first"])]
TOGETHER = [node("Reshape", ["image", "pictures"], ["first"])]
SECOND = [node("Transpose", ["image"], ["first"], perm=[0, 2, 1, 3, 4])]
COMPUTED = [node("Shape", ["image"], ["sides"]), node("Slice", ["sides", "two", "five"], ["own"])]
COMPUTED += [node("Concat", ["all", "own"], ["as pictures"], axis=0), node("Reshape", ["image", "as pictures"], ["first"])]
CASES = {
    "CHW": ([3, 12, 16], UNSQUEEZED, {}, "HWC", [12, 16, 3], True),
    "CHW, free sides": ([3, "h", "w"], UNSQUEEZED, {}, "HWC", ["height", "width", 3], True),
    "CHW, opset 11": ([3, 12, 16], OLD, {"opset": 11}, "HWC", [12, 16, 3], True),
    "HWC": ([12, 16, 3], TURNED, {}, "HWC", [12, 16, 3], True),
    "NCTHW": (["N", 3, 4, 12, 16], [], {"weight": W3, "batch": "N"}, "NTHWC", ["N", 4, 12, 16, 3], True),
    "NCTHW, free frames": (["N", 3, "T", 12, 16], [], {"weight": W3, "batch": "N"}, "NTHWC", ["N", "frames", 12, 16, 3], True),
    "NTCHW": (["N", 4, 3, 12, 16], SECOND, {"weight": W3, "batch": "N"}, "NTHWC", ["N", 4, 12, 16, 3], True),
    "NTCHW, one batch": ([1, 4, 3, 12, 16], SECOND, {"weight": W3}, "NTHWC", [1, 4, 12, 16, 3], True),
    "NTCHW as pictures": (["N", 4, 3, 12, 16], TOGETHER, {"batch": None}, "NTHWC", ["N", 4, 12, 16, 3], True),
}


SHAPE = ["N", 3, 10, 12]


def stereo(folder, shapes=(SHAPE, SHAPE), *, apart=False, blind=False, opset=13):
    """Scores of what "left" and "right" have not in common; apart: convolutions of their own.  blind: of "right" hardly anything."""
    rng = np.random.default_rng(5)
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in (("w", (8, 3, 3, 3)), ("v", (8, 3, 3, 3)), ("h", (8, 4)))}
    arrays |= {"b": rng.normal(size=8).astype(np.float32), "little": np.float32(1e-9 if blind else 0.7)}
    nodes = [
        node("Conv", ["left", "w", "b"], ["a"], pads=[1] * 4),
        node("Conv", ["right", "v" if apart else "w", "b"], ["c"], pads=[1] * 4),
        *(node("Relu", [name], [f"r{name}"]) for name in "ac"),
        *(node("GlobalAveragePool", [f"r{name}"], [f"g{name}"]) for name in "ac"),
        node("Mul", ["gc", "little"], ["d"]),
        node("Sub", ["ga", "d"], ["e"]),
        node("Flatten", ["e"], ["f"]),
        node("MatMul", ["f", "h"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in zip(("left", "right"), shapes, strict=True)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [shapes[0][0] if len(shapes[0]) == 4 else 1, 4])]
    made = helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(array, name) for name, array in arrays.items()])
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), folder / "m.onnx")
    return folder / "m.onnx"
