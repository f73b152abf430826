"""The bare network is measured alone, and a user may say the tolerance."""

import gc
from dataclasses import replace

import onnx_ir as ir
import pytest
from torch import nn

from preproc.errors import PreprocError
from preproc.export import export_bundle, verify_bundle
from preproc.export.bare import Bare, bare_network
from preproc.host import memory
from preproc.sources import load_recipe
from preproc.verify.runtimes import OnnxReference, OrtCpu
from preproc.verify.runtimes.pytorch import TorchScriptCpu
from tests.conftest import ROOT
from tests.export.exported import published, ran
from tests.onnx_files import hand_made, put


def test_the_bare_network_is_measured_on_what_the_reference_makes_ready(tmp_path):
    """A spoilt bare file shows; one that is not there, or does not run, is not measured."""
    file = hand_made(tmp_path)
    recipe = replace(load_recipe(ROOT / "models" / "digits.toml"))
    bundle = put(file, tmp_path / "out")
    assert {result.bare for result in ran(bundle.report).values()} == {bundle.report.power.bare_error}  # the same file, the same runtime
    steps = bundle.contract["steps"]
    assert steps[0]["step"] == "from_pixels"
    from preproc.bundle import to_recipe
    from preproc.export.proving import prove

    told = to_recipe(bundle.contract)
    proof = prove(replace(told, backbone=replace(told.backbone, weights=str(file))), file)
    network = bare_network(told, file, proof.cases, ("model.onnx",), tmp_path)
    (name,) = proof.power.parts
    assert 0 < proof.power.bare_error < 1e-5
    assert network.errors(OrtCpu(), proof.cases, proof.power.parts) == {name: proof.power.bare_error}
    twice = replace(network, arrange=lambda ready: 2 * ready)
    assert twice.errors(OrtCpu(), proof.cases, proof.power.parts)[name] > 0.1
    assert network.errors(TorchScriptCpu(), proof.cases, proof.power.parts) is None
    broken = replace(network, files={"model.onnx": tmp_path / "nothing.onnx"})
    assert broken.errors(OrtCpu(), proof.cases, proof.power.parts) is None
    assert recipe.export.tolerance is None


def test_one_copy_of_a_file_is_held_at_a_time(tmp_path, monkeypatch):
    """Not the graph while its sessions are open, but for the reference's; and what was measured in a runtime is not run there again."""
    held, asked = [], []
    monkeypatch.setattr(memory, "LARGE", 0)
    before = {id(thing) for thing in gc.get_objects() if type(thing) is ir.Graph}

    def watched(kind, method):
        real = getattr(kind, method)

        def watching(*given, **options):
            held.append([thing for thing in gc.get_objects() if type(thing) is ir.Graph and id(thing) not in before])
            return real(*given, **options)

        monkeypatch.setattr(kind, method, watching)

    watched(OnnxReference, "__init__")
    watched(OrtCpu, "open")
    monkeypatch.setattr(Bare, "errors", lambda _, runtime, *__: asked.append(runtime.name))
    gc.disable()  # what is let go is collected at once, not by luck
    try:
        bundle = put(hand_made(tmp_path), tmp_path / "out")
    finally:
        gc.enable()
    assert held == [[], [], []]  # the reference, the one with an uncorrected border, what was written
    assert "ort-cpu" not in asked
    assert ran(bundle.report)["ort-cpu"].bare == bundle.report.power.bare_error


@pytest.mark.parametrize("wrong", [0, 1, -1e-3, "1e-3", True, float("nan")])
def test_a_tolerance_is_a_number_between_zero_and_one(tmp_path, wrong):
    with pytest.raises(PreprocError, match=r"tolerance: expected a number between 0 and 1"):
        put(hand_made(tmp_path), tmp_path / "out", tolerance=wrong)


def test_the_users_tolerance_is_in_contract_and_report(tmp_path):
    file = hand_made(tmp_path)
    bundle = put(file, tmp_path / "out", tolerance=2e-5)
    assert bundle.contract["tolerance"] == 2e-5
    assert bundle.report.power.tolerance == bundle.report.power.asked == 2e-5
    assert {result.tolerance for result in ran(bundle.report).values()} == {2e-5}
    again = verify_bundle(bundle.folder, recipe=file)
    assert again.power.asked == 2e-5
    net = published(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()), tmp_path / "net", tolerance=1e-3, formats=["onnx"])
    assert net.contract["tolerance"] == 1e-3
    with pytest.raises(PreprocError, match="tolerance with a Model only"):
        export_bundle(load_recipe(ROOT / "models" / "digits.toml"), tmp_path / "no", tolerance=1e-3)
