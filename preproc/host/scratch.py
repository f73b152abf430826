"""Folders that are written aside and then renamed into place: what they are called, whether somebody still writes in one, and what is swept
away."""

import contextlib
import glob
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

HOUR = 3600
_ACTIVE: set[str] = set()
"""The tokens of what this process is writing."""


@contextlib.contextmanager
def token() -> Iterator[str]:
    """<host>-<process>-<random>, the end of a folder's name: while the body runs, sweep() leaves that folder alone."""
    made = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    _ACTIVE.add(made)
    try:
        yield made
    finally:
        _ACTIVE.discard(made)


def sweep(place: Path, prefix: str) -> None:
    """Removes the folders in `place` whose names are the prefix and a token, and whose makers are gone."""
    for left in place.glob(f"{glob.escape(prefix)}*"):
        if not _alive(left, left.name.removeprefix(prefix)):
            shutil.rmtree(left, ignore_errors=True)


def _alive(left: Path, made: str) -> bool:
    """Whether somebody still writes there: told for this machine by the process, for others, who may share the disk, by the age."""
    if made in _ACTIVE:
        return True
    *host, pid, _ = f"-{made}".rsplit("-", 2)
    if not pid.isdecimal() or host not in ([""], [f"-{socket.gethostname()}"]):
        with contextlib.suppress(OSError):
            return time.time() - left.stat().st_mtime < HOUR
        return True
    if int(pid) == os.getpid() or os.name != "posix":  # elsewhere os.kill(pid, 0) is no question
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
