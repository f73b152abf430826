"""What is on disk: checked, repeatable, published at once or not at all, and silent about the machine that made it."""

import copy
import getpass
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from preproc import graph
from preproc.bundle import KEY, golden_files, hashes, open_bundle, publishing, to_recipe
from preproc.bundle.publishing import recover
from preproc.errors import BundleError
from preproc.export import export_bundle
from preproc.export.formats import torchscript
from preproc.sources import load_recipe
from preproc.verify.runtimes import OrtCpu, load_torchscript
from preproc.verify.runtimes.pytorch import TorchScriptCpu
from tests.conftest import ROOT

DIGITS = load_recipe(ROOT / "models" / "digits.toml")
written_once = pytest.mark.usefixtures("digits_written_once")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_outputs_whose_names_come_to_the_same_have_files_of_their_own():
    names = golden_files(["a/b", "a.b", "pixels", "Identity:0", "Identity_0", "logits"])
    assert list(names.values()) == ["a_b.npy", "a_b_1.npy", "pixels_2.npy", "Identity_0.npy", "Identity_0_4.npy", "logits.npy"]


def test_the_files_of_a_bundle(exported):
    assert names(exported.folder) == ["golden", "manifest.json", "model.onnx", "model.pt"]
    listed = set(exported.manifest["files"])
    found = {file.relative_to(exported.folder).as_posix() for file in exported.folder.rglob("*") if file.is_file()}
    assert found == listed | {"manifest.json"}
    assert exported.manifest["versions"]["torch"]


def test_the_contract_is_in_each_file_and_makes_the_recipe_again(exported):
    props = graph.read_metadata(exported.folder / "model.onnx")
    assert json.loads(props[KEY]) == exported.contract
    assert props["Image.BitmapPixelFormat"] == "Rgb8"
    assert props["Image.NominalPixelRange"] == "NominalRange_0_255"
    again = to_recipe(exported.contract)
    assert again.steps == DIGITS.steps
    assert again.pixels == DIGITS.pixels
    assert again.labels == DIGITS.labels


def members(file):
    """A file's bytes, and those of everything in it if it is an archive."""
    yield file.name, file.read_bytes()
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                yield f"{file.name}/{name}", archive.read(name)


def test_nothing_of_the_machine_is_in_any_file(exported):
    private = {str(ROOT), sys.prefix, str(Path.home()), "site-packages", "debug_pkl", "stack_trace", "Traceback"}
    private |= {word for word in (getpass.getuser(), platform.node()) if len(word) > 4}
    for file in exported.folder.rglob("*"):
        if file.is_file():
            for name, data in members(file):
                found = [word for word in private if word.encode() in data or word.encode() in name.encode()]
                assert not found, (name, found)
                assert not re.search(rb'File "|\.py", line|/home/|/Users/', data), name


def test_the_scan_would_find_it(tmp_path):
    """The raw archive that torch writes holds what the scan looks for."""
    import torch

    raw = tmp_path / "raw.pt"
    with pytest.warns((FutureWarning, DeprecationWarning), match=r"torch\.jit"):  # torch 2.15, torch 2.10
        torch.jit.save(torch.jit.trace(torch.nn.Conv2d(3, 3, 1), torch.zeros(1, 3, 4, 4)), str(raw))
    assert any(b"site-packages" in data or b"debug_pkl" in name.encode() for name, data in members(raw))


def test_onnx_bytes_are_repeatable(exported, tmp_path):
    again = export_bundle(DIGITS, tmp_path / "digits", formats=["onnx", "torchscript"])
    assert again.manifest["files"]["model.onnx"] == exported.manifest["files"]["model.onnx"]
    assert again.contract == exported.contract


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: (b / "model.pt").unlink(), "model.pt is missing"),
        (lambda b: (b / "model.onnx").write_bytes(b"x"), "model.onnx has 1 bytes instead of"),
        (lambda b: flip(b / "golden" / "noise" / "pixels.npy"), "golden/noise/pixels.npy has other contents"),
        (lambda b: (b / "manifest.json").write_text("{"), "expected JSON"),
        (lambda b: (b / "manifest.json").write_text("{}"), "expected a manifest of preproc"),
        (lambda b: (b / "manifest.json").unlink(), "expected a bundle, a folder with manifest.json"),
        (lambda b: edit(b, "version", 2), "expected version 1, got 2"),
        (lambda b: edit(b, "report", {}), "expected a whole manifest"),
        (lambda b: edit(b, "files", None), "expected a whole manifest"),
        (lambda b: edit(b, "contract", {}), "expected a contract of preproc"),
        (
            lambda b: edit(b, "contract", open_bundle(b).contract | {"name": "other"}),
            "expected the manifest's contract inside, got another",
        ),
    ],
)
def test_damage_is_named(bundle, damage, message):
    damage(bundle)
    with pytest.raises(BundleError, match=message):
        open_bundle(bundle)


def flip(file):
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def edit(bundle, key, value):
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | {key: value}))


@written_once
@pytest.mark.parametrize("step", ["prove", "export_torchscript", "write_golden", "write_manifest"])
def test_a_step_that_fails_leaves_the_old_bundle_and_nothing_else(bundle, monkeypatch, step):
    def broken(*_, **__):
        raise OSError("disk full")

    import importlib

    edit(bundle, "golden", ["noise"])  # one that is to be replaced
    module = "preproc.export.formats.torchscript" if step == "export_torchscript" else "preproc.export.exporter"
    monkeypatch.setattr(importlib.import_module(module), step, broken)
    before = (bundle / "manifest.json").read_bytes()
    with pytest.raises(OSError, match="disk full"):
        export_bundle(DIGITS, bundle)
    assert names(bundle.parent) == ["digits"]
    assert (bundle / "manifest.json").read_bytes() == before
    open_bundle(bundle)


KILLED = """
import os, pathlib, sys
from preproc.bundle import publishing
real, moves = pathlib.Path.rename, []
def rename(self, target):
    if len(moves) == int(sys.argv[2]):
        os._exit(9)
    moves.append(target)
    return real(self, target)
pathlib.Path.rename = rename
with publishing(pathlib.Path(sys.argv[1])) as new:
    (new / "manifest.json").write_text("new")
"""


@pytest.mark.parametrize(("moves", "present"), [(0, True), (1, False)])
def test_a_process_killed_around_the_two_renames_is_recovered_from(bundle, moves, present):
    done = subprocess.run([sys.executable, "-c", KILLED, str(bundle), str(moves)], cwd=ROOT, check=False)
    assert done.returncode == 9
    assert bundle.exists() == present
    assert len(names(bundle.parent)) == 2
    open_bundle(bundle)
    assert names(bundle.parent) == ["digits"]


def test_two_exports_at_once_end_with_a_whole_bundle_and_a_clear_line(tmp_path, monkeypatch):
    """Another process publishes between our two renames."""
    target, real = tmp_path / "mine", Path.rename

    def rename(self, to):
        if to == target and ".new-" in self.name:
            target.mkdir()
            (target / "manifest.json").write_text("theirs")
        return real(self, to)

    with publishing(target) as new:
        (new / "manifest.json").write_text("old")
    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(BundleError, match="is another export running"), publishing(target) as new:
        (new / "manifest.json").write_text("ours")
    assert (target / "manifest.json").read_text() == "theirs"
    assert names(tmp_path) == ["mine"]


@pytest.mark.parametrize("name", ["mine", "m[1]", "*"])
def test_an_old_bundle_comes_back_though_its_pid_lives_again(tmp_path, name):
    old = tmp_path / f".{name}.old-1-abcdef12"
    old.mkdir()
    (old / "manifest.json").write_text("old")
    recover(tmp_path / name)
    assert (tmp_path / name / "manifest.json").read_text() == "old"
    assert names(tmp_path) == [name]


def test_recovery_leaves_this_processs_own_export_alone(tmp_path):
    with publishing(tmp_path / "mine") as new:
        (new / "manifest.json").write_text("x")
        recover(tmp_path / "mine")
        assert new.exists()
    assert names(tmp_path) == ["mine"]


def test_a_running_export_is_not_swept_away(bundle):
    theirs = bundle.parent / f".digits.new-{os.getppid()}-abcdef12"
    theirs.mkdir()
    recover(bundle)
    assert theirs.exists()


def test_publishing_replaces_a_bundle_and_nothing_else(tmp_path):
    target = tmp_path / "mine"
    target.mkdir()
    (target / "thesis.txt").write_text("irreplaceable")
    with pytest.raises(BundleError, match="expected a bundle to replace or nothing"), publishing(target):
        pass
    assert (target / "thesis.txt").read_text() == "irreplaceable"
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(BundleError, match="expected a bundle to replace"), publishing(file):
        pass
    shutil.rmtree(target)
    for content in ("one", "two"):
        with publishing(target) as new:
            (new / "manifest.json").write_text(content)
        assert (target / "manifest.json").read_text() == content
    assert names(tmp_path) == ["file", "mine"]


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@written_once
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


@written_once
def test_a_torchscript_file_that_decides_for_its_user_is_replaced(bundle, monkeypatch):
    """As preproc wrote them before it chose a trace's flags: on a CPU no run shows it."""
    monkeypatch.setattr("preproc.export.formats.torchscript._chosen", lambda **_: dict.fromkeys(torchscript.FLAGS, True))
    old = export_bundle(DIGITS, bundle.parent / "old")
    shutil.copy(old.folder / "model.pt", bundle / "model.pt")
    edit(bundle, "files", hashes(bundle))
    monkeypatch.undo()
    assert export_bundle(DIGITS, bundle).verified is None
    torchscript.check_settled(load_torchscript(bundle / "model.pt"), tf32=False)
    torchscript.check_settled(load_torchscript(ROOT / "export" / "digits" / "model.pt"), tf32=False)


def other_numbers(bundle):
    file = bundle / "golden" / "noise" / "logits.npy"
    np.save(file, np.load(file) * np.float32(1.001))


@written_once
@pytest.mark.parametrize(
    "change",
    [
        lambda b: shutil.copy(b / "golden" / "noise" / "pixels.npy", b / "golden" / "low-contrast" / "pixels.npy"),
        other_numbers,
        lambda b: edit(b, "golden", ["noise"]),
        lambda b: (b / "model.pt").unlink(),
        lambda b: (b / "model.pt").write_bytes((b / "model.pt").read_bytes() + b"x"),
    ],
    ids=["pixels", "outputs", "fewer samples", "a file less", "a damaged file"],
)
def test_a_bundle_that_differs_is_replaced(bundle, change):
    change(bundle)
    if (bundle / "model.pt").is_file() and not (bundle / "model.pt").read_bytes().endswith(b"x"):
        edit(bundle, "files", hashes(bundle))
    assert export_bundle(DIGITS, bundle).verified is None
    assert open_bundle(bundle).report.ok
    assert len(open_bundle(bundle).golden()) == 7


@written_once
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


def test_the_tracked_bundle_is_current(exported):
    """export/digits as committed against a fresh export: same contract, same outputs within the tolerance."""
    tracked = open_bundle(ROOT / "export" / "digits")
    contracts = [copy.deepcopy(bundle.contract) for bundle in (tracked, exported)]
    if (
        tracked.manifest["versions"]["torch"] != exported.manifest["versions"]["torch"]
    ):  # each rounds BatchNorms into convolutions its own way
        for contract in contracts:
            del contract["fold"]["onnx"]["sha256"]
    assert contracts[0] == contracts[1], "run make export and commit export/digits"
    assert tracked.report.ok
    fresh, old = OrtCpu(), OrtCpu()
    fresh.open(exported.folder / "model.onnx")
    old.open(tracked.folder / "model.onnx")
    for case in tracked.golden():
        np.testing.assert_allclose(
            fresh.run(case.pixels)["logits"], old.run(case.pixels)["logits"], rtol=0, atol=tracked.report.power.tolerance * 10
        )
