"""Bundles with machine code: verified like every file, loaded only where somebody asks for it, and not where it would not run."""

import contextlib
import dataclasses
import json
import platform
import resource
import shutil
import sys
import tempfile
import zipfile

import numpy as np
import pytest
import torch

from preproc.bundle import equal_bundle, hashes, open_bundle
from preproc.bundle.contract import check
from preproc.bundle.inspection import describe, lines
from preproc.errors import BundleError, PreprocError, RecipeError, RuntimeAbsentError
from preproc.export import export_bundle, verify_bundle
from preproc.export.compiling import check_compiles
from preproc.export.writing import fold_module
from preproc.sources import ExportSpec, load_recipe, parse_recipe
from preproc.sources.backbones import load_backbone
from preproc.verify.runtimes import RUNTIMES, made
from tests.conftest import ROOT
from tests.damage import edit_manifest, rehash

FILE = "model.aoti.pt2"
DIGITS = load_recipe(ROOT / "models" / "digits.toml")


@pytest.fixture
def copy(packaged, tmp_path):
    """That a test may damage."""
    return shutil.copytree(packaged, tmp_path / "digits")


def edit_package(bundle, change):
    """change: of a record's name and bytes, to its bytes."""
    with zipfile.ZipFile(bundle / FILE) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(bundle / FILE, "w") as archive:
        for name, content in records.items():
            archive.writestr(name, change(name, content))
    rehash(bundle)


def edit_contract(bundle, **changes):
    """In the package, which is then the only file, and in the manifest."""
    for name in ("model.onnx", "model.pt"):
        (bundle / name).unlink()
    rehash(bundle)
    contract = json.loads(json.dumps(open_bundle(bundle).contract))
    contract["compiled"]["aoti"] |= changes

    def edit(name, content):
        return json.dumps(json.loads(content) | {"preproc.contract": json.dumps(contract)}) if name.endswith("_metadata.json") else content

    edit_package(bundle, edit)
    edit_manifest(bundle, "contract", contract)


def test_it_was_verified_when_it_was_compiled(packaged):
    results = {result.runtime: result for result in open_bundle(packaged).report.results}
    own = results["aoti-cpu"]
    assert own.verdict == "passed"
    assert own.ran.endswith("on the CPU, in a process of its own")
    assert own.error < own.tolerance <= 1e-5
    assert own.bare == results["torch-cpu"].bare, "nobody compiles the bare network"
    assert own.top1 == 1.0
    assert (results["aoti-cuda"].verdict, results["aoti-cuda"].reason) == ("absent", "it is compiled for cpu")


def test_it_is_loaded_by_name_alone(packaged):
    report = verify_bundle(packaged, runtimes=["aoti-cpu"])
    assert report.ok
    assert [result.runtime for result in report.results] == ["aoti-cpu"]
    report = verify_bundle(packaged)
    told = {result.runtime: result for result in report.results}
    assert report.ok
    assert told["aoti-cpu"].verdict == "absent"
    assert told["aoti-cpu"].reason.endswith("loaded only where it is asked for by name: --runtime aoti-cpu")
    assert "aoti-cuda" not in told


def test_one_wrong_weight_fails(copy):
    weight = next(fold_module(DIGITS, load_backbone(DIGITS).module, torch.zeros(2, 32, 32, 3, dtype=torch.uint8)).model.parameters())
    values = weight.detach().numpy()
    wrong = values.copy()
    wrong[3, 1, 1, 1] *= 1.5
    seen = []

    def edit(name, content):
        if name.endswith(".so"):
            seen.append(content.count(values.tobytes()))
            content = content.replace(values.tobytes(), wrong.tobytes())
        return content

    edit_package(copy, edit)
    assert seen == [1]
    (result,) = verify_bundle(copy, runtimes=["aoti-cpu"]).results
    assert result.verdict == "failed"
    assert "tolerance" in result.reason


def test_a_library_that_is_none_fails(copy):
    edit_package(copy, lambda name, content: content[: len(content) // 3] if name.endswith(".so") else content)
    (result,) = verify_bundle(copy, runtimes=["aoti-cpu"]).results
    assert result.verdict == "failed"


def test_other_bytes_than_the_manifests_are_refused(copy):
    with (copy / FILE).open("r+b") as file:
        file.seek(50_000)
        file.write(b"\x90\x90\x90\x90")
    with pytest.raises(BundleError, match=rf"{FILE} has other contents"):
        verify_bundle(copy, runtimes=["aoti-cpu"])


def test_another_contract_than_the_manifests_is_refused(copy):
    def edit(name, content):
        return content.replace(b"avx2", b"sse2") if name.endswith("_metadata.json") else content

    edit_package(copy, edit)
    with pytest.raises(BundleError, match="expected the manifest's contract inside, got another one"):
        verify_bundle(copy, runtimes=["aoti-cpu"])


OLDER = "older ones may lack what it calls"
LACKS = "it is compiled for the instructions native, and this processor has no avx1024"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"instructions": ["avx2", "avx1024"], "cpu": "native"}, LACKS),
        ({"machine": "vax"}, f"it is compiled for vax, and this machine is {platform.machine()}"),
        ({"torch": "99.1.0"}, f"it is compiled by torch 99.1.0, and this one is {torch.__version__}: {OLDER}"),
        ({"device": "cuda", "gpu": "NVIDIA H100", "compute_capability": [9, 0]}, "it is compiled for cpu and cuda"),
    ],
)
def test_what_this_machine_lacks_is_absent(copy, changes, said):
    edit_contract(copy, **changes)
    (result,) = verify_bundle(copy, runtimes=["aoti-cpu"]).results
    assert (result.verdict, result.reason) == ("absent", said)


@contextlib.contextmanager
def files_of_at_most(size):
    """In the body no larger one is written, here and in processes that begin there: as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_temporary_folder_is_no_fault_of_the_package(packaged, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    named = f"{tmp_path}/preproc-[^ ]*: expected a temporary folder with room for "
    with made(RUNTIMES["aoti-cpu"], None, ["logits"]) as runtime:
        with files_of_at_most(10_000), pytest.raises(RuntimeAbsentError, match=f"{named}what is in {FILE}, got: File too large") as caught:
            runtime.open(packaged / FILE)
        assert caught.value.name == "system-refused"
        runtime.open(packaged / FILE)
        with files_of_at_most(1000), pytest.raises(RuntimeAbsentError, match=f"{named}pixels and outputs, got: "):
            runtime.run(np.zeros((2, 32, 32, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_with_another_librarys_bytes_is_another_bundle(packaged):
    """It would be loaded, in place of the one that has just been compiled."""
    bundle = open_bundle(packaged)
    files = {name: entry for name, entry in hashes(packaged).items() if not name.startswith("golden/")}
    assert equal_bundle(packaged, bundle.contract, files, bundle.golden())
    other = files | {FILE: files[FILE] | {"sha256": "0" * 64}}
    assert not equal_bundle(packaged, bundle.contract, other, bundle.golden())


@pytest.mark.parametrize(
    "compiled",
    [
        lambda made: {"foo": made},
        lambda made: {"aoti": made | {"instructions": []}},
        lambda made: {"aoti": made | {"instructions": "avx2"}},
    ],
)
def test_a_contract_that_is_compiled_for_nothing_known_is_refused(compiled):
    contract = json.loads((ROOT / "export" / "digits" / "manifest.json").read_text())["contract"]
    made = {"device": "cpu", "system": "linux", "machine": "x86_64", "cpu": "native", "instructions": ["avx2"], "torch": "2.10"}
    assert check(contract | {"compiled": {"aoti": made}}, "here")
    with pytest.raises(BundleError, match="got one with values that it never has"):
        check(contract | {"compiled": compiled(made)}, "here")


def test_inspect_tells_what_it_is_compiled_for(packaged):
    for path in (packaged, packaged / FILE):
        told = lines(describe(path))
        assert f"compiled aoti: for cpu, linux on x86_64 with x86-64-v3; torch {torch.__version__.partition('+')[0]}" in told
    gpu = {"device": "cuda", "gpu": "NVIDIA H100", "compute_capability": [9, 0], "cpu": "native", "instructions": ["avx2", "fma"]}
    found = describe(packaged / FILE)
    found["contract"]["compiled"]["aoti"] |= gpu
    said = "compiled aoti: for cuda, NVIDIA H100, compute capability 9.0; linux on x86_64 with native, 2 instruction sets: avx2, fma; torch"
    assert any(line.startswith(said) for line in lines(found))


def test_golden_samples_through_torchs_own_loader(packaged):
    run = torch._C._aoti.AOTIModelPackageLoader(str(packaged / FILE), "model", False, 1, -1).run
    for case in open_bundle(packaged).golden():
        (logits,) = run([torch.from_numpy(case.pixels)])
        np.testing.assert_allclose(logits.numpy(), case.expected["logits"], rtol=0, atol=1e-4)


SPEC = ExportSpec(formats=("aoti",))
CUDA = dataclasses.replace(SPEC, device="cuda")


@pytest.mark.parametrize(
    ("changes", "spec", "said"),
    [
        ({"sys.platform": "darwin"}, SPEC, "expected Linux for the format aoti, whose packages are for it, got darwin"),
        (
            {"preproc.export.compiling.compiler": lambda: None},
            SPEC,
            r"expected a C\+\+ compiler for the format aoti, got no g\+\+: install it; or leave aoti out",
        ),
        (
            {"preproc.host.processor.instructions": frozenset},
            dataclasses.replace(SPEC, cpu="native"),
            r'\[export\] cpu: expected a system that tells its processor\'s instructions for "native", got none',
        ),
        ({"platform.machine": lambda: "aarch64"}, SPEC, r'\[export\] cpu: expected "native" on aarch64'),
        (
            {"torch.cuda.is_available": lambda: False},
            CUDA,
            r"\[export\] device: expected a CUDA device here",
        ),
    ],
)
def test_what_cannot_be_compiled_here_is_refused_before_the_work(monkeypatch, changes, spec, said):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("preproc.export.compiling.compiler", lambda: "g++")
    check_compiles("digits", SPEC)
    for place, value in changes.items():
        monkeypatch.setattr(place, value)
    with pytest.raises(PreprocError, match=f"digits: {said}"):
        check_compiles("digits", spec)
    check_compiles("digits", ExportSpec())


def test_a_recipe_and_python_say_what_it_is_compiled_for(monkeypatch):
    tables = {
        "name": "m",
        "backbone": {"source": "embedded", "name": "digits", "weights": "random", "seed": 0, "color": "RGB"},
        "pixels": {"layout": "NHWC", "color": "RGB", "size": [8, 8]},
        "steps": [],
        "export": {"formats": ["aoti"], "cpu": "native", "device": "cuda"},
    }
    spec = parse_recipe(tables, folder=ROOT).export
    assert (spec.cpu, spec.device) == ("native", "cuda")
    for key, value in (("cpu", "x86-64-v4"), ("device", "gpu")):
        with pytest.raises(RecipeError, match=rf"\[export\] {key}: expected"):
            parse_recipe(tables | {"export": {key: value}}, folder=ROOT)
        with pytest.raises(PreprocError, match=f"expected {key} to be one of"):
            export_bundle(prepended(), "nowhere", size=(8, 8), formats=["aoti"], **{key: value})
    monkeypatch.setattr("preproc.export.compiling.compiler", lambda: None)
    with pytest.raises(PreprocError, match=r"expected a C\+\+ compiler"):
        export_bundle(prepended(), "nowhere", size=(8, 8), formats=["aoti"], cpu="native")


def prepended():
    import preproc

    pipeline = preproc.Pipeline(preproc.FromPixels(layout="NHWC"), preproc.Rescale())
    return preproc.prepend(pipeline, torch.nn.Conv2d(3, 4, 3))
