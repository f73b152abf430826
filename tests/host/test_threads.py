"""As many threads as are asked for, in every library, and none that spins while it waits."""

import json
import os
import subprocess
import sys

import pytest

from preproc.host import threads
from preproc.verify.runtimes import OrtCpu
from tests.conftest import ROOT

TOLD = """
import json, os, sys
from preproc import cli, export
from preproc.errors import PreprocError

def verify_bundle(*_, **__):
    import torch
    from preproc.verify.runtimes import ort
    options = ort.options_of(ort.onnxruntime())
    spinning = options.get_session_config_entry("session.intra_op.allow_spinning")
    told = [torch.get_num_threads(), options.intra_op_num_threads, spinning, os.environ["OMP_WAIT_POLICY"]]
    raise PreprocError(json.dumps(told + [os.environ.get(name) for name in ort.threads.VARIABLES]))

export.verify_bundle = verify_bundle
sys.argv[0] = "preproc"
cli.main()
"""


def told(*arguments, **environment):
    clean = {key: value for key, value in os.environ.items() if key not in (*threads.VARIABLES, "OMP_WAIT_POLICY")}
    command = [sys.executable, "-c", TOLD, "verify", "bundle", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=clean | {"PYTHONPATH": str(ROOT)} | environment
    )
    assert done.returncode == 1, done.stderr
    return json.loads(done.stderr.strip().splitlines()[-1].partition("error: ")[2].rpartition(" [")[0])


def test_all_libraries_follow():
    assert told("--threads", "1") == [1, 1, "0", "PASSIVE", "1", "1", "1", "1"]
    assert told("--threads", "3")[1:] == [3, "0", "PASSIVE", "3", "3", "3", "3"]  # MKL has no more than there are cores


def test_the_users_own_environment_holds():
    assert told(OMP_NUM_THREADS="2,1", OMP_WAIT_POLICY="ACTIVE")[1:] == [2, "0", "ACTIVE", "2,1", None, None, None]


@pytest.mark.parametrize("command", ["export", "attach", "verify", "stats"])
def test_every_long_command_takes_the_option(command):
    from typer.testing import CliRunner

    from preproc.cli.app import app

    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"}).output
    assert "--threads" in shown
    assert CliRunner().invoke(app, [command, "--threads", "none", "x"]).exit_code == 2


def test_torch_that_is_imported_already_follows():
    import torch

    before, environment = torch.get_num_threads(), dict(os.environ)
    try:
        threads.use(before + 1)
        assert torch.get_num_threads() == before + 1
        assert threads.asked() == before + 1
    finally:
        threads.use(before)
        for name in threads.VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(environment)


@pytest.mark.skipif("PYTEST_XDIST_WORKER_COUNT" not in os.environ, reason="there is one worker, which has all cores")
def test_the_workers_of_the_tests_share_the_cores():
    import torch

    assert torch.get_num_threads() == threads.asked()
    assert os.environ["OMP_WAIT_POLICY"]


@pytest.mark.parametrize(("value", "count"), [(None, 0), ("", 0), ("4", 4), (" 8 , 2", 8), ("many", 0)])
def test_onnxruntimes_threads(monkeypatch, value, count, exported):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if value is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads.asked() == count
    runtime = OrtCpu()
    runtime.open(exported.folder / "model.onnx")
    assert runtime.session.get_session_options().intra_op_num_threads == count
