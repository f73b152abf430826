"""The archives that torch writes, written again."""

import os
import subprocess
import sys

import pytest
import torch

from preproc.export.formats.archives import repack
from tests.conftest import ROOT


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are POSIX's")
def test_a_full_disk_is_an_error_and_no_end_of_the_process(tmp_path):
    torch.save({"a": torch.zeros(10_000)}, tmp_path / "a.pt")
    repack(tmp_path / "a.pt", tmp_path / "b.pt", lambda _: True, {"told": b"text"})
    assert torch.load(tmp_path / "b.pt", weights_only=True)["a"].shape == (10_000,)
    code = (
        "import resource, sys; from pathlib import Path; from preproc.export.formats.archives import repack\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: repack(Path('a.pt'), Path('c.pt'), lambda _: True)\n"
        "except OSError as error: print(error.strerror)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "File too large\n"), done.stderr
