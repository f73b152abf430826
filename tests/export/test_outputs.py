"""Networks that answer several tensors: each named, each verified; what cannot be named or fed is refused in one line."""

from typing import NamedTuple

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from preproc.errors import PreprocError, RecipeError, VerificationError
from preproc.export import export_bundle, verify_bundle
from preproc.export import formats as onnx_export
from preproc.layers import FromPixels, Normalize, Pipeline, Rescale, prepend
from preproc.sources.backbones import Backbone, name_outputs
from tests.onnx_files import in_one_thread

PICTURE = torch.zeros(1, 3, 24, 20)


class Pair(NamedTuple):
    boxes: torch.Tensor
    scores: torch.Tensor


class Heads(nn.Module):
    """A small detector's head: two outputs of one shape, in the form that `form` says."""

    def __init__(self, form):
        super().__init__()
        torch.manual_seed(5)
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.boxes, self.scores = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 1)
        self.form = form

    def forward(self, x):
        x = self.stem(x).relu() ** 2
        return self.form(self.boxes(x), self.scores(x))


FORMS = {
    "tuple": (lambda a, b: (a, b), ["boxes", "scores"]),
    "list": (lambda a, b: [a, b], ["boxes", "scores"]),
    "named tuple": (lambda a, b: Pair(a, b), []),
    "dict": (lambda a, b: {"boxes": a, "scores": b}, []),
    "a choice of the dict": (lambda a, b: {"boxes": a, "features": [a], "scores": b}, ["scores", "boxes"]),
    "one of the dict": (lambda a, b: {"boxes": a, "scores": b}, ["scores"]),
}


def model(form):
    return prepend(Pipeline(FromPixels(layout="NHWC", color="BGR"), Rescale(), Normalize.preset("imagenet")), Heads(form))


def export(form, outputs, folder, **options):
    return export_bundle(model(form), folder / "m", example=torch.zeros(2, 24, 20, 3, dtype=torch.uint8), outputs=outputs, **options)


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_named_and_verified(name, tmp_path):
    form, asked = FORMS[name]
    bundle = export(form, asked, tmp_path, formats=["onnx", "torchscript", "pt2"])
    assert bundle.report.ok, [result.reason for result in bundle.report.results]
    names = asked or ["boxes", "scores"]
    assert [output["name"] for output in bundle.contract["outputs"]] == names
    assert {result.runtime for result in bundle.report.results if result.verdict == "passed"} == {
        "torch-cpu",
        "torchscript-cpu",
        "pt2-cpu",
        "ort-cpu",
    }
    assert bundle.contract["fold"]["pt2"]["folded"]
    for sample in bundle.golden():
        assert list(sample.expected) == names


def test_two_outputs_in_the_wrong_order_fail(tmp_path, monkeypatch):
    real = onnx_export.export_backbone

    def swapped(*arguments, **options):
        found = real(*arguments, **options)
        a, b = found.graph.outputs
        a.name, b.name = "kept", a.name
        a.name = "scores"
        return found

    monkeypatch.setattr(onnx_export, "export_backbone", swapped)
    with pytest.raises(VerificationError, match=r"ort-cpu: (on .*expected the outputs boxes, scores, got scores, boxes|error)"):
        export(*FORMS["tuple"], tmp_path, formats=["onnx"])
    assert not (tmp_path / "m").exists()


def test_one_wrong_output_of_two_fails(tmp_path, monkeypatch):
    real = onnx_export.export_backbone

    def damaged(*arguments, **options):
        found = real(*arguments, **options)
        bias = found.graph.initializers["network.scores.bias"]
        array = bias.const_value.numpy().copy()
        array[0] += 0.01
        bias.const_value = ir.tensor(array, name=bias.name)
        return found

    monkeypatch.setattr(onnx_export, "export_backbone", damaged)
    with pytest.raises(VerificationError, match="ort-cpu: error"):
        export(*FORMS["dict"], tmp_path, formats=["onnx"])


def test_files_answer_in_the_contracts_order_without_preproc(tmp_path, rng):
    bundle = export(*FORMS["a choice of the dict"], tmp_path)
    pixels = rng.integers(0, 256, (3, 24, 20, 3), dtype=np.uint8)
    session = in_one_thread(bundle.folder / "model.onnx")
    scores, boxes = session.run(["scores", "boxes"], {"pixels": pixels})
    right = model(FORMS["dict"][0])(torch.from_numpy(pixels))
    np.testing.assert_allclose(scores, right["scores"].detach(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(boxes, right["boxes"].detach(), rtol=1e-4, atol=1e-4)
    assert np.abs(scores - boxes).max() > 0.1
    assert verify_bundle(bundle.folder, runtimes=["ort-cpu"]).ok


class Two(nn.Module):
    def forward(self, left, right, scale=1.0):
        return left + right * scale


def answer(value):
    class Answers(nn.Module):
        def forward(self, x):
            return value(x) if callable(value) else value

    return Answers()


@pytest.mark.parametrize(
    ("module", "asked", "message"),
    [
        (Two(), (), r"takes one picture, got Two\.forward\(left, right\); wrap it"),
        (answer(lambda x: (x, x)), (), "expected 2 names, for the backbone returns a tuple of 2 tensors, got none"),
        (answer(lambda x: (x, x)), ("a",), "expected 2 names.*got a"),
        (answer(lambda x: {"a": x}), ("b",), "expected some of a, got 'b'"),
        (answer(lambda x: {"a": [x]}), (), "got a list as output a"),
        (answer(lambda x: [{"boxes": x}]), (), "got a dict as output 0"),
        (answer(lambda x: {"a/b": x}), (), "expected letters, digits"),
        (answer(lambda x: x), ("a", "b"), r"expected 2 outputs \(a, b\), got one tensor"),
        (answer(lambda x: x.cfloat()), (), r"outputs of real numbers, got torch\.complex64 in logits"),
        (answer(lambda x: {"loss": x.sum()}), (), r"one row per picture, got loss of shape \(\) for one picture"),
        (answer(lambda x: x[:, :0]), (), "one row per picture, got logits"),
        (answer(lambda x: x.bfloat16()), (), "got bfloat16 in logits"),
        (answer({}), (), "got an empty dict"),
        (answer(lambda x: x.nothing), (), "got: 'Tensor' object has no attribute 'nothing'"),
        (answer(lambda x: (x, x)), ("a", "a"), "expected different names, got a, a"),
        (answer(lambda x: x), ("../x",), "expected letters, digits"),
        (answer("text"), (), "got a str; wrap it"),
        (nn.Conv2d(5, 3, 1), (), "expected a backbone that takes pictures of 3 channels, height, width 24, 20"),
    ],
)
def test_what_cannot_be_named_or_fed_is_refused(module, asked, message):
    with pytest.raises(PreprocError, match=message) as caught:
        name_outputs(Backbone(module, "as given", True), asked, PICTURE)
    assert "\n" not in str(caught.value)


def test_outputs_may_be_named_like_operations_and_weights(tmp_path):
    bundle = export(lambda a, b: {"relu": a, "conv2d": b}, [], tmp_path, formats=["onnx"])
    assert bundle.report.ok
    assert [output["name"] for output in bundle.contract["outputs"]] == ["relu", "conv2d"]


def test_keys_that_are_no_texts_are_names_all_the_same():
    named, names = name_outputs(Backbone(answer(lambda x: {0: x, 1: x * 2}).eval(), "as given", True), (), PICTURE + 1)
    assert names == ("0", "1")
    assert float(named.module(PICTURE + 1)[1].max()) == 2


def test_names_are_a_list_and_belong_to_models(tmp_path):
    with pytest.raises(PreprocError, match="to be lists of names"):
        export(FORMS["dict"][0], "boxes", tmp_path)
    with pytest.raises(RecipeError, match="not 'pixels', got 'pixels'"):
        export(FORMS["tuple"][0], ["boxes", "pixels"], tmp_path)


def test_an_output_that_reacts_to_nothing_makes_the_verdict_inconclusive(tmp_path):
    bundle = export(lambda a, b: {"scores": a, "anchors": b * 0 + 1}, [], tmp_path, formats=["onnx"])
    assert {result.verdict for result in bundle.report.results} - {"absent"} == {"inconclusive"}
