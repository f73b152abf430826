"""Detectors whose one output has boxes in pixels and scores in 0..1: each is compared relative to its own unit."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc.bundle import MANIFEST, open_bundle
from preproc.cli.tables import print_report
from preproc.export import verify_bundle
from tests.onnx_files import put

SIDE = 640.0


def detector(folder, *, last, uniform=False):
    """(N, 3, h, w) -> (N, 6, h/8, w/8), or (N, anchors, 6) where the channels are last: four of 0..640, two of 0..1."""
    rng = np.random.default_rng(3)
    units = np.array([1.0 if uniform else SIDE] * 4 + [1.0] * 2).reshape(1, 6, 1, 1)
    weights = {
        "w": rng.normal(size=(6, 3, 8, 8)) / 12,
        "b": rng.normal(size=6) / 4,
        "units": units,
        "off": np.zeros((1, 6, 1, 1)),
        "flat": np.array([0, 6, -1]),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w", "b"], ["c"], strides=[8, 8]),
        helper.make_node("Sigmoid", ["c"], ["s"]),
        helper.make_node("Mul", ["s", "units"], ["m"]),
        helper.make_node("Add", ["m", "off"], ["a"]),
        *(
            [helper.make_node("Reshape", ["a", "flat"], ["r"]), helper.make_node("Transpose", ["r"], ["found"], perm=[0, 2, 1])]
            if last
            else [helper.make_node("Identity", ["a"], ["found"])]
        ),
    ]
    kept = {name: values.astype(np.int64 if name == "flat" else np.float32) for name, values in weights.items()}
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 64, 48])],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, ["N", 48, 6] if last else ["N", 6, 8, 6])],
        [numpy_helper.from_array(values, name) for name, values in kept.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), folder / "m.onnx")
    return folder / "m.onnx"


def with_scores_off(bundle, path, by):
    """The published file, whose scores are off."""
    model = onnx.load(bundle.folder / "model.onnx")
    (off,) = (value for value in model.graph.initializer if value.name == "off")
    off.CopyFrom(numpy_helper.from_array(np.array([0, 0, 0, 0, by, by], np.float32).reshape(1, 6, 1, 1), "off"))
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("last", "boxes", "scores"), [(False, "found[:, 0:4]", "found[:, 4:6]"), (True, "found[..., 0:4]", "found[..., 4:6]")]
)
def test_scores_are_not_compared_relative_to_boxes(tmp_path, capsys, last, boxes, scores):
    bundle = put(detector(tmp_path, last=last), tmp_path / "out", size=(64, 48))
    power = bundle.report.power
    assert list(power.parts) == [boxes, scores] == list(power.truths)
    assert 300 < power.groups[boxes].scale <= SIDE
    assert 0.5 < power.groups[scores].scale <= 1
    assert power.scale == {"found": power.groups[boxes].scale}  # what clients compare with, as before
    (result,) = (result for result in bundle.report.results if result.runtime == "ort-cpu")
    assert result.verdict == "passed"
    assert list(result.parts) == [boxes, scores]
    assert open_bundle(bundle.folder).report == bundle.report
    print_report(bundle.report)
    printed = capsys.readouterr().out
    assert f"found has channels of 2 units, each compared relative to its own: {boxes} up to " in printed
    other = with_scores_off(bundle, tmp_path / "other.onnx", 1e-3)
    (tmp_path / "m.onnx").rename(tmp_path / "elsewhere.onnx")  # the golden samples only
    for recipe in (None, tmp_path / "elsewhere.onnx"):
        assert verify_bundle(bundle.folder, runtimes=["ort-cpu"], recipe=recipe).results[0].verdict == "passed"
        report = verify_bundle(bundle.folder, model=other, runtimes=["ort-cpu"], recipe=recipe)
        assert report.results[0].verdict == "failed"
        assert f" in {scores}" in str(report.results[0].reason)
        assert report.results[0].parts[boxes].error < report.results[0].parts[boxes].tolerance
    as_before = json.loads((bundle.folder / MANIFEST).read_text())
    del as_before["report"]["power"]["groups"]
    for old in as_before["report"]["results"]:
        old.pop("parts")
    as_before["report"]["power"]["truths"] = {"found": {"kind": "float64", "error": 1e-6, "reason": ""}}
    for control in as_before["report"]["power"]["controls"]:
        control["movements"] = {} if control["movement"] is None else {"found": control["movement"]}
    (bundle.folder / MANIFEST).write_text(json.dumps(as_before))
    assert verify_bundle(bundle.folder, runtimes=["ort-cpu"]).results[0].verdict == "passed"
    assert verify_bundle(bundle.folder, model=other, runtimes=["ort-cpu"]).results[0].verdict == "passed"  # it was not told


def test_uniform_channels_are_one(tmp_path):
    bundle = put(detector(tmp_path, last=True, uniform=True), tmp_path / "out", size=(64, 48))
    assert bundle.report.ok
    assert bundle.report.power.groups == {}
    assert list(bundle.report.power.parts) == ["found"]
