"""A CUDA device that is busy, full or dead is told in one line, and what it takes down with it is judged in another process."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from preproc.errors import BundleError, PreprocError, RuntimeAbsentError, VerificationError
from preproc.export import answering, verify_bundle, verifying
from preproc.verify import judge
from preproc.verify.runtimes import InTurn, OrtCpu, Runtime, devices, elsewhere
from preproc.verify.runtimes.elsewhere import Elsewhere
from preproc.verify.runtimes.pytorch import TorchScriptCpu
from preproc.verify.runtimes.watched import Gone, Watched
from tests.conftest import ROOT

ILLEGAL = (
    "CUDA error: an illegal memory access was encountered\nSearch for `cudaErrorIllegalAddress' in the documentation\n"
    "CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.\n"
)
FULL = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 5.06 GiB is free. "
    "Process 4711 has 70.00 GiB memory in use. If reserved but unallocated memory is large try setting PYTORCH_ALLOC_CONF"
)
SCRIPTED = (
    "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript, serialized code (most recent call last):\n"
    f'  File "code/m.py", line 3\nRuntimeError: {ILLEGAL}Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n'
)
ORT_FULL = (
    "Non-zero status code returned while running Conv node. Name:'c' Status Message: /onnxruntime_src/onnxruntime/core/framework/"
    "bfc_arena.cc:359 Failed to allocate memory for requested buffer of size 4294967296\n"
)
ORT_DEAD = "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=me ; file=a.cc ; line=5 ; expr=cudaFree(p); "
ORT_BUSY = "CUDA failure 46: all CUDA-capable devices are busy or unavailable ; GPU=0 ; hostname=me ; file=a.cc"


@pytest.mark.parametrize(
    ("text", "kind", "line"),
    [
        (ILLEGAL, VerificationError, "the CUDA context died: an illegal memory access was encountered"),
        (SCRIPTED, VerificationError, "the CUDA context died: an illegal memory access was encountered"),
        (ORT_DEAD, VerificationError, "the CUDA context died: an illegal memory access was encountered"),
        ("CUDA error: device-side assert triggered\nmore", VerificationError, "died: device-side assert triggered"),
        (
            FULL,
            RuntimeAbsentError,
            "out of memory (CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.10 GiB",
        ),
        (ORT_FULL, RuntimeAbsentError, "the CUDA device is out of memory ("),
        ("CUDA error: out of memory\nSearch for", RuntimeAbsentError, "the CUDA device is out of memory (out of memory); free it, or"),
        ("CUDA error: CUDA-capable device(s) is/are busy or unavailable\nmore", RuntimeAbsentError, "the CUDA device is busy"),
        (ORT_BUSY, RuntimeAbsentError, "(all CUDA-capable devices are busy or unavailable); free it, or choose another one"),
    ],
)
def test_what_is_wrong_with_a_device_is_one_line(text, kind, line):
    wrapped = BundleError("m.pt: expected a TorchScript file")
    wrapped.__cause__ = RuntimeError(text)
    for error in (RuntimeError(text), wrapped):
        known = devices.explain(error)
        assert type(known) is kind
        assert line in str(known)
        assert len(str(known).splitlines()) == 1
        assert len(str(known)) < 400
        assert "hostname" not in str(known)


@pytest.mark.parametrize("error", [ValueError("shape mismatch"), BundleError("m.onnx: expected a file"), ZeroDivisionError()])
def test_other_errors_are_not_the_devices(error):
    assert devices.explain(error) is None


def test_the_device_is_asked_only_where_torch_is_loaded(monkeypatch):
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    assert devices.failure() is None

    def dead():
        raise RuntimeError(ILLEGAL)

    monkeypatch.setattr(torch.cuda, "synchronize", dead)
    assert devices.failure() == "CUDA error: an illegal memory access was encountered"
    code = "import sys; from preproc.verify.runtimes import devices; assert devices.failure() is None; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


class Fake(Runtime):
    """Raises what it is told to, at open() or at run()."""

    file = "model.onnx"

    def __init__(self, name, *, opening=None, running=None):
        self.name, self.opening, self.running = name, opening, running

    def open(self, path):  # noqa: ARG002
        if self.opening:
            raise self.opening

    def run(self, pixels, others=None):  # noqa: ARG002
        raise self.running

    def proof(self):
        return "a fake"


@pytest.mark.parametrize(
    ("runtime", "verdict", "reason"),
    [
        (Fake("ort-cuda", opening=RuntimeError(ORT_BUSY)), "absent", "the CUDA device is busy"),
        (Fake("torch-cuda", opening=RuntimeError(FULL)), "absent", "out of memory"),
        (Fake("pt2-cuda", opening=RuntimeError("a view\nof two lines")), "failed", "can open, got: RuntimeError: a view"),
        (Fake("pt2-cuda", opening=BundleError("broken")), "failed", "broken"),
        (Fake("ort-cuda", running=RuntimeError(ILLEGAL)), "failed", "on noise: the CUDA context died: an illegal memory access"),
        (Fake("ort-cuda", running=ValueError("other")), "failed", "on noise: ValueError: other"),
    ],
)
def test_a_watched_runtime_is_absent_or_failed_in_one_line(exported, runtime, verdict, reason):
    cases = [case for case in exported.golden() if case.name == "noise"]
    result = judge(Watched(runtime), exported.folder, cases, exported.report.power)
    assert result.verdict == verdict
    assert reason in result.reason
    assert "\n" not in result.reason


def test_a_full_device_while_a_file_runs_is_told(exported):
    result = judge(Watched(Fake("ort-cuda", running=RuntimeError(ORT_FULL))), exported.folder, exported.golden(), exported.report.power)
    assert result.verdict == "absent"
    assert "the CUDA device is out of memory" in result.reason


@pytest.mark.parametrize("kind", [OrtCpu, TorchScriptCpu], ids=lambda kind: kind.name)
def test_a_process_of_its_own_gives_the_same_verdict_and_numbers(exported, kind):
    def made():
        return OrtCpu() if kind is OrtCpu else kind(outputs=["logits"])

    path, cases, power = exported.folder / kind.file, exported.golden(), exported.report.power
    here = judge(made(), path, cases, power)
    with Elsewhere(made(), "in a process of its own") as other:
        there = judge(other, path, cases, power)  # which closes it
        assert other.process.poll() is not None
        other.open(path)
        pixels = cases[0].pixels
        runtime = made()
        for again in (other, runtime):
            again.open(path)
        np.testing.assert_array_equal(other.run(pixels)["logits"], runtime.run(pixels)["logits"])
        folder, process = other.folder, other.process
    assert here.verdict == "passed"
    assert vars(there) == vars(here) | {"ran": f"{here.ran}, in a process of its own"}
    assert not folder.exists()
    assert process.poll() is not None


def test_errors_of_the_other_process_are_those_of_this_one(exported, tmp_path):
    (tmp_path / "garbage.onnx").write_bytes(b"no model")
    with Elsewhere(OrtCpu(), "there") as other:
        with pytest.raises(BundleError, match=r"garbage\.onnx: expected a file that ONNX Runtime can run"):
            other.open(tmp_path / "garbage.onnx")
        other.open(exported.folder / "model.onnx")
        with pytest.raises(PreprocError, match=r"^InvalidArgument: Got invalid dimensions for input: pixels"):
            other.run(np.zeros((1, 5, 5, 3), np.uint8))
        assert other.run(np.zeros((1, 32, 32, 3), np.uint8))["logits"].shape == (1, 10)


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("import os; os._exit(3)", "the process that ran it ended with status 3"),
        ("import sys; sys.exit('no such device')", "the process that ran it ended with status 1: no such device"),
        (
            "import os, signal; from preproc.verify.runtimes import OrtCpu, elsewhere\n"
            "OrtCpu.run = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\nelsewhere.main()",
            "on image-0: the process that ran it was ended by SIGKILL",
        ),
    ],
)
def test_a_process_that_dies_fails_in_one_line(exported, monkeypatch, program, line):
    monkeypatch.setattr(elsewhere, "PROGRAM", program)
    with Elsewhere(OrtCpu(), "there") as other:
        result = judge(other, exported.folder / "model.onnx", exported.golden(), exported.report.power)
    assert (result.verdict, result.reason) == ("failed", line)


class Killer(TorchScriptCpu):
    """Its file of pixels kills the context, which `failure` then tells; the bare network's, which takes floats, does not."""

    name = "torchscript-cuda"
    died = False

    def run(self, pixels, others=None):
        if pixels.dtype != np.uint8:
            return super().run(pixels, others)
        Killer.died = True
        raise RuntimeError(ILLEGAL)


PRETENDING = """
from preproc.verify.runtimes import OrtCpu, elsewhere, kinds
from preproc.verify.runtimes.pytorch import TorchScriptCpu
kinds.RUNTIMES = {"ort-cuda": OrtCpu, "torchscript-cuda": TorchScriptCpu}
elsewhere.main()
"""
"""The other process, on a machine whose CUDA runtimes are the CPU's."""


def test_a_context_that_died_takes_no_other_runtime_with_it(exported, monkeypatch):
    """The file of one runtime kills the context; those behind it pass in processes of their own, and modules in Python are absent."""
    names = ["torch-cpu", "torchscript-cuda", "torch-cuda", "ort-cpu", "ort-cuda"]
    monkeypatch.setattr(Killer, "died", False)
    for module in (answering, verifying):
        monkeypatch.setattr(module, "RUNTIMES", module.RUNTIMES | {"torchscript-cuda": Killer})
    monkeypatch.setattr(devices, "failure", lambda: ILLEGAL if Killer.died else None)
    monkeypatch.setattr(elsewhere, "PROGRAM", PRETENDING)
    report = verify_bundle(exported.folder, runtimes=names, recipe=ROOT / "models" / "digits.toml")
    assert [result.runtime for result in report.results] == names
    torch_cpu, killer, torch_cuda, ort_cpu, ort_cuda = report.results
    assert (torch_cpu.verdict, ort_cpu.verdict, ort_cuda.verdict) == ("passed",) * 3
    assert (killer.verdict, "illegal memory access" in killer.reason) == ("failed", True)
    assert (torch_cuda.verdict, torch_cuda.reason) == ("absent", "the CUDA context of this process died in torchscript-cuda")
    assert ort_cuda.error == ort_cpu.error
    assert ort_cuda.ran.endswith("in a process of its own, for the CUDA context of this process died in torchscript-cuda")
    assert not report.ok


def test_a_context_that_was_dead_before_is_not_used(monkeypatch):
    monkeypatch.setattr(devices, "failure", lambda: ILLEGAL)
    first, second, third = InTurn([Fake("ort-cpu"), Gone("torch-cuda", ""), Fake("ort-cuda")])
    assert isinstance(first, Fake)
    assert isinstance(second, Gone)
    assert second.reason == "the CUDA context of this process died in what ran before"
    assert isinstance(third, Elsewhere)


def test_where_nothing_died_nothing_starts(monkeypatch):
    started = []
    monkeypatch.setattr(devices, "failure", lambda: "no CUDA GPUs are available")
    monkeypatch.setattr(elsewhere.subprocess, "Popen", lambda *rest, **_: started.append(rest))
    runtimes = InTurn([OrtCpu(), Fake("torch-cuda"), Fake("ort-cuda")])
    for _ in range(2):
        first, *others = runtimes
        assert isinstance(first, OrtCpu)
        assert all(isinstance(other, Watched) for other in others)
    assert not started
