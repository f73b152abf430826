"""An export replaces what is damaged, differs or fails here; an equal bundle it leaves as it was."""

import hashlib
import json
import shutil

import numpy as np
import pytest

from preproc.bundle import hashes, open_bundle
from preproc.export import export_bundle
from preproc.export.formats import torchscript
from preproc.sources import load_recipe
from preproc.verify.runtimes import load_torchscript
from preproc.verify.runtimes.pytorch import TorchScriptCpu
from tests.conftest import ROOT
from tests.damage import edit_manifest
from tests.folders import contents, names

DIGITS = load_recipe(ROOT / "models" / "digits.toml")


@pytest.mark.parametrize("step", ["prove", "export_torchscript", "write_golden", "write_manifest"])
def test_a_step_that_fails_leaves_the_old_bundle_and_nothing_else(bundle, monkeypatch, step):
    def broken(*_, **__):
        raise OSError("disk full")

    import importlib

    edit_manifest(bundle, "golden", ["noise"])  # one that is to be replaced
    module = "preproc.export.formats" if step == "export_torchscript" else "preproc.export.exporter"
    monkeypatch.setattr(importlib.import_module(module), step, broken)
    before = (bundle / "manifest.json").read_bytes()
    with pytest.raises(OSError, match="disk full"):
        export_bundle(DIGITS, bundle)
    assert names(bundle.parent) == ["digits"]
    assert (bundle / "manifest.json").read_bytes() == before
    open_bundle(bundle)


def test_an_equal_bundle_is_left_as_it_was(bundle, exported, monkeypatch):
    """Of a machine that rounds otherwise: its report and the last bits of its golden outputs are others. What was verified is what lies
    there."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["report"]["results"][0]["error"] = 1.234e-7
    file = bundle / "golden" / "noise" / "logits.npy"
    np.save(file, np.nextafter(np.load(file), np.float32(9)))
    manifest["files"]["golden/noise/logits.npy"]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    before, opened = contents(bundle), []
    real = TorchScriptCpu.open
    monkeypatch.setattr(TorchScriptCpu, "open", lambda self, path: opened.append(path) or real(self, path))
    kept = export_bundle(DIGITS, bundle)
    assert contents(bundle) == before
    assert names(bundle.parent) == ["digits"]
    assert opened[-1] == bundle / "model.pt"
    assert kept.verified is not None
    assert kept.verified.ok
    assert kept.report == kept.verified
    assert exported.verified is None


def test_a_torchscript_file_that_decides_for_its_user_is_replaced(bundle, monkeypatch):
    """As preproc wrote them before it chose a trace's flags: on a CPU no run shows it."""
    monkeypatch.setattr("preproc.export.formats.torchscript._chosen", lambda **_: dict.fromkeys(torchscript.FLAGS, True))
    old = export_bundle(DIGITS, bundle.parent / "old")
    shutil.copy(old.folder / "model.pt", bundle / "model.pt")
    edit_manifest(bundle, "files", hashes(bundle))
    monkeypatch.undo()
    assert export_bundle(DIGITS, bundle).verified is None
    torchscript.check_settled(load_torchscript(bundle / "model.pt"), tf32=False)
    torchscript.check_settled(load_torchscript(ROOT / "export" / "digits" / "model.pt"), tf32=False)


def other_numbers(bundle):
    file = bundle / "golden" / "noise" / "logits.npy"
    np.save(file, np.load(file) * np.float32(1.001))


@pytest.mark.parametrize(
    "change",
    [
        lambda b: shutil.copy(b / "golden" / "noise" / "pixels.npy", b / "golden" / "low-contrast" / "pixels.npy"),
        other_numbers,
        lambda b: edit_manifest(b, "golden", ["noise"]),
        lambda b: (b / "model.pt").unlink(),
        lambda b: (b / "model.pt").write_bytes((b / "model.pt").read_bytes() + b"x"),
    ],
    ids=["pixels", "outputs", "fewer samples", "a file less", "a damaged file"],
)
def test_a_bundle_that_differs_is_replaced(bundle, change):
    change(bundle)
    if (bundle / "model.pt").is_file() and not (bundle / "model.pt").read_bytes().endswith(b"x"):
        edit_manifest(bundle, "files", hashes(bundle))
    assert export_bundle(DIGITS, bundle).verified is None
    assert open_bundle(bundle).report.ok
    assert len(open_bundle(bundle).golden()) == 7


def test_an_equal_bundle_that_fails_here_is_replaced(bundle, monkeypatch):
    """A TorchScript file, whose bytes nobody compares, that computes something else."""
    real_open, real_run = TorchScriptCpu.open, TorchScriptCpu.run

    def open_it(self, path):
        self.old = path.parent == bundle
        real_open(self, path)

    def run(self, *args):
        return {name: values + self.old for name, values in real_run(self, *args).items()}

    monkeypatch.setattr(TorchScriptCpu, "open", open_it)
    monkeypatch.setattr(TorchScriptCpu, "run", run)
    assert export_bundle(DIGITS, bundle).verified is None
