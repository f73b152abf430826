"""preproc doctor: true, in order for a bug report, and without the user's paths."""

import json
import sys
import time
from pathlib import Path

import pytest

from preproc import cli
from preproc.cli import doctor
from preproc.errors import PreprocError, RuntimeAbsentError
from preproc.sources import published
from preproc.verify.runtimes import RUNTIMES
from tests.commands import ROOT, in_a_process


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

    monkeypatch.setattr(published, "check_torchvision", other)
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
    monkeypatch.setattr(doctor, "_executorch", absent)
    monkeypatch.setattr(doctor, "_gpu", dict)
    assert doctor.examine()["works"] is False


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (
            {
                "onnxruntime": "RuntimeError('no such instruction')",
                "torch": "OSError('libcudart.so.13: cannot open shared object file')",
                "openvino": "OSError('libtbb.so.12: cannot open shared object file')",
            },
            ["ort-cpu            expected a whole onnxruntime, got: no such instruction: ", "torch-cpu          OSError: libcudart"],
        ),
        (
            {"onnx_ir": "ImportError('cannot import name x')", "torch": "ImportError('slow')"},
            ["problem: onnx-ir ", "cannot be imported: ImportError: cannot import name x"],
        ),
        ({"numpy": "ModuleNotFoundError('No module named numpy')"}, ["problem: numpy ", "No module named numpy", "caches:"]),
    ],
    ids=["every runtime", "onnx_ir", "numpy"],
)
def test_broken_installations_are_told_and_nothing_runs(broken, told, tmp_path):
    for name, error in broken.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise {error}\n")
    done = in_a_process("doctor", cwd=tmp_path, check=1, PYTHONPATH=f"{tmp_path}:{ROOT}", PYTHONDONTWRITEBYTECODE="1")
    assert done.stdout.endswith("nothing runs here: install what is missing or broken above\n")
    assert done.stderr == ""
    for text in told:
        assert any(text in line for line in done.stdout.splitlines()), (text, done.stdout)


def test_a_section_that_fails_leaves_the_others(monkeypatch):
    def broken(*_):
        raise OSError("no such thing")

    for name in ("_runtimes", "_onnxruntime", "_gpu", "_threads", "_folders", "_cpu"):
        monkeypatch.setattr(doctor, name, broken)
    monkeypatch.setattr(doctor.metadata, "version", broken)
    found = doctor.examine()
    for section in ("system", "runtimes", "onnxruntime", "gpu", "threads", "caches"):
        assert found[section] == {"error": "OSError: no such thing"}
    assert set(found["packages"].values()) == {"OSError: no such thing"}
    assert found["works"] is False
    assert "nothing runs here" in doctor.lines(found)[-1]


def test_where_a_needed_package_cannot_be_imported_nothing_works(monkeypatch, tmp_path):
    (tmp_path / "broken_numpy.py").write_text("raise OSError('libblas.so: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(doctor, "_runtimes", lambda: {"torch-cpu": "runs"})
    monkeypatch.setattr(doctor, "_problems", lambda _: [])
    assert doctor.examine()["works"] is True
    monkeypatch.setitem(doctor.NEEDED, "numpy", "broken_numpy")
    found = doctor.examine()
    assert found["works"] is False
    (told,) = found["problems"]
    assert told.startswith("numpy ")
    assert told.endswith("cannot be imported: OSError: libblas.so: cannot open shared object file; install it anew")


def test_drivers_that_fail_or_hang_or_are_not_there_are_one_line(monkeypatch, tmp_path):
    def program(script):
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
        return doctor._gpu()

    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    failed = "NVIDIA-SMI has failed because it could not communicate with the driver."
    assert program(f"echo '{failed}'; exit 9") == {"device 0": failed}
    monkeypatch.setattr(doctor, "PATIENCE", 0.2)
    start = time.monotonic()
    assert program("exec sleep 60") == {"driver": "nvidia-smi has not answered within 0.2 s"}
    assert time.monotonic() - start < 30
    monkeypatch.setenv("PATH", str(Path(tmp_path) / "nothing"))
    assert doctor._gpu() == {"driver": "no nvidia-smi here"}
