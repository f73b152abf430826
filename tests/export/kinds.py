"""Small .onnx files with outputs of every kind, and damage to what was made of them."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from preproc.bundle import hashes
from tests.onnx_files import hand_made

node = helper.make_node
TAILS = {
    "labels": [node("ArgMax", ["c"], ["labels"], axis=1, keepdims=0)],
    "mask": [node("ReduceMean", ["c"], ["level"], axes=[1]), node("Greater", ["level", "limit"], ["mask"])],
    "words": [node("ArgMax", ["c"], ["classes"], axis=1, keepdims=0), node("Gather", ["names", "classes"], ["words"])],
    "found": [node("Greater", ["scores/out:0", "limit"], ["above"]), node("NonZero", ["above"], ["found"])],
    "rows": [
        node("Reshape", ["r", "all"], ["flat"]),
        node("Greater", ["flat", "high"], ["kept"]),
        node("Compress", ["flat", "kept"], ["rows"], axis=0),
    ],
    "columns": [node("ReduceMean", ["r"], ["line"], axes=[2], keepdims=0), node("Transpose", ["line"], ["columns"], perm=[2, 0, 1])],
    "total": [node("ReduceMean", ["scores/out:0"], ["total"], keepdims=0)],
}
"""An output of each kind, behind the network of hand_made()."""
DECLARED = {
    "labels": (TensorProto.INT64, ["N", 12, 10]),
    "mask": (TensorProto.BOOL, ["N", 1, 12, 10]),
    "words": (TensorProto.STRING, ["N", 12, 10]),
    "found": (TensorProto.INT64, [2, "hits"]),
    "rows": (TensorProto.FLOAT, ["left"]),
    "columns": (TensorProto.FLOAT, [10, "N", 8]),
    "total": (TensorProto.FLOAT, []),
}
WHITE = (1 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
CONSTANTS = {
    "limit": np.float32(0.1),
    "high": np.float32(4.0),
    "all": np.array([-1]),
    "names": np.array([f"class {number}" for number in range(8)], dtype=object),
}


def file_with(folder, *names, scores=True):
    """A file that answers these, behind the scores where these are wanted."""
    file = hand_made(folder, opset=13)
    model = onnx.load(file)
    for name in names:
        kind, shape = DECLARED[name]
        model.graph.node.extend(TAILS[name])
        model.graph.output.append(helper.make_tensor_value_info(name, kind, shape))
    used = {key for made in model.graph.node for key in made.input}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), key) for key, value in CONSTANTS.items() if key in used)
    if not scores:
        del model.graph.output[0]
    onnx.save(model, file)
    return file


def of_ort(report):
    (found,) = [result for result in report.results if result.runtime == "ort-cpu"]
    return found


def damaged(bundle, change):
    """The bundle's model.onnx changed, and the manifest made to agree, so that only running it can tell."""
    model = onnx.load(bundle.folder / "model.onnx")
    change(model)
    onnx.save(model, bundle.folder / "model.onnx")
    manifest = json.loads((bundle.folder / "manifest.json").read_text())
    manifest["files"] = hashes(bundle.folder)
    (bundle.folder / "manifest.json").write_text(json.dumps(manifest))
    return bundle.folder


def behind(name, op, *constants):
    """A change that puts one more operator in front of an output."""

    def change(model):
        (maker,) = [made for made in model.graph.node if name in made.output]
        maker.output[list(maker.output).index(name)] = "before"
        model.graph.initializer.extend(numpy_helper.from_array(value, f"damage{at}") for at, value in enumerate(constants))
        model.graph.node.append(node(op, ["before", *(f"damage{at}" for at in range(len(constants)))], [name]))

    return change
