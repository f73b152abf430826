"""Commands as a user types them, in a process of their own, or in this one, which has imported torch already."""

import contextlib
import io
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

from preproc import cli

ROOT = Path(__file__).parent.parent


@dataclass
class Done:
    """What a command ended with."""

    returncode: int
    stdout: str
    stderr: str


def in_a_process(*arguments, cwd=ROOT, check=None, **environment):
    """`python -m preproc`: for what a process alone shows, such as imports, file descriptors and exit codes."""
    done = subprocess.run(
        [sys.executable, "-m", "preproc", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert check is None or done.returncode == check, (done.stdout, done.stderr)
    return done


def run(*arguments, cwd=ROOT, check=None):
    """The same console script in this process, without the ten seconds that the first export of a process takes. An error that is none of
    ours is raised."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as for a user, to whom libraries' are not told
        patch.setattr(sys, "argv", ["preproc", *map(str, arguments)])
        patch.setenv("COLUMNS", "120")
        patch.chdir(cwd)
        with pytest.raises(SystemExit) as ended:
            cli.main()
    done = Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())
    assert check is None or done.returncode == check, (done.stdout, done.stderr)
    return done
