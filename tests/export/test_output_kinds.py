"""Outputs of every kind in an .onnx file: each verified as what it is, and for each kind a damaged file that fails."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from preproc import graph
from preproc.bundle import open_bundle
from preproc.errors import PreprocError, VerificationError
from preproc.export import export_bundle, verify_bundle
from preproc.export.serving.batches import why_none
from preproc.layers import FromPixels, Normalize, Pipeline, Rescale, prepend
from preproc.steps import ChannelAffine
from preproc.verify.runtimes.ort import _output_types
from tests.export.kinds import WHITE, behind, damaged, file_with, node, of_ort
from tests.onnx_files import hand_made, in_one_thread, put

PROMISED = {
    "labels": ("int64", ["N", 12, 10], False),
    "mask": ("bool", ["N", 1, 12, 10], False),
    "words": ("string", ["N", 12, 10], False),
    "found": ("int64", [2, "hits"], True),
    "rows": ("float32", ["left"], True),
    "columns": ("float32", [10, "N", 8], True),
    "total": ("float32", [], True),
}
"""Dtype and shape, and whether it is of the batch as a whole."""


def renamed_class(model):
    (names,) = [value for value in model.graph.initializer if value.name == "names"]
    names.string_data[5] = b"class five"


DAMAGE = {
    "labels": behind("labels", "Sub", np.eye(12, 10, dtype=np.int64)),
    "mask": behind("mask", "Xor", np.eye(12, 10, dtype=bool)),
    "words": renamed_class,
    "found": behind("found", "Add", np.array([[0], [1]])),
    "rows": behind("rows", "Mul", np.float32(1.001)),
    "columns": behind("columns", "Mul", np.float32(1.001)),
    "total": behind("total", "Mul", np.float32(1.001)),
}


@pytest.mark.parametrize("name", PROMISED)
def test_an_output_of_each_kind_is_verified_beside_scores_and_a_damaged_one_fails(name, tmp_path):
    file = file_with(tmp_path, name)
    bundle = put(file, tmp_path / "out")
    assert of_ort(bundle.report).verdict == "passed", of_ort(bundle.report)
    kind, shape, whole = PROMISED[name]
    assert bundle.contract["outputs"][1] == {"name": name, "dtype": kind, "shape": shape} | ({"whole": True} if whole else {})
    assert (why_none(bundle.contract, bundle.golden()) is not None) == whole
    for sample in bundle.golden():
        kept = sample.expected[name].dtype
        assert kept.kind == "U" if kind == "string" else kept == kind
    assert verify_bundle(bundle.folder, runtimes=["ort-cpu"]).ok
    assert verify_bundle(bundle.folder, recipe=file).ok
    wrong = damaged(bundle, DAMAGE[name])
    against = (verify_bundle(wrong, runtimes=["ort-cpu"]), verify_bundle(wrong, recipe=file))
    assert [of_ort(report).verdict for report in against] == ["failed", "failed"]


@pytest.mark.parametrize("name", ["labels", "mask", "words"])
def test_integers_alone_pass_and_fail_where_channels_are_swapped(name, tmp_path, monkeypatch):
    file = file_with(tmp_path, name, scores=False)
    bundle = put(file, tmp_path / "out")
    assert of_ort(bundle.report).verdict == "passed", of_ort(bundle.report)
    power = bundle.report.power
    assert power.exact == (name,)
    assert power.scale == {name: 1.0}
    assert power.unresolved[name] < power.values[name] / 100
    real = graph.attach

    def attach(model, steps, *rest, **options):
        return real(model, [*steps, ChannelAffine(matrix=((0, 0, 1), (0, 1, 0), (1, 0, 0)))], *rest, **options)

    monkeypatch.setattr(graph, "attach", attach)
    with pytest.raises(VerificationError, match=rf"ort-cpu: error .*, the share of {name} that is not equal"):
        put(file, tmp_path / "swapped")
    assert not (tmp_path / "swapped").exists()


def test_integers_that_react_to_nothing_are_inconclusive_though_scores_react(tmp_path):
    file = file_with(tmp_path, "labels")
    model = onnx.load(file)
    model.graph.node[-1].output[0] = "each"
    model.graph.initializer.append(numpy_helper.from_array(np.array(0), "nothing"))
    model.graph.node.append(node("Mul", ["each", "nothing"], ["labels"]))
    onnx.save(model, file)
    found = of_ort(put(file, tmp_path / "out").report)
    assert found.verdict == "inconclusive"
    assert "none of the known mistakes would move labels" in found.reason


def file_with_ties(folder):
    """A threshold that is just what a white picture gives: wherever one is white, a rounding decides."""
    file = file_with(folder, "mask")
    model = onnx.load(file)
    model.graph.output.append(helper.make_tensor_value_info("level", TensorProto.FLOAT, ["N", 1, 12, 10]))
    onnx.save(model, folder / "level.onnx")
    white = np.broadcast_to(WHITE, (1, 24, 20, 3)).transpose(0, 3, 1, 2)
    session = in_one_thread(folder / "level.onnx")
    (level,) = session.run(["level"], {"image": white.astype(np.float32)})
    limit = next(value for value in model.graph.initializer if value.name == "limit")
    limit.CopyFrom(numpy_helper.from_array(level[0, 0, 5, 5], "limit"))
    del model.graph.output[-1]
    onnx.save(model, file)
    return file


def test_what_a_rounding_decides_is_not_compared_and_counted(tmp_path, monkeypatch):
    file = file_with_ties(tmp_path)
    bundle = put(file, tmp_path / "out")
    power = bundle.report.power
    assert of_ort(bundle.report).verdict == "passed", of_ort(bundle.report)
    assert 100 < power.unresolved["mask"] < power.values["mask"] / 2
    assert any(sample.unresolved for sample in bundle.golden())
    assert verify_bundle(bundle.folder, runtimes=["ort-cpu"]).ok
    assert of_ort(verify_bundle(damaged(bundle, DAMAGE["mask"]), runtimes=["ort-cpu"])).verdict == "failed"
    monkeypatch.setattr("preproc.verify.unresolved.PAIRS", 0)
    with pytest.raises(VerificationError, match="the share of mask that is not equal"):
        put(file, tmp_path / "again")


def test_a_mask_that_the_manifest_does_not_list_excuses_nothing(tmp_path):
    bundle = put(file_with(tmp_path, "labels"), tmp_path / "out")
    for sample in bundle.manifest["golden"]:
        place = bundle.folder / "golden" / sample / "unresolved"
        place.mkdir(exist_ok=True)
        np.save(place / "labels.npy", np.array(True))
    assert all(mask.shape for sample in open_bundle(bundle.folder).golden() for mask in sample.unresolved.values())


def test_texts_may_be_made_on_the_cpu(tmp_path):
    file = file_with(tmp_path, "words")
    model = onnx.load(file)
    for made in model.graph.node:
        made.name = made.output[0]
    onnx.save(model, file)
    kinds = _output_types(file)
    assert (kinds["words"], kinds["c"]) == ("integer", "floating")


def with_anchors(folder, *nodes):
    file = hand_made(folder, opset=13)
    model = onnx.load(file)
    model.graph.initializer.append(numpy_helper.from_array(np.arange(8, dtype=np.float32).reshape(2, 4), "boxes"))
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0), "nothing"))
    model.graph.node.extend(nodes)
    model.graph.output.append(helper.make_tensor_value_info("anchors", TensorProto.FLOAT, [2, 4]))
    onnx.save(model, file)
    return file


def test_anchors_into_which_no_value_of_the_picture_goes_are_compared_and_the_report_says_so(tmp_path):
    sides = [
        node("Shape", ["c"], ["sides"]),
        node("Cast", ["sides"], ["step"], to=TensorProto.FLOAT),
        node("Mul", ["boxes", "step"], ["anchors"]),
    ]
    file = with_anchors(tmp_path, *sides)
    model = onnx.load(file)
    model.graph.node.insert(len(model.graph.node) - 1, node("ReduceMax", ["step"], ["largest"], keepdims=0))
    model.graph.node[-1].input[1] = "largest"
    onnx.save(model, file)
    bundle = put(file, tmp_path / "out")
    assert of_ort(bundle.report).verdict == "passed", of_ort(bundle.report)
    assert bundle.report.power.untouched == ("anchors",)
    assert verify_bundle(bundle.folder, runtimes=["ort-cpu"]).ok
    wrong = damaged(bundle, behind("anchors", "Mul", np.float32(1.001)))
    assert of_ort(verify_bundle(wrong, runtimes=["ort-cpu"])).verdict == "failed"


def test_anchors_that_the_picture_goes_into_without_moving_them_are_inconclusive(tmp_path):
    nodes = [
        node("ReduceMax", ["c"], ["most"], keepdims=0),
        node("Mul", ["most", "nothing"], ["still"]),
        node("Add", ["boxes", "still"], ["anchors"]),
    ]
    assert of_ort(put(with_anchors(tmp_path, *nodes), tmp_path / "out").report).verdict == "inconclusive"


def test_a_batch_that_is_declared_as_free_and_is_not_is_told(tmp_path):
    file = hand_made(tmp_path, opset=13)
    model = onnx.load(file)
    model.graph.node[-2].CopyFrom(node("Reshape", ["g", "one"], ["f"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 8]), "one"))
    onnx.save(model, file)
    with pytest.raises(PreprocError, match=r"pictures of shape \(5, 3, 24, 20\), got: .*; its batch is declared as free, and is not"):
        put(file, tmp_path / "out")


class Classes(nn.Module):
    """Scores and the class of each place, in Python."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.stem = nn.Conv2d(3, 6, 3, stride=2, padding=1)

    def forward(self, x):
        x = self.stem(x).relu()
        return {"scores": x, "classes": x.argmax(1)}


def test_a_network_in_python_answers_integers_beside_floats(tmp_path):
    model = prepend(Pipeline(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet")), Classes())
    bundle = export_bundle(model, tmp_path / "m", size=(16, 16), formats=["onnx"])
    verdicts = {result.runtime: result.verdict for result in bundle.report.results if result.verdict != "absent"}
    assert set(verdicts.values()) == {"passed"}, bundle.report.results
    assert {output["name"]: output["dtype"] for output in bundle.contract["outputs"]} == {"scores": "float32", "classes": "int64"}
    assert bundle.golden()[0].expected["classes"].dtype == np.int64
    assert (
        of_ort(verify_bundle(damaged(bundle, behind("classes", "Sub", np.eye(8, dtype=np.int64))), runtimes=["ort-cpu"])).verdict
        == "failed"
    )
