"""What is on disk: checked, repeatable, and silent about the machine that made it."""

import copy
import getpass
import json
import platform
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from preproc import graph
from preproc.bundle import KEY, contract, golden_files, open_bundle, to_recipe
from preproc.errors import BundleError
from preproc.export import export_bundle, formats
from preproc.sources import load_recipe
from preproc.verify.runtimes import OrtCpu
from tests.conftest import ROOT
from tests.damage import edit_manifest
from tests.folders import names

DIGITS = load_recipe(ROOT / "models" / "digits.toml")


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


def test_onnx_bytes_are_repeatable(exported, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "export_backbone", formats.export_backbone.__wrapped__)  # the session keeps what it wrote
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
        (lambda b: edit_manifest(b, "version", 2), "expected version 1, got 2"),
        (lambda b: edit_manifest(b, "report", {}), "expected a whole manifest"),
        (lambda b: edit_manifest(b, "files", None), "expected a whole manifest"),
        (lambda b: edit_manifest(b, "contract", {}), "expected a contract of preproc"),
        (
            lambda b: edit_manifest(b, "contract", open_bundle(b).contract | {"name": "other"}),
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


@pytest.mark.parametrize(
    ("image", "span"),
    [({"color": "RGB"}, "0_255"), ({"color": "NV12", "range": "limited"}, "16_235"), ({"color": "NV12", "range": "full"}, "0_255")],
)
def test_onnx_has_a_word_for_the_range(image, span):
    told = contract.standard_metadata({"input": {"dtype": "uint8", **image}})
    assert told["Image.NominalPixelRange"] == f"NominalRange_{span}"
    assert ("Image.BitmapPixelFormat" in told) == (image["color"] == "RGB")
