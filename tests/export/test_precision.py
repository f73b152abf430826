"""Files in half precision, of networks in Python: what they promise, what they compute in float32 all the same, and what is refused."""

import onnx
import pytest
import torch
from torch import nn

from preproc.bundle import open_bundle, to_recipe
from preproc.errors import PreprocError
from preproc.export import export_bundle, exporter, verify_bundle
from preproc.export.resolving import in_precision
from preproc.layers import ChannelAffine, FromPixels, Normalize, Pipeline, Rescale, Standardize, prepend
from preproc.sources import load_recipe, replace
from preproc.verify.runtimes import load_torchscript
from tests.commands import run
from tests.conftest import ROOT
from tests.export.exported import ran

DIGITS = load_recipe(ROOT / "models" / "digits.toml")
USUAL = (Rescale(), Normalize.preset("imagenet"))


def small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    ).eval()


def published(out, *layers, net=None, **options):
    whole = Pipeline(FromPixels(layout="NHWC"), *(layers or USUAL))
    return export_bundle(prepend(whole, net or small()), out, size=(16, 16), **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """In all formats, its outputs in float16, too."""
    out = tmp_path_factory.mktemp("half") / "m"
    return published(out, precision="float16", outputs_precision="float16", formats=["onnx", "torchscript", "pt2"])


def test_every_format_computes_in_half_precision(whole):
    assert not whole.report.failed
    results = ran(whole.report)
    assert {"torch-cpu", "torchscript-cpu", "pt2-cpu", "ort-cpu"} <= results.keys()
    assert all(1e-5 < result.error < 3e-3 for result in results.values())
    model = onnx.load(whole.folder / "model.onnx")
    floats = {value.data_type for value in model.graph.initializer if len(value.dims) == 4 and value.name.endswith("weight")}
    assert floats == {onnx.TensorProto.FLOAT16}
    assert model.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT16
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    scripted = load_torchscript(whole.folder / "model.pt")
    assert {value.dtype for value in scripted.backbone.parameters()} == {torch.float16}
    assert scripted(torch.zeros(1, 16, 16, 3, dtype=torch.uint8)).dtype == torch.float16


def test_contract_and_recipe_say_it(whole):
    contract = open_bundle(whole.folder).contract
    assert (contract["precision"], contract["outputs"][0]["dtype"]) == ("float16", "float16")
    for fold in contract["fold"].values():
        assert fold["form"] == "append"
        assert "whole numbers are exact in half precision" in fold["why"]
    again = to_recipe({**contract, "backbone": {**contract["backbone"], "source": "embedded", "name": "digits"}}).export
    assert (again.precision, again.outputs_precision) == ("float16", "float16")


def test_bfloat16_answers_in_bfloat16_are_compared(tmp_path):
    made = published(tmp_path / "m", precision="bfloat16", outputs_precision="bfloat16", formats=["pt2"])
    assert not made.report.failed
    assert made.contract["outputs"][0]["dtype"] == "bfloat16"
    assert 1e-4 < ran(made.report)["pt2-cpu"].error < 2e-2


@pytest.mark.parametrize("fold", ["off", "auto"])
def test_sums_over_a_picture_stay_in_float32(fold, tmp_path):
    """256 squares of grey levels overflow float16."""
    later = ChannelAffine(matrix=[[0.9, 0, 0], [0, 1.0, 0], [0, 0, 1.1]], offset=[0.1, 0.2, 0.3])
    made = published(tmp_path / "m", Standardize(), later, precision="float16", fold=fold, formats=["torchscript"])
    assert not made.report.failed
    scripted, bright = load_torchscript(made.folder / "model.pt"), torch.full((1, 16, 16, 3), 250, dtype=torch.uint8)
    bright[:, ::2] = 255
    ready = scripted.pipeline(bright)
    assert ready.dtype == torch.float32
    assert ready.isfinite().all()
    assert 0.9 < ready.std() < 1.2
    assert torch.isfinite(scripted(bright)).all()


def test_a_bundles_own_precision_is_verified_whatever_the_recipes_file_says(tmp_path):
    made = export_bundle(DIGITS, tmp_path / "digits", precision="float16", formats=["torchscript"], quick=True)
    report = verify_bundle(made.folder, runtimes=["torchscript-cpu"], recipe=ROOT / "models" / "digits.toml")
    (result,) = report.results
    assert result.verdict == "passed"
    assert 1e-3 < result.error < result.tolerance <= 3 * result.bare
    assert result.tolerance >= 2 * result.bare


@pytest.mark.parametrize(
    ("said", "name", "message"),
    [
        ({"precision": "fp16"}, "unknown-choice", "precision: expected one of float32, tf32, float16, bfloat16, got 'fp16'; .* 'float16'"),
        ({"precision": "int8"}, "unknown-choice", "got 'int8'; `preproc quantize` makes"),
        ({"precision": "bfloat16"}, "precision-unsupported", "opset: expected 22 or newer for the format onnx in bfloat16, .* got 18"),
        ({"outputs_precision": "float16"}, "conflicting-options", "expected float32 for precision = \"float32\", got 'float16'"),
        ({"precision": "tf32", "outputs_precision": "tf32"}, "conflicting-options", 'expected float32 for precision = "tf32"'),
        (
            {"precision": "float16", "outputs_precision": "bfloat16"},
            "conflicting-options",
            'expected float32 or float16 for precision = "float16", got',
        ),
    ],
)
def test_precisions_that_cannot_be_had_are_refused(said, name, message, tmp_path):
    with pytest.raises(PreprocError, match=message) as told:
        published(tmp_path / "m", **said)
    assert told.value.name == name
    assert not list(tmp_path.iterdir())


def test_what_no_runtime_here_has_the_kernels_for_is_refused_before_anything_is_computed(tmp_path, monkeypatch):
    """ONNX Runtime's CPU has no convolution in bfloat16, from whatever opset on."""
    monkeypatch.setattr(exporter, "prove", None)
    monkeypatch.setattr(exporter, "those_for", lambda *_, **__: ["ort-cpu"])  # whatever a device here may have
    with pytest.raises(PreprocError, match=r"the format onnx in bfloat16 here, got ort-cpu: .*Conv.*; export it in") as told:
        published(tmp_path / "m", precision="bfloat16", opset=22, formats=["onnx"])
    assert told.value.name == "precision-unsupported"
    assert not list(tmp_path.iterdir())


def test_the_command_takes_the_recipes_place(tmp_path):
    done = run("export", "digits", "--precision", "half", "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "did you mean 'float16'? [unknown-choice]" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("precision", "outputs"), [("float32", "float32"), ("tf32", "float32"), ("bfloat16", "bfloat16")])
def test_outputs_in_the_networks_own_precision_follow_it(precision, outputs):
    recipe = replace(DIGITS, export={"precision": "float16", "outputs_precision": "float16"})
    assert in_precision(recipe, precision).export.outputs_precision == outputs
    assert in_precision(DIGITS, "float16").export.outputs_precision == "float32"


def test_weights_that_overflow_are_refused_before_anything_is_written(tmp_path):
    net = small()
    net[5].bias.data[2] = 1e5
    with pytest.raises(PreprocError, match=r"expected weights that float16 holds, up to 65504, got 1e\+05 in 5\.bias"):
        published(tmp_path / "m", net=net, precision="float16")
    assert not list(tmp_path.iterdir())


def test_a_file_in_onnx_alone_is_not_run_in_python(tmp_path):
    """16 bits take most CPUs long in torch."""
    made = published(tmp_path / "m", precision="float16", formats=["onnx"], quick=True)
    assert "torch-cpu" not in {result.runtime for result in made.report.results}
    assert "torch-cpu" not in {result.runtime for result in verify_bundle(made.folder).results}
