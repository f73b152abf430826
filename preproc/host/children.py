"""Processes of our own that answer on their stdout: how one is ended."""

import contextlib
import subprocess


def end(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    """At once, if it lives; its pipes are closed, whatever is left in them."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(BrokenPipeError):
            assert pipe is not None
            pipe.close()
