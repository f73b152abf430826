"""For every way in which a file can be wrong there is a test that verification says so; and none of them passes in silence."""

import json
import re
import shutil

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from preproc import graph
from preproc.bundle import hashes, open_bundle
from preproc.errors import BundleError, PreprocError, RuntimeAbsentError, VerificationError
from preproc.export import export_bundle, verify_bundle
from preproc.export.proving import prove
from preproc.export.resolving import with_outputs
from preproc.folding import convolutions
from preproc.folding import trail as tracking
from preproc.folding.arithmetic import plan_fold
from preproc.layers import FromPixels, Normalize, Pipeline, Rescale, Standardize, prepend
from preproc.oracle import reference, rounded_otherwise
from preproc.oracle.roundings import halves
from preproc.sources import PixelsSpec, load_recipe
from preproc.sources.backbones import load_backbone
from preproc.steps import ChannelAffine, Resize
from preproc.steps import FromPixels as PixelsStep
from preproc.verify import Case, Power, Report, Result, inputs, judge
from preproc.verify.controls import _moved
from preproc.verify.power import Control
from preproc.verify.runtimes import Runtime, evaluate
from tests.conftest import ROOT
from tests.onnx_files import alone, hand_made, put

DIGITS = load_recipe(ROOT / "models" / "digits.toml")
pytestmark = pytest.mark.usefixtures("digits_written_once")


def rehash(bundle):
    """Makes the manifest agree with damaged files, so that only running them can tell."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"] = hashes(bundle)
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def edit_onnx(bundle, change):
    model = graph.load(bundle / "model.onnx")
    change(model)
    graph.save(model, bundle / "model.onnx")
    rehash(bundle)


def replace_weight(model, change):
    """Applies `change` to the first convolution's weight."""
    name = next(node for node in model.graph if node.op_type == "Conv").inputs[1].name
    value = model.graph.initializers[name]
    value.const_value = ir.tensor(change(value.const_value.numpy().copy()), name=name)


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


def shifted(steps):
    return [*steps[:1], Rescale(offset=1 / 255).step, *steps[2:]]


MISTAKES = {
    "mean shifted by one grey level": shifted,
    "channels swapped": lambda steps: [*steps, ChannelAffine(matrix=((0, 0, 1), (0, 1, 0), (1, 0, 0)))],
    "normalization doubled": lambda steps: [*steps, steps[-1]],
    "ImageNet's constants": lambda steps: [*steps[:-1], Normalize.preset("imagenet").step],
    "rescale missing": lambda steps: [steps[0], steps[2]],
}


@pytest.mark.parametrize("name", MISTAKES)
def test_export_refuses_to_publish_a_wrong_pipeline(name, tmp_path, monkeypatch):
    real = graph.attach

    def attach(model, steps, *rest, **options):
        return real(model, MISTAKES[name](list(steps)), *rest, **options)

    monkeypatch.setattr(graph, "attach", attach)
    with pytest.raises(VerificationError, match=r"ort-cpu: error .* nothing was published") as caught:
        export_bundle(DIGITS, tmp_path / "digits", formats=["onnx"])
    assert caught.value.report is not None
    assert {result.runtime: result.verdict for result in caught.value.report.results if result.verdict != "absent"} == {
        "torch-cpu": "passed",
        "ort-cpu": "failed",
    }
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("made", "runtime"), [("onnx", "ort-cpu"), ("torchscript", "torch-cpu")])
def test_export_refuses_to_publish_an_uncorrected_border(made, runtime, tmp_path, monkeypatch):
    """The fold as other tools do it: the offset in the bias, as if nothing were padded."""
    real = convolutions.fold_conv
    monkeypatch.setattr(tracking, "plan_fold", lambda affine, _, through=None: plan_fold(affine, [None], through=through))
    monkeypatch.setattr(convolutions, "fold_conv", lambda *args, pad, **options: real(*args, pad=None, **options))  # noqa: ARG005
    with pytest.raises(VerificationError, match=f"{runtime}: error .* nothing was published"):
        export_bundle(DIGITS, tmp_path / "digits", formats=[made])
    assert list(tmp_path.iterdir()) == []


class Blind(nn.Module):
    """Reacts to its input by too little for anybody to see."""

    def __init__(self, factor):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.factor = nn.Conv2d(3, 4, 3, padding=1), factor

    def forward(self, x):
        return self.conv(x).mean((2, 3)) * self.factor + (1.0 if self.factor else 0.0)


@pytest.mark.parametrize(("factor", "reason"), [(1e-9, "would move the outputs by less"), (0.0, "zero for every input")])
def test_a_blind_network_is_inconclusive_published_and_says_so(tmp_path, factor, reason):
    model = prepend(Pipeline(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet")), Blind(factor))
    bundle = export_bundle(model, tmp_path / "blind", example=torch.zeros(2, 16, 16, 3, dtype=torch.uint8))
    ran = [result for result in bundle.report.results if result.verdict != "absent"]
    assert {result.verdict for result in ran} == {"inconclusive"}
    assert reason in str(ran[0].reason)
    assert not bundle.report.ok
    assert not bundle.report.failed


def test_an_output_that_reacts_to_nothing_is_not_hidden_by_one_that_does():
    cases = [Case("one", np.zeros((1, 2, 2, 3), np.uint8), {"a": np.array([[1.0]]), "b": np.array([[1.0]])})]
    assert _moved("", [{"a": np.array([[3.0]]), "b": np.array([[1.0]])}], cases, {"a": 1.0, "b": 1.0}).movement == 0.0


def test_an_invariant_pipeline_in_front_of_a_constant_is_inconclusive(tmp_path):
    pipeline = Pipeline(FromPixels(layout="NHWC", color="GRAY", to="GRAY"), Standardize())
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 14 * 14, 2))
    nn.init.zeros_(net[2].weight)
    bundle = export_bundle(prepend(pipeline, net), tmp_path / "m", example=torch.zeros(2, 16, 16, 1, dtype=torch.uint8))
    assert not bundle.report.ok
    assert not bundle.report.failed


class Fake(Runtime):
    name, file = "ort-cpu", None

    def __init__(self, answer, *, absent=None, proof=None):
        self.answer, self.absent, self.proven = answer, absent, proof

    def open(self, path):  # noqa: ARG002
        if self.absent:
            raise self.absent

    def run(self, pixels, others):  # noqa: ARG002
        return self.answer(pixels)

    def proof(self):
        if self.proven:
            raise self.proven
        return "a fake"


EXPECTED = {"y": np.array([[1.0, 2.0]])}
CASES = [Case("one", np.zeros((1, 2, 2, 3), np.uint8), EXPECTED)]
POWER = Power({"y": 2.0}, 1e-7, 1e-6, (Control("mean shifted by one grey level", 0.1),), 0.01)


@pytest.mark.parametrize(
    ("runtime", "verdict", "reason"),
    [
        (Fake(lambda _: EXPECTED), "passed", None),
        (Fake(lambda _: {"y": EXPECTED["y"] + 3e-6}), "failed", "error 1.50e-06 on one"),
        (Fake(lambda _: {"y": EXPECTED["y"] * np.nan}), "failed", "error inf"),
        (Fake(lambda _: {"y": EXPECTED["y"][:, :1]}), "failed", r"of shape \(1, 2\), got \(1, 1\)"),
        (Fake(lambda _: {"z": EXPECTED["y"]}), "failed", "expected the outputs y, got z"),
        (Fake(lambda _: {"y": EXPECTED["y"].astype(np.complex64)}), "failed", "like float64, got complex64"),
        (Fake(lambda _: 1 / 0), "failed", "on one: ZeroDivisionError"),
        (Fake(None, absent=RuntimeAbsentError("no device")), "absent", "no device"),
        (Fake(None, absent=BundleError("broken")), "failed", "broken"),
        (Fake(lambda _: EXPECTED, proof=VerificationError("ran on the CPU")), "failed", "ran on the CPU"),
    ],
)
def test_judge(runtime, verdict, reason):
    result = judge(runtime, ROOT, CASES, POWER)
    assert result.verdict == verdict
    assert reason is None or re.search(reason, str(result.reason))


@pytest.mark.parametrize(
    ("power", "weakness"),
    [
        (POWER, None),
        (Power({"y": 0.0}, 0, 1e-6, (), None), "output y is zero"),
        (Power({"y": 1.0}, 1e-3, 1e-4, (), None), "itself 1.0e-03 from float64"),
        (Power({"y": 1.0}, 0, 1e-4, (Control("channels swapped", 9e-4),), None), "channels swapped 9.0e-04"),
        (Power({"y": 1.0}, 0, 1e-4, (Control("channels swapped", None, "one channel"),), None), "none of the known mistakes could show"),
    ],
)
def test_weakness(power, weakness):
    found = power.weakness()
    assert (found is None) == (weakness is None)
    assert weakness is None or weakness in str(found)
    assert judge(Fake(lambda _: EXPECTED), ROOT, CASES, power).verdict == ("inconclusive" if weakness else "passed")


@pytest.mark.parametrize(
    ("verdicts", "ok"),
    [
        (["passed"], True),
        (["passed", "absent"], True),
        (["absent"], False),
        ([], False),
        (["passed", "failed"], False),
        (["passed", "inconclusive"], False),
    ],
)
def test_a_report_is_ok_only_if_something_ran_and_all_of_it_passed(verdicts, ok):
    report = Report("m", "x", "yes", POWER, tuple(Result("ort-cpu", verdict) for verdict in verdicts))
    assert report.ok == ok


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


def test_golden_samples_are_what_the_reference_computes(exported):
    proof = prove(*with_outputs(DIGITS, load_backbone(DIGITS)), images=DIGITS.export.images)
    fresh = {case.name: case for case in proof.golden}
    for case in open_bundle(exported.folder).golden():
        np.testing.assert_array_equal(case.pixels, fresh[case.name].pixels)
        np.testing.assert_allclose(case.expected["logits"], fresh[case.name].expected["logits"], rtol=1e-6, atol=1e-6)
    with pytest.raises(PreprocError):
        verify_bundle(exported.folder / "golden")


def test_a_text_is_no_list_of_runtimes(exported):
    with pytest.raises(BundleError, match=r"expected a list of runtimes, got the text 'ort-cpu'"):
        verify_bundle(exported.folder, runtimes="ort-cpu")


def test_what_was_attached_to_a_file_is_compared_with_that_file(tmp_path, monkeypatch):
    bundle = put(hand_made(tmp_path), tmp_path / "out").folder
    monkeypatch.chdir(ROOT)
    assert verify_bundle(bundle).against.endswith("golden samples (the original file fed by float64 steps of the export)")
    named = verify_bundle(bundle, recipe=tmp_path / "m.onnx")
    monkeypatch.chdir(tmp_path)
    found = verify_bundle(bundle)
    for report in (named, found):
        assert report.ok
        assert report.against.startswith("the original file fed by float64 steps, 1")
    assert verify_bundle(bundle, runtimes=["ort-cpu"]).against.startswith("4 golden samples")
    monkeypatch.chdir(ROOT)
    with pytest.raises(BundleError, match=r"say where it is: --recipe FILE\.onnx"):
        verify_bundle(bundle, images=ROOT / "models" / "digits.images")
    other = onnx.load(tmp_path / "m.onnx")
    other.graph.initializer[0].raw_data = other.graph.initializer[0].raw_data[::-1]
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(BundleError, match="its weights are not those of the bundle"):
        verify_bundle(bundle, recipe=tmp_path / "other.onnx")


def test_halves_of_a_level():
    """Halving and doubling have weights that are powers of two, which Pillow's 22 bits hold."""
    assert halves(20, 20) == halves(512, 256) == halves(256, 512) == 0
    assert halves(30, 24) > 0.03
    assert halves(341, 224) < 1e-4


@pytest.mark.parametrize("old", [20, 27, 30, 36, 42, 61, 77, 144])
def test_a_fast_resize_is_off_where_it_is_said_to_be(old):
    """Next to a ratio such as 5:4 more values fall on a half of a level than the usual 1 %."""
    new = 19 if old == 20 else 24
    steps = [PixelsStep(layout="NHWC"), Resize(size=(new, new), form="fast")]
    pixels = PixelsSpec(layout="NHWC", color="RGB", dtype="uint8", size=None, channels=3)
    pictures = [picture for _, _, picture in inputs.photographs(pixels, (old, old))]
    share, most = rounded_otherwise(steps, (old, old))
    for picture, got in zip(pictures, evaluate(alone(steps), [{"pixels": picture} for picture in pictures]), strict=True):
        off = np.abs(got[0] - reference.apply(steps, picture))
        assert off.max() <= most
        assert (off > 0.5).sum() <= share * off.size + 8
        if old == 30:
            assert (off > 0.5).mean() > 0.015  # what 1 % does not cover
