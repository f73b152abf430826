"""What libraries print reaches neither stdout nor, unless asked for, stderr."""

import contextlib
import os
import subprocess
import sys

import pytest

from preproc.host import terminal
from tests.conftest import ROOT

NOISY = """
import os, subprocess, sys, warnings, logging
from preproc import cli
from preproc.bundle import inspection
from preproc.errors import PreprocError

def describe(*_, **__):
    print("printed")
    print("printed on stderr", file=sys.stderr)
    warnings.warn("warned", UserWarning)
    logging.getLogger("library").warning("logged")
    os.write(1, b"written by C\\n")
    os.write(2, b"written by C on stderr\\n")
    subprocess.run([sys.executable, "-c", "print('a child')"], check=True)
    ENDING
    return {"file": "x"}

inspection.describe, inspection.lines = describe, lambda _: ["ours"]
cli.main()
"""
NOISES = ("printed", "warned", "logged", "written by C", "a child")


def noisy(*arguments, ending=""):
    command = [sys.executable, "-c", NOISY.replace("ENDING", ending), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "always::UserWarning"}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize(("option", "expected"), [("", "ours\n"), ("--json", '{\n  "file": "x"\n}\n')])
def test_libraries_are_not_heard(option, expected):
    done = noisy("inspect", "x", *filter(None, [option]))
    assert (done.stdout, done.stderr, done.returncode) == (expected, "", 0)


def test_libraries_are_heard_on_stderr_if_asked_for():
    done = noisy("--verbose", "inspect", "x", "--json")
    assert done.stdout == '{\n  "file": "x"\n}\n'
    assert all(noise in done.stderr for noise in NOISES)


def test_errors_are_ours_and_heard():
    done = noisy("inspect", "x", ending="raise PreprocError('expected a file, got none', name='nothing-there')")
    assert (done.stdout, done.stderr, done.returncode) == ("", "preproc: error: expected a file, got none [nothing-there]\n", 1)
    done = noisy("inspect", "x", ending="raise KeyError('a fault of ours')")
    assert "a fault of ours" in done.stderr  # with its traceback
    assert done.returncode == 1
    assert "Usage" in noisy("inspect", "--nothing").stderr
    assert "FILE_OR_BUNDLE" in noisy("inspect", "--help").stdout


def test_the_streams_are_put_back(capsys):
    before = sys.stdout, sys.stderr
    with terminal.quiet():
        print("a library")
        print("ours", file=terminal.stdout())
    with contextlib.suppress(KeyError), terminal.quiet():
        raise KeyError
    assert (sys.stdout, sys.stderr) == before
    assert (terminal.stdout(), terminal.stderr()) == before
    assert capsys.readouterr().out == "ours\n"


def test_every_command_is_quiet():
    from preproc.cli.app import app

    assert len(app.registered_commands) == 15
    assert all(hasattr(command.callback, "__wrapped__") for command in app.registered_commands)
