"""The runtime executorch-cpu: a wrong program fails, a damaged one ends its own process at most, and one that is not there is absent."""

import dataclasses
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from preproc.errors import BundleError, RuntimeAbsentError, VerificationError
from preproc.export import verify_bundle
from preproc.verify import judge
from preproc.verify.runtimes import RUNTIMES, elsewhere, made
from preproc.verify.runtimes.elsewhere import Elsewhere
from preproc.verify.runtimes.executorch import ExecutorchCpu
from tests.in_executorch import needed, once, program


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return once(tmp_path_factory)


def test_it_runs_in_a_process_of_its_own_and_is_let_go(bundle):
    runtime = made(RUNTIMES["executorch-cpu"], None, ["logits"])
    assert isinstance(runtime, Elsewhere)
    assert runtime.kind is ExecutorchCpu
    result = judge(runtime, bundle.folder / "model.pte", bundle.golden(), bundle.report.power)
    assert result.verdict == "passed"
    assert 0 < result.error < bundle.report.power.tolerance
    assert re.fullmatch(
        r"executorch [\d.]+ on the CPU, \d+ of its parts in XnnpackBackend, \d+ operators in its own kernels, in a process of its own",
        result.ran,
    )
    assert runtime.process is None
    assert "executorch-cpu" in [told.runtime for told in bundle.report.results]


def test_a_wrong_weight_fails(bundle, tmp_path):
    """Inside of what XNNPACK was given."""
    data = (bundle.folder / "model.pte").read_bytes()
    weights = np.frombuffer(data[len(data) % 4 :], np.float32)
    small = np.flatnonzero((np.abs(weights) > 0.01) & (np.abs(weights) < 1))
    changed = weights.copy()
    changed[small[::50]] += 0.5
    (tmp_path / "model.pte").write_bytes(data[: len(data) % 4] + changed.tobytes())
    result = judge(ExecutorchCpu(["logits"]), tmp_path / "model.pte", bundle.golden(), bundle.report.power)
    assert result.verdict == "failed"
    assert result.reason.startswith("error ")


def test_what_is_no_program_fails_in_one_line(bundle, tmp_path):
    for data, told in (
        (b"no model", "expected a program of ExecuTorch"),
        ((bundle.folder / "model.pte").read_bytes()[:500_000], "got a damaged one: it is cut off, for it has 500,000 bytes"),
        (program().replace(b"forward", b"forwards"[1:]), "expected a program with the method forward, got none"),
    ):
        (tmp_path / "model.pte").write_bytes(data)
        result = judge(ExecutorchCpu(["logits"]), tmp_path / "model.pte", bundle.golden(), bundle.report.power)
        assert (result.verdict, told in result.reason) == ("failed", True), result.reason
        assert "\n" not in result.reason


def test_one_that_computes_nothing_is_no_proof(bundle):
    runtime = ExecutorchCpu(["logits"])
    runtime.open(bundle.folder / "model.pte")
    runtime.told = dataclasses.replace(runtime.told, backends=(), kernels=0)
    with pytest.raises(VerificationError, match="got one without a step"):
        runtime.proof()
    runtime.close()
    assert "method" not in vars(runtime)


def test_a_program_that_ends_the_process_fails(bundle, monkeypatch):
    monkeypatch.setattr(
        elsewhere,
        "PROGRAM",
        "import os, signal; from preproc.verify.runtimes import RUNTIMES, elsewhere\n"
        "RUNTIMES['executorch-cpu'].open = lambda *_: os.kill(os.getpid(), signal.SIGSEGV)\nelsewhere.main()",
    )
    result = judge(made(ExecutorchCpu, None, ["logits"]), bundle.folder / "model.pte", bundle.golden(), bundle.report.power)
    assert (result.verdict, result.reason) == ("failed", "the process that ran it was ended by SIGSEGV")


def test_for_another_backend_it_is_absent(bundle, monkeypatch):
    registry = SimpleNamespace(registered_backend_names=["OtherBackend"])
    monkeypatch.setattr("preproc.verify.runtimes.executorch.executorch_runtime", lambda: SimpleNamespace(backend_registry=registry))
    with pytest.raises(RuntimeAbsentError, match=r"built without XnnpackBackend, which model\.pte is for"):
        ExecutorchCpu().open(bundle.folder / "model.pte")


def test_without_executorch_it_is_absent(tmp_path, monkeypatch):
    for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] == "executorch"]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, "executorch", None)
    (tmp_path / "model.pte").write_bytes(program())
    with pytest.raises(RuntimeAbsentError, match=r"executorch is not installed; pip install executorch") as caught:
        ExecutorchCpu().open(tmp_path / "model.pte")
    assert caught.value.name == "not-installed"


def test_one_for_another_torch_is_absent(tmp_path, monkeypatch):
    """As 1.5 is beside torch 2.10: what it is given it takes for no tensor, and would say so of any file."""
    needed()
    from executorch.runtime import Method

    (tmp_path / "model.pte").write_bytes(program())
    monkeypatch.setattr(Method, "execute", lambda *_: torch.ones(1))
    with pytest.raises(RuntimeAbsentError, match=r"does not go with this torch: 1 \+ 1 is 1 there"):
        ExecutorchCpu().open(tmp_path / "model.pte")

    def alien(*_):
        raise RuntimeError("tensor does not have a device")

    monkeypatch.setattr(Method, "execute", alien)
    with pytest.raises(
        RuntimeAbsentError, match=r"does not go with this torch: 1 \+ 1 is no number there \(tensor does not have a device\)"
    ) as caught:
        ExecutorchCpu().open(tmp_path / "model.pte")
    assert caught.value.name == "not-installed"


def test_asked_for_by_name_of_a_bundle_without_it(exported):
    with pytest.raises(BundleError, match=r"expected model\.pte for executorch-cpu, got a bundle without it"):
        verify_bundle(exported.folder, runtimes=["executorch-cpu"])
