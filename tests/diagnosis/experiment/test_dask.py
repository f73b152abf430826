"""An experiment on a dask cluster finds what one process finds."""

import json
import os
import subprocess
import sys

from preproc.diagnosis.experiment import compare, timing
from tests.conftest import ROOT

FILE = ROOT / "export/digits/model.onnx"
ON_DASK = """
import json, sys
sys.modules["torch"] = None
import distributed
import preproc.diagnosis.models
from preproc.diagnosis.experiment import compare

with distributed.LocalCluster(
    n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=None
) as cluster:
    print(json.dumps(compare(*sys.argv[1:], engine="dask", scheduler=cluster.scheduler_address).to_json()))
"""


def untimed(told):
    """All of an experiment but its times, and what is said of them."""
    rows = [{key: value for key, value in row.items() if not key.startswith(("prepare_ms", "total_ms"))} for row in told["variants"]]
    return told | {"variants": rows, "notes": [note for note in told["notes"] if "time" not in note]}


def test_a_cluster_finds_the_same(tmp_path, monkeypatch):
    """In a process of its own, for distributed starts threads and event loops that do not end at once; its worker is one of these threads,
    which the work reaches over TCP. A file needs no torch there, nor does what is imported to diagnose a network."""
    (tmp_path / "some.csv").write_text("".join(f"{file},{file.stem}\n" for file in sorted((ROOT / "models/digits.images").glob("*.png"))))
    (tmp_path / "on_cluster.py").write_text(ON_DASK)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "on_cluster.py"), str(FILE), str(tmp_path / "some.csv")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    monkeypatch.setattr(timing, "MOST_PICTURES", 8)  # as there, for the mean of the bytes
    found, expected = json.loads(done.stdout), compare(FILE, tmp_path / "some.csv").to_json()
    assert found["images"] == 10
    assert untimed(found) == untimed(json.loads(json.dumps(expected)))
