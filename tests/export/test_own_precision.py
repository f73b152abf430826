"""A network is verified in the precision that it is in, at the export and again: a file's own, a bundle's whatever its recipe says now."""

from dataclasses import replace

import pytest
from onnx import TensorProto
from torch import nn

from preproc import graph
from preproc.errors import PreprocError, RecipeError, VerificationError
from preproc.export import verify_bundle
from preproc.export.finding import rebuild
from preproc.export.resolving import file_job
from preproc.sources import load_recipe
from preproc.verify.split import Split
from tests.export.exported import published, ran
from tests.folding.mistakes import as_unpadded
from tests.onnx_files import STEPS, hand_made, put


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    folder = tmp_path_factory.mktemp("half")
    file = hand_made(folder, dtype=TensorProto.FLOAT16)
    return file, put(file, folder / "out")


def test_a_file_in_half_precision_is_judged_by_its_own_noise(half):
    _, bundle = half
    report, result = bundle.report, ran(bundle.report)["ort-cpu"]
    (name,) = report.power.parts
    assert bundle.contract["precision"] == report.power.precision == result.precision == "float16"
    assert (result.verdict, report.against) == ("passed", "the original file in float64, 12 inputs")
    assert report.power.truths[name].precision == "float16"
    assert result.bare == report.power.truths[name].error > 1e-5
    drawn = report.power.truths[name].drawn
    assert drawn > 1e-5
    assert result.tolerance == pytest.approx(max(2 * result.bare, min(2 * drawn, 3 * result.bare)))
    assert result.parts[name].split.weights == 0  # the truth has the file's own numbers


def test_it_is_verified_again_with_and_without_the_original(half):
    file, bundle = half
    stored = ran(bundle.report)["ort-cpu"]
    for options in ({"runtimes": ["ort-cpu"]}, {"recipe": file}):
        result = ran(verify_bundle(bundle.folder, **options))["ort-cpu"]
        assert (result.verdict, result.precision, result.tolerance) == ("passed", "float16", pytest.approx(stored.tolerance, rel=0.5))


@pytest.mark.parametrize("spoilt", ["mean", "order", "twice", "border"])
def test_a_wrong_one_is_not_published(tmp_path, monkeypatch, spoilt):
    real, (rescale, normalize) = graph.attach, STEPS
    made = {
        "mean": [rescale, replace(normalize, mean=tuple(value + 1 / 255 for value in normalize.mean))],
        "order": [rescale, replace(normalize, mean=normalize.mean[::-1], std=normalize.std[::-1])],
        "twice": [rescale, normalize, replace(normalize, unit=None)],
        "border": [rescale, normalize],
    }[spoilt]
    monkeypatch.setattr(graph, "attach", lambda model, steps, *rest, **options: real(model, [steps[0], *made], *rest, **options))
    if spoilt == "border":  # what is left of the mean in the bias, where zeros are padded
        as_unpadded(monkeypatch)
    with pytest.raises(VerificationError, match=r"ort-cpu: error .*, tolerance"):
        put(hand_made(tmp_path, dtype=TensorProto.FLOAT16), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_precision_than_the_files_is_refused(tmp_path):
    file = hand_made(tmp_path)
    (tmp_path / "m.toml").write_text(
        'name = "m"\n[backbone]\nsource = "onnx"\nweights = "m.onnx"\ncolor = "RGB"\n[pixels]\nlayout = "NHWC"\ncolor = "RGB"\n'
        'dtype = "uint8"\nsize = [24, 20]\n[[steps]]\nstep = "rescale"\n[export]\nformats = ["onnx"]\nprecision = "float16"\n'
    )
    with pytest.raises(RecipeError, match=r"precision: expected float32, in which the file computes and which stays as it is, got float16"):
        file_job(load_recipe(tmp_path / "m.toml"), graph.load(file))


def test_a_file_in_float32_may_be_multiplied_in_tf32(tmp_path):
    """No CPU does: there it is judged as float32; tests/test_cuda.py has the rest."""
    bundle = put(hand_made(tmp_path), tmp_path / "out", precision="tf32")
    assert (bundle.contract["precision"], bundle.contract["tf32"]) == ("tf32", True)
    for report in (bundle.report, verify_bundle(bundle.folder, runtimes=["ort-cpu"])):
        result = ran(report)["ort-cpu"]
        assert (report.tf32, result.verdict, result.precision) == (True, "passed", "float32")


def test_values_that_overflow_in_a_file_are_told_with_the_largest(tmp_path):
    tiny = [STEPS[0], replace(STEPS[1], std=(1e-6, 1e-6, 1e-6), constants_because="a test")]
    with pytest.raises(PreprocError, match=r"the steps make values up to \d\.\d+e\+05 of it, and float16 ends at 65504") as told:
        put(hand_made(tmp_path, dtype=TensorProto.FLOAT16), tmp_path / "out", steps=tiny)
    assert told.value.name == "precision-overflow"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("own", "asked", "message"),
    [
        ("FLOAT16", "tf32", "precision: expected float16, in which the file computes .* got tf32"),
        ("FLOAT16", "float32", "precision: expected float16, in which the file computes .* got float32"),
        ("FLOAT", "float16", "precision: expected float32, in which the file computes .* got float16"),
        ("FLOAT", "fp32", "precision: expected one of .* did you mean 'float32'"),
    ],
)
def test_attaching_changes_no_files_precision(tmp_path, own, asked, message):
    file = hand_made(tmp_path, dtype=getattr(TensorProto, own))
    with pytest.raises(RecipeError, match=message):
        put(file, tmp_path / "out", precision=asked)
    assert not (tmp_path / "out").exists()


def test_a_network_in_python_is_narrowed_and_judged_so(tmp_path):
    """In TorchScript; and again, whatever its recipe says: here it has none."""
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    report = published(net, tmp_path / "m", formats=["torchscript"], precision="float16").report
    for name in ("torch-cpu", "torchscript-cpu"):
        result = ran(report)[name]
        assert (result.verdict, result.precision) == ("passed", "float16"), result
        assert result.bare > 1e-5
        (split,) = [part.split for part in result.parts.values()]
        assert isinstance(split, Split)
        assert 0 < split.weights < 10 * result.tolerance
    again = ran(verify_bundle(tmp_path / "m", runtimes=["torchscript-cpu"]))["torchscript-cpu"]
    assert (again.verdict, again.bare) == ("passed", ran(report)["torchscript-cpu"].bare)


def test_a_bundle_is_rebuilt_in_its_own_precision(half):
    file, bundle = half
    other = replace(bundle, manifest={**bundle.manifest, "contract": {**bundle.contract, "precision": "bfloat16"}})
    assert rebuild(bundle, file)[0].export.precision == "float16"
    assert rebuild(other, file)[0].export.precision == "bfloat16"
