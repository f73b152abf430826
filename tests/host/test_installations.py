"""An installation that is not whole is told in one line, and nothing is published that nothing here has run."""

import json
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from preproc.errors import PreprocError, RuntimeAbsentError
from preproc.export import export_bundle
from preproc.sources import load_recipe
from preproc.verify.runtimes import OnnxReference, onnxruntime
from preproc.verify.runtimes.ort import OrtCuda
from tests.commands import in_a_process
from tests.conftest import ROOT

DIGITS = ROOT / "models" / "digits.toml"
MEND = "pip uninstall onnxruntime onnxruntime-gpu, then pip install one of them"


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (None, "^onnxruntime is not installed; pip install onnxruntime-gpu, or onnxruntime"),
        (
            ModuleType("onnxruntime"),
            f"expected a whole onnxruntime, got: module 'onnxruntime' has no attribute 'InferenceSession'.*: {MEND}",
        ),
    ],
    ids=["none", "a folder without __init__.py"],
)
def test_without_onnxruntime(module, message, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    with pytest.raises(RuntimeAbsentError, match=message):
        onnxruntime()
    with pytest.raises(RuntimeAbsentError, match=message):  # before anything is computed
        export_bundle(load_recipe(DIGITS), tmp_path / "digits", formats=["onnx"])
    assert list(tmp_path.iterdir()) == []


def test_half_of_onnxruntime_is_absent(exported, tmp_path):
    """What its own first line of Python says where the library was removed."""
    (tmp_path / "onnxruntime").mkdir()
    shutil.copy(Path(onnxruntime().__file__), tmp_path / "onnxruntime")
    done = in_a_process("verify", exported.folder, "--runtime", "ort-cpu", "--json", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}", check=1)
    (result,) = json.loads(done.stdout)["results"]
    assert result["verdict"] == "absent"
    assert result["reason"].startswith("expected a whole onnxruntime, got: No module named 'onnxruntime.capi' (removing one of its wheels")
    assert result["reason"].endswith(MEND)


def test_both_wheels_in_one_folder_are_told(exported, monkeypatch, tmp_path):
    monkeypatch.setattr(onnxruntime(), "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(RuntimeAbsentError) as alone:
        OrtCuda().open(exported.folder / "model.onnx")
    for name in ("onnxruntime", "onnxruntime_gpu"):
        (tmp_path / f"{name}-9.9.dist-info").mkdir()
        (tmp_path / f"{name}-9.9.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeAbsentError) as both:
        OrtCuda().open(exported.folder / "model.onnx")
    assert "both" not in str(alone.value)
    assert f"both onnxruntime and onnxruntime-gpu are installed, in one folder: {MEND}" in str(both.value)


def test_a_provider_that_raises_is_absent_and_prints_nothing(exported, monkeypatch, capfd):
    """onnxruntime 1.24 raises, and would print a box of asterisks on stdout and run on the CPU; later ones fall back without."""
    given = []

    def session(*_, **options):
        given.append(options)
        raise RuntimeError("CUDA_PATH is set but CUDA wasn't able to be loaded")

    monkeypatch.setattr(onnxruntime(), "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime(), "InferenceSession", session)
    with pytest.raises(RuntimeAbsentError, match="the CUDA provider did not load"):
        OrtCuda().open(exported.folder / "model.onnx")
    assert [options["enable_fallback"] for options in given] == [0]
    assert capfd.readouterr().out == ""


RESNET = str(ROOT / "models" / "resnet18.toml")
TIMM = """name = "m"
[backbone]
source = "timm"
name = "resnet18"
weights = "random"
seed = 0
color = "RGB"
[pixels]
layout = "NHWC"
color = "RGB"
size = [32, 32]
[[steps]]
step = "rescale"
"""


@pytest.mark.parametrize(
    "command", [["export", RESNET], ["export", "m.toml"], ["attach", "m.onnx", "--torchvision", "ResNet50_Weights.IMAGENET1K_V2"]]
)
def test_a_torchvision_for_another_torch_is_one_line(command, tmp_path):
    """As its wheel from a package index beside torch's build for the CPU."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    (tmp_path / "m.toml").write_text(TIMM)
    shutil.copy(ROOT / "export" / "digits" / "model.onnx", tmp_path / "m.onnx")
    done = in_a_process(*command, "-o", "out", cwd=tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}", check=1)
    (error,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert "expected a torchvision that was built for this torch, got: operator torchvision::nms does not exist" in error
    assert not (tmp_path / "out").exists()


def test_the_library_needs_no_torchvision(tmp_path):
    """The embedded network, exported and verified where torchvision is not there; what libraries print meanwhile is not on stdout."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'torchvision'\", name='torchvision')\n"
    )
    environment = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = in_a_process("export", DIGITS, "-o", tmp_path / "out", "--json", check=0, **environment)
    (told,) = json.loads(done.stdout)
    assert told["report"]["ok"] is True
    refused = in_a_process("export", RESNET, "-o", tmp_path / "no", check=1, **environment)
    assert "expected torchvision, which is not installed here" in refused.stderr


def test_the_reference_of_a_file_does_not_fall_back(monkeypatch):
    """onnxruntime would print a box of asterisks on stdout, where --json promises one document, and try the same again."""
    given = []

    def session(*_, **options):
        given.append(options)
        raise RuntimeError("no such operator")

    monkeypatch.setattr(onnxruntime(), "InferenceSession", session)
    with pytest.raises(PreprocError, match="expected a model that ONNX Runtime can run, got: no such operator"):
        OnnxReference(b"", ["y"], image="x")
    assert [options["enable_fallback"] for options in given] == [0]
