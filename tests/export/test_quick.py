"""A quick export is quick, says so wherever it is looked at, and never passes."""

import json
import shutil

import pytest

import preproc
from preproc.bundle.inspection import describe, lines
from preproc.cli.tables import print_report
from preproc.errors import PreprocError
from preproc.export import export_bundle, verify_bundle
from preproc.sources import load_recipe
from tests.commands import run
from tests.conftest import ROOT

DIGITS = ROOT / "models" / "digits.toml"
TOLD = "quick: only a few inputs were run; export it without --quick to verify it"


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    return export_bundle(load_recipe(DIGITS), tmp_path_factory.mktemp("quick") / "digits", formats=["onnx"], quick=True)


def test_fewer_inputs_and_no_pass(quick, exported):
    report = quick.report
    assert list(report.inputs[:-1]) == ["image-0", "image-1", "image-2", "photo-astronaut", "noise"]
    assert len(exported.report.inputs) > 2 * len(report.inputs)
    ran = {result.runtime: result for result in report.results if result.verdict != "absent"}
    assert {result.verdict for result in ran.values()} == {"inconclusive"}
    assert {result.reason for result in ran.values()} == {TOLD}
    assert not report.ok
    assert not report.failed


def test_it_is_said_by_the_file_itself_and_the_bundle(quick, tmp_path, capsys):
    file = tmp_path / "alone.onnx"
    file.write_bytes((quick.folder / "model.onnx").read_bytes())
    assert f"note     {TOLD}" in lines(describe(file))
    told = lines(describe(quick.folder))
    assert f"note     {TOLD}" in told
    assert any("ort-cpu inconclusive" in line for line in told)
    print_report(quick.report)
    assert "quick" in capsys.readouterr().out
    assert json.loads((quick.folder / "manifest.json").read_text())["report"]["power"]["quick"] is True


def test_its_golden_samples_prove_nothing_and_a_whole_verification_does(quick):
    golden = verify_bundle(quick.folder, runtimes=["ort-cpu"])
    assert [(result.verdict, result.reason) for result in golden.results] == [("inconclusive", TOLD)]
    whole = verify_bundle(quick.folder)
    assert whole.ok
    assert not whole.power.quick


def test_it_is_not_packaged(quick, tmp_path):
    with pytest.raises(PreprocError, match="expected a verified bundle, got a quick one: only a few inputs were run; export it without"):
        preproc.package(quick.folder, tmp_path / "repo")
    assert list(tmp_path.iterdir()) == []


def test_a_whole_export_replaces_it(tmp_path):
    recipe = load_recipe(DIGITS)
    export_bundle(recipe, tmp_path / "digits", formats=["onnx"], quick=True)
    whole = export_bundle(recipe, tmp_path / "digits", formats=["onnx"])
    assert whole.verified is None
    assert preproc.open_bundle(tmp_path / "digits").report.ok
    assert not any("quick" in note for note in whole.contract["notes"])


def test_it_replaces_no_other_bundle(tmp_path, quick):
    shutil.copytree(ROOT / "export" / "digits", tmp_path / "digits")
    with pytest.raises(PreprocError, match="got one that was verified whole, which a quick one would replace; give another folder"):
        export_bundle(load_recipe(DIGITS), tmp_path / "digits", formats=["onnx"], quick=True)
    assert preproc.open_bundle(tmp_path / "digits").report.ok
    shutil.rmtree(tmp_path / "digits")
    shutil.copytree(quick.folder, tmp_path / "digits")
    assert export_bundle(load_recipe(DIGITS), tmp_path / "digits", formats=["onnx"], quick=True).report.power.quick


def test_what_fails_is_not_published_quickly_either(tmp_path, monkeypatch):
    from preproc.verify.runtimes import OrtCpu

    monkeypatch.setattr(OrtCpu, "run", lambda *_: {"logits": 0.0})
    with pytest.raises(PreprocError, match="nothing was published"):
        export_bundle(load_recipe(DIGITS), tmp_path / "digits", formats=["onnx"], quick=True)
    assert list(tmp_path.iterdir()) == []


def test_on_the_command_line(tmp_path):
    done = run("export", DIGITS, "-o", tmp_path, "--format", "onnx", "--quick", check=0)
    assert "inconclusive" in done.stdout
    assert "passed" not in done.stdout
    assert "published, but not verified: only a few inputs were run" in done.stderr
