"""preproc doctor: true, in order for a bug report, and without the user's paths."""

import json
import sys
from pathlib import Path

import pytest

from preproc import cli, doctor
from preproc.errors import PreprocError, RuntimeAbsentError
from preproc.runtimes import RUNTIMES


@pytest.fixture(scope="module")
def found():
    return doctor.examine()


def test_what_runs_here_and_why_the_rest_does_not(found):
    import torch

    assert set(found["runtimes"]) == set(RUNTIMES)
    assert found["runtimes"]["ort-cpu"] == found["runtimes"]["torch-cpu"] == "runs"
    if not torch.cuda.is_available():
        assert found["runtimes"]["torch-cuda"].startswith("no CUDA device: torch.cuda.is_available() is False, torch is for")
        assert "CUDA provider" in found["runtimes"]["ort-cuda"]
    assert found["works"] is True
    assert found["packages"]["torch"] == torch.__version__.partition("+")[0] or found["packages"]["torch"] == torch.__version__


def test_the_text_has_all_of_it_and_json_too(found):
    text = "\n".join(doctor.lines(found))
    for word in (
        "preproc ",
        "python ",
        "os ",
        "cpu ",
        "packages:",
        "runtimes:",
        "onnxruntime:",
        "gpu:",
        "threads:",
        "caches:",
        "  ort-cpu ",
    ):
        assert word in text
    assert json.loads(json.dumps(found)) == found


def test_no_path_of_the_users(monkeypatch, tmp_path):
    home = tmp_path / "alice"
    (home / ".cache" / "torch" / "hub" / "checkpoints").mkdir(parents=True)
    (home / ".cache" / "torch" / "hub" / "checkpoints" / "w.pth").write_bytes(b"x" * 2_000_000)
    elsewhere = tmp_path / "disk" / "alices"
    elsewhere.mkdir(parents=True)
    for name in ("TORCH_HOME", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HF_HUB_CACHE", str(elsewhere))
    shown = {name: doctor._cache(folder) for name, folder in doctor._folders().items()}
    assert shown == {"torch": "~/.cache/torch/hub/checkpoints: 1 files, 2 MB", "huggingface": ".../alices: 0 files, 0 MB"}
    assert doctor._without_home(f"no file {home}/x/y.so") == "no file ~/x/y.so"


def test_a_broken_runtime_is_told_and_not_raised(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("line one\nline two")

    monkeypatch.setattr(RUNTIMES["ort-cpu"], "open", broken)
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setitem(sys.modules, "torch", None)
    answers = doctor._runtimes()
    assert answers["ort-cpu"] == "RuntimeError: line one"
    assert answers["openvino-cpu"].startswith("openvino is not installed")
    assert answers["torch-cpu"] == "torch is not installed"


def test_both_wheels_and_a_torchvision_for_another_torch_are_problems(found, monkeypatch):
    def other():
        raise PreprocError("expected a torchvision that was built for this torch, got: no")

    monkeypatch.setattr(doctor, "check_torchvision", other)
    told = list(doctor._problems(found["packages"] | {"onnxruntime": "1", "onnxruntime-gpu": "2", "torch": "1", "torchvision": "1"}))
    assert told[0].startswith("both onnxruntime and onnxruntime-gpu are installed, in one folder")
    assert told[1].startswith("expected a torchvision that was built for this torch")
    assert "problem: both" in "\n".join(doctor.lines(found | {"problems": told}))


@pytest.mark.parametrize("works", [True, False])
def test_the_exit_code(found, works, monkeypatch, capfd):
    monkeypatch.setattr(doctor, "examine", lambda: found | {"works": works})
    for json_too in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", ["preproc", "doctor", *json_too])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == (0 if works else 1)
        out = capfd.readouterr().out
        assert json.loads(out)["works"] is works if json_too else ("nothing runs here" in out) is not works


def test_nothing_that_runs_is_not_working(monkeypatch):
    def absent(*_):
        raise RuntimeAbsentError("not here")

    monkeypatch.setattr(doctor, "_try", absent)
    monkeypatch.setattr(doctor, "_torch", absent)
    monkeypatch.setattr(doctor, "_gpu", dict)
    assert doctor.examine()["works"] is False


def test_drivers_that_hang_or_fail_are_one_line(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed because it could not communicate with the driver.'\nexit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert doctor._gpu() == {"device 0": "NVIDIA-SMI has failed because it could not communicate with the driver."}
    monkeypatch.setenv("PATH", str(Path(tmp_path) / "nothing"))
    assert doctor._gpu() == {"driver": "no nvidia-smi here"}
