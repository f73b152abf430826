"""pyproject's bounds, the newest versions and the oldest are one statement, and the tests need no plugin but their own."""

import os
import pkgutil
import re
import subprocess
import sys
import tomllib
import types

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests import asked_once
from tests.conftest import ROOT

PYPROJECT = (ROOT / "pyproject.toml").read_text()
NEWEST, LOWEST = ((ROOT / name).read_text() for name in ("constraints.txt", "constraints-lowest.txt"))


def requirements(pyproject):
    """Every requirement of the build, the library and its extras, where the constraints were made: Linux."""
    whole = tomllib.loads(pyproject)
    project, build = whole["project"], whole["build-system"]["requires"]
    texts = [*build, *project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]
    found = map(Requirement, texts)
    return [one for one in found if one.marker is None or one.marker.evaluate({"sys_platform": "linux"})]


def pins(text):
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in (line.split("==") for line in lines)}


def drift(pyproject, newest, lowest):
    """What does not agree, a line for each."""
    new, old = pins(newest), pins(lowest)
    for one in requirements(pyproject):
        name = canonicalize_name(one.name)
        for file, versions in (("constraints.txt", new), ("constraints-lowest.txt", old)):
            if name not in versions:
                yield f"{name} is not in {file}"
            elif versions[name] not in one.specifier:
                yield f"{file} has {name} {versions[name]}, pyproject wants {one.specifier}"
        for bound in (Version(part.version) for part in one.specifier if name in old):
            if old[name].release[: len(bound.release)] != bound.release:
                yield f"constraints-lowest.txt has {name} {old[name]}, the bound is {bound}"


def test_pyproject_and_both_constraint_files_agree():
    assert list(drift(PYPROJECT, NEWEST, LOWEST)) == []
    assert {str(part.operator) for one in requirements(PYPROJECT) for part in one.specifier} == {">="}


@pytest.mark.parametrize(
    ("which", "old", "new", "said"),
    [
        (0, '"torch>=2.10"', '"torch>=2.11"', "constraints-lowest.txt has torch 2.10.0, pyproject wants >=2.11"),
        (0, '"torch>=2.10"', '"torch>=2.9"', "constraints-lowest.txt has torch 2.10.0, the bound is 2.9"),
        (0, '"openvino>=2026"', '"openvino>=2027"', "constraints.txt has openvino 2026"),
        (0, '"typer>=0.16"', '"typer>=0.16", "six"', "six is not in constraints.txt"),
        (0, '"hatchling"', '"hatchlings"', "hatchlings is not in constraints.txt"),
        (1, "\nnumpy==2.", "\nnumpy==1.", "constraints.txt has numpy 1."),
        (1, "\nrich==", "\npoor==", "rich is not in constraints.txt"),
        (2, "\nonnx-ir==", "\nno-ir==", "onnx-ir is not in constraints-lowest.txt"),
        (2, "\npillow==11.", "\npillow==12.", "constraints-lowest.txt has pillow 12.0.0, the bound is 11"),
    ],
)
def test_a_drift_is_noticed(which, old, new, said):
    texts = [PYPROJECT, NEWEST, LOWEST]
    assert texts[which].count(old) == 1
    texts[which] = texts[which].replace(old, new)
    assert any(line.startswith(said) for line in drift(*texts)), list(drift(*texts))


def test_the_readmes_installation_for_the_cpu_has_every_library():
    """But torch, which is there, torchvision, which is not needed, and the other wheel of ONNX Runtime."""
    (line,) = re.findall(r"^    pip install (onnx .*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    needed = {Requirement(text).name for text in tomllib.loads(PYPROJECT)["project"]["dependencies"]}
    assert set(line.split()) == needed - {"torch", "torchvision", "onnxruntime-gpu"}


@pytest.mark.parametrize("path", asked_once.ASKED_ONCE)
def test_a_torch_that_names_its_own_otherwise_is_left_alone(path, monkeypatch):
    """And the torch that is here has the name, so that it is asked once."""
    place, _, name = path.rpartition(".")
    owner, other = pkgutil.resolve_name(place), types.SimpleNamespace()
    if not hasattr(owner, name):
        pytest.skip("this torch names it otherwise")
    assert hasattr(getattr(owner, name), "cache_info")
    around, _, last = place.rpartition(".")
    monkeypatch.setattr(pkgutil.resolve_name(around), last, other)
    monkeypatch.setitem(sys.modules, place, other)
    asked_once.ask_once(path)
    assert vars(other) == {}
    monkeypatch.delattr(pkgutil.resolve_name(around), last)
    monkeypatch.setitem(sys.modules, place, None)
    asked_once.ask_once(path)


def test_no_plugin_of_this_machine_is_loaded(tmp_path):
    """pytest-benchmark, pytest-asyncio and others warn, and warnings are errors here; pytest-randomly reorders."""
    (tmp_path / "found_here.py").write_text("raise RuntimeError('this plugin was loaded')\n")
    about = tmp_path / "found_here-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: found-here\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[pytest11]\nfound_here = found_here\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "pytest", "-VV"]
    bare = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "this plugin was loaded" in bare.stderr
    ours = subprocess.run([*command, "--noconftest"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (ours.returncode, "this plugin was loaded" in ours.stderr) == (0, False), ours.stderr
