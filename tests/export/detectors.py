"""Small detectors: boxes, scores and labels of what a NonMaxSuppression or a TopK lists; and other orders of their rows."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

node = helper.make_node
OUTPUTS = ("boxes", "scores", "labels")
NMS = [
    node("NonMaxSuppression", ["all_boxes", "all_scores", "most", "overlap", "least"], ["listed"]),
    node("Gather", ["listed", "picture_and_box"], ["places"], axis=1),
    node("GatherND", ["all_boxes", "places"], ["boxes"]),
    node("GatherND", ["all_scores", "listed"], ["scores"]),
    node("Gather", ["listed", "one"], ["labels"], axis=1),
]
BEST = [
    *NMS[:-1],
    node("Transpose", ["all_scores"], ["by_box"], perm=[0, 2, 1]),
    node("TopK", ["by_box", "best"], ["largest", "which"], axis=2, sorted=0),
    node("GatherND", ["which", "places"], ["label"]),
    node("Reshape", ["label", "one_axis"], ["labels"]),
]
"""As NMS, but the label of a box is that of its largest score."""


def _top_k(in_order):
    return [
        node("Transpose", ["all_scores"], ["by_box"], perm=[0, 2, 1]),
        node("Reshape", ["by_box", "flat"], ["line"]),
        node("TopK", ["line", "k"], ["scores", "indices"], axis=1, sorted=in_order),
        node("Mod", ["indices", "classes"], ["labels"]),
        node("Div", ["indices", "classes"], ["box"]),
        node("Unsqueeze", ["box", "two"], ["boxes_1"]),
        node("Expand", ["boxes_1", "corners"], ["boxes_4"]),
        node("GatherElements", ["all_boxes", "boxes_4"], ["boxes"], axis=1),
    ]


LISTS = {"nms": NMS, "best": BEST, "sorted": _top_k(1), "unsorted": _top_k(0)}
CONSTANTS = {
    "rows": np.array([0, -1, 4]),
    "by_class": np.array([0, 3, -1]),
    "most": np.array([20]),
    "overlap": np.float32([0.3]),
    "least": np.float32([0.5]),
    "picture_and_box": np.array([0, 2]),
    "one": np.array(1),
    "best": np.array([1]),
    "one_axis": np.array([-1]),
    "k": np.array([30]),
    "flat": np.array([0, -1]),
    "classes": np.array(3),
    "two": np.array([2]),
    "corners": np.array([1, 1, 4]),
}


def detector(folder, kind):
    rng = np.random.default_rng(0)
    sizes = {"w": ((8, 3, 3, 3), 1.0), "b": ((8,), 1.0), "of_boxes": ((4, 8, 1, 1), 0.5), "of_scores": ((3, 8, 1, 1), 0.05)}
    weights = {name: (scale * rng.normal(size=shape)).astype(np.float32) for name, (shape, scale) in sizes.items()}
    nodes = [
        node("Conv", ["image", "w", "b"], ["c"], pads=[1] * 4, strides=[2, 2]),
        node("Relu", ["c"], ["r"]),
        node("Conv", ["r", "of_boxes"], ["box_map"]),
        node("Transpose", ["box_map"], ["box_rows"], perm=[0, 2, 3, 1]),
        node("Reshape", ["box_rows", "rows"], ["all_boxes"]),
        node("Conv", ["r", "of_scores"], ["score_map"]),
        node("Reshape", ["score_map", "by_class"], ["logits"]),
        node("Sigmoid", ["logits"], ["all_scores"]),
        *LISTS[kind],
    ]
    front = ["n"] if kind in ("nms", "best") else ["N", 30]
    declared = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [*front, 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, front),
        helper.make_tensor_value_info("labels", TensorProto.INT64, front),
    ]
    used = {name for made in nodes for name in made.input}
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights | CONSTANTS).items() if name in used]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 24, 20])
    made = helper.make_graph(nodes, "net", [image], declared, constants)
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), folder / f"{kind}.onnx")
    return folder / f"{kind}.onnx"


def in_order(names, pieces, axis):
    """A change that puts these pieces of the rows, (start, end), one behind the other, in the outputs `names`."""

    def change(model):
        for name in names:
            (maker,) = [made for made in model.graph.node if name in made.output]
            for made in model.graph.node:
                made.input[:] = [f"{name}/before" if value == name else value for value in made.input]
            maker.output[list(maker.output).index(name)] = f"{name}/before"
            for at, piece in enumerate(pieces):
                words = [f"{name}/{at}/{word}" for word in ("start", "end", "axis")]
                model.graph.initializer.extend(
                    numpy_helper.from_array(np.array([number]), word) for word, number in zip(words, (*piece, axis), strict=True)
                )
                model.graph.node.append(node("Slice", [f"{name}/before", *words], [f"{name}/{at}"]))
            model.graph.node.append(node("Concat", [f"{name}/{at}" for at in range(len(pieces))], [name], axis=axis))

    return change
