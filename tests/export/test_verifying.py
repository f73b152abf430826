"""For every way in which a file can be wrong there is a test that verification says so; and none of them passes in silence."""

import shutil

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from safetensors.torch import load_file, save_file

from preproc.errors import BundleError
from preproc.export import export_bundle, verify_bundle
from preproc.sources import load_recipe
from preproc.verify import Report
from tests.conftest import ROOT
from tests.damage import edit_onnx, rehash, replace_weight
from tests.onnx_files import hand_made, put

DIGITS = load_recipe(ROOT / "models" / "digits.toml")


def one_weight(weight):
    weight[3, 1, 1, 1] *= 1.5
    return weight


def test_an_intact_bundle_passes_against_golden_samples_and_against_a_fresh_reference(bundle):
    golden = verify_bundle(bundle, runtimes=["ort-cpu"])
    assert golden.ok
    assert golden.against.startswith("7 golden samples")
    full = verify_bundle(bundle, recipe=ROOT / "models" / "digits.toml", runtimes=["torch-cpu", "torchscript-cpu", "ort-cpu"])
    assert full.ok
    assert [result.verdict for result in full.results] == ["passed"] * 3
    assert full.results[0].pictures > 15
    assert full.results[0].top1 == 1.0
    assert full.power.tolerance <= 1e-4
    assert full.power.smallest_shift is not None
    assert full.power.smallest_shift < 0.01
    assert all(control.movement is None or control.movement > 100 * full.power.tolerance for control in full.power.controls)
    assert Report.from_json(full.to_json()) == full


@pytest.mark.parametrize(
    "change", [one_weight, lambda weight: weight[:, ::-1], lambda weight: weight * 1.001], ids=["one", "swapped", "scaled"]
)
def test_changed_weights_fail(bundle, change):
    edit_onnx(bundle, lambda model: replace_weight(model, change))
    (result,) = verify_bundle(bundle, runtimes=["ort-cpu"]).results
    assert result.verdict == "failed"
    assert "tolerance" in str(result.reason)


def test_a_shift_of_one_grey_level_fails(bundle):
    def shift(model):
        constant = model.graph.initializers["preproc/2_Add/1"]
        constant.const_value = ir.tensor(constant.const_value.numpy() + np.float32(1), name=constant.name)

    edit_onnx(bundle, shift)
    assert verify_bundle(bundle, runtimes=["ort-cpu"]).failed


@pytest.mark.parametrize("name", ["model.onnx", "model.pt"])
def test_a_truncated_file_fails(bundle, name):
    data = (bundle / name).read_bytes()
    (bundle / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(BundleError, match=rf"{name} has \d+ bytes instead of \d+"):
        verify_bundle(bundle)
    rehash(bundle)
    with pytest.raises(BundleError, match=r"expected an ONNX file|expected a TorchScript or pt2 file|another one"):
        verify_bundle(bundle)


def test_unknown_runtimes_images_without_a_backbone_and_missing_formats(bundle, tmp_path, monkeypatch):
    with pytest.raises(BundleError, match="did you mean 'ort-cpu'"):
        verify_bundle(bundle, runtimes=["ort-cpi"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("preproc.export.finding.MODELS", tmp_path / "none")  # where the embedded network is found wherever one is
    with pytest.raises(BundleError, match="expected the original backbone, which --images and --recipe need"):
        verify_bundle(bundle, images=ROOT / "models" / "digits.images")
    absent = verify_bundle(bundle, runtimes=["torch-cpu", "ort-cpu"])
    assert [result.verdict for result in absent.results] == ["absent", "passed"]
    assert "the original backbone is not at hand" in str(absent.results[0].reason)
    only = export_bundle(DIGITS, tmp_path / "only", formats=["onnx"])
    with pytest.raises(BundleError, match=r"expected model\.pt for torchscript-cpu"):
        verify_bundle(only.folder, runtimes=["torchscript-cpu"])


def test_images_of_ones_own_are_verified_too(bundle):
    report = verify_bundle(bundle, runtimes=["ort-cpu"], images=ROOT / "models" / "digits.images", recipe=ROOT / "models" / "digits.toml")
    assert report.ok
    assert "image-7" in report.inputs


def test_other_weights_than_the_contracts_are_not_taken_for_the_reference(bundle, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(ROOT / "models", models)
    save_file({key: value + 1 for key, value in load_file(models / "digits.safetensors").items()}, models / "digits.safetensors")
    with pytest.raises(BundleError, match="its weights are not those of the bundle"):
        verify_bundle(bundle, recipe=models / "digits.toml")


def test_a_text_is_no_list_of_runtimes(exported):
    with pytest.raises(BundleError, match=r"expected a list of runtimes, got the text 'ort-cpu'"):
        verify_bundle(exported.folder, runtimes="ort-cpu")


def test_what_was_attached_to_a_file_is_compared_with_that_file(tmp_path, monkeypatch):
    bundle = put(hand_made(tmp_path), tmp_path / "out").folder
    monkeypatch.chdir(ROOT)
    assert verify_bundle(bundle).against.endswith("golden samples (the original file in float64 of the export)")
    named = verify_bundle(bundle, recipe=tmp_path / "m.onnx")
    monkeypatch.chdir(tmp_path)
    found = verify_bundle(bundle)
    for report in (named, found):
        assert report.ok
        assert report.against.startswith("the original file in float64, 1")
    assert verify_bundle(bundle, runtimes=["ort-cpu"]).against.startswith("4 golden samples")
    monkeypatch.chdir(ROOT)
    with pytest.raises(BundleError, match=r"say where it is: --recipe FILE\.onnx"):
        verify_bundle(bundle, images=ROOT / "models" / "digits.images")
    other = onnx.load(tmp_path / "m.onnx")
    other.graph.initializer[0].raw_data = other.graph.initializer[0].raw_data[::-1]
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(BundleError, match="its weights are not those of the bundle"):
        verify_bundle(bundle, recipe=tmp_path / "other.onnx")
