"""The archives that torch writes, written again: in memory, where its own writer of files would end the process on a full disk."""

import io
import os
import subprocess
import sys

import pytest
import torch

from preproc.export.formats.archives import repack
from tests.conftest import ROOT

ARCHIVE = """
import io, torch
from pathlib import Path
from preproc.export.formats.archives import repack
content = io.BytesIO()
torch.save({"a": torch.zeros(10_000)}, content)
def write(): repack(content, Path("out"), lambda _: True)
"""
TORCHSCRIPT = """
import torch
from pathlib import Path
from preproc.export.formats import export_torchscript
from preproc.layers import FromPixels, Pipeline, Rescale, prepend
model = prepend(Pipeline(FromPixels(layout="NHWC"), Rescale()), torch.nn.Conv2d(3, 64, 7)).eval()
def write(): export_torchscript(model, torch.zeros(2, 9, 9, 3, dtype=torch.uint8), Path("out"), tf32=False, extra={})
"""
LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try: write()
except OSError as error: print(error.strerror)
"""


def test_an_archive_is_copied_with_what_is_added(tmp_path):
    content = io.BytesIO()
    torch.save({"a": torch.zeros(10)}, content)
    repack(content, tmp_path / "m", lambda name: name != ".format_version", {"told": b"text"})
    reader = torch._C.PyTorchFileReader(str(tmp_path / "m"))
    assert reader.get_record("told") == b"text"
    assert {"told", "data.pkl", "data/0"} <= set(reader.get_all_records())
    assert ".format_version" not in reader.get_all_records()


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are POSIX's")
@pytest.mark.parametrize("code", [ARCHIVE, TORCHSCRIPT], ids=["archive", "torchscript"])
def test_a_full_disk_is_an_error_and_no_end_of_the_process(tmp_path, code):
    """And nothing is written to other places on the way, which may be as full."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(temporary)}
    done = subprocess.run(
        [sys.executable, "-c", code + LIMITED], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "File too large\n"), done.stderr
    assert not list(temporary.iterdir())
