"""An export proves its files before it publishes them: a known mistake in any of them is refused, golden samples are the reference's."""

import shutil

import numpy as np
import pytest

from preproc import graph
from preproc.bundle import open_bundle
from preproc.errors import PreprocError, VerificationError
from preproc.export import export_bundle, verify_bundle
from preproc.export.proving import prove
from preproc.export.resolving import with_outputs
from preproc.folding.modules.running import Original
from preproc.layers import Normalize, Rescale
from preproc.sources import load_recipe
from preproc.sources.backbones import load_backbone
from preproc.steps import ChannelAffine
from tests.conftest import ROOT
from tests.folding.mistakes import as_unpadded

DIGITS = load_recipe(ROOT / "models" / "digits.toml")


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
    """The fold as other tools do it: the offset in the bias, as if nothing were padded. The fold of modules sees that itself, and the steps
    stay in front; were it blind, the proof would not be."""
    as_unpadded(monkeypatch)
    if made == "torchscript":
        kept = export_bundle(DIGITS, tmp_path / "kept", formats=[made])
        assert "answers something else" in kept.contract["fold"]["torchscript"]["reason"]
        shutil.rmtree(kept.folder)
        monkeypatch.setattr(Original, "check", lambda *_, **__: None)
    with pytest.raises(VerificationError, match=f"{runtime}: error .* nothing was published"):
        export_bundle(DIGITS, tmp_path / "digits", formats=[made])
    assert list(tmp_path.iterdir()) == []


def test_golden_samples_are_what_the_reference_computes(exported):
    proof = prove(*with_outputs(DIGITS, load_backbone(DIGITS)), images=DIGITS.export.images)
    fresh = {case.name: case for case in proof.golden}
    for case in open_bundle(exported.folder).golden():
        np.testing.assert_array_equal(case.pixels, fresh[case.name].pixels)
        np.testing.assert_allclose(case.expected["logits"], fresh[case.name].expected["logits"], rtol=1e-6, atol=1e-6)
    with pytest.raises(PreprocError):
        verify_bundle(exported.folder / "golden")
