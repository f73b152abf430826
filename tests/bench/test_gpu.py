"""`make gpu` tells what it found, whatever becomes of a group: on the CPU, with tiny sizes and with groups that go wrong."""

import json
import sys

import pytest

from preproc.verify import Power, Report, Result
from preproc.verify.power import Control
from tests.bench import device, figures, gpu, plot, plot_gpu, proofs
from tests.conftest import ROOT

FAKES = """
import os, signal, sys, time
sys.path.insert(0, ROOT)
from preproc.errors import VerificationError
from tests.bench import gpu

ROW = {"median": 1.0, "low": 0.9, "high": 1.1, "seconds": 0.001}

def right(device, quick):
    yield "tables", f"right on {device}, {quick}", {"peer": ROW}

def wrong(device, quick):
    yield "failures", "wrong: ort-cuda", "failed: error 1.0"
    yield "tables", "wrong, the rest", {"peer": ROW}

def refused(device, quick):
    raise VerificationError("expected this, got that")
    yield

def raises(device, quick):
    raise RuntimeError("a bug")
    yield

def dies(device, quick):
    yield "tables", "before it died", {"peer": ROW}
    print("an illegal memory access", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    yield

def hangs(device, quick):
    yield "tables", "before it hung", {"peer": ROW}
    time.sleep(600)

gpu.GROUPS = {name: gpu.Group(globals()[name], timed=name in ("hangs", "right")) for name in
              ("wrong", "refused", "raises", "dies", "hangs", "right")}
if __name__ == "__main__":
    sys.exit(gpu.main())
"""


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """Groups that go wrong in every way, here and in the processes of their own."""
    program = tmp_path / "fakes.py"
    program.write_text(FAKES.replace("ROOT", repr(str(ROOT))), encoding="utf-8")
    monkeypatch.setattr(gpu, "PROGRAM", [sys.executable, str(program)])
    names = {"wrong": False, "refused": False, "raises": False, "dies": False, "hangs": True, "right": True}
    monkeypatch.setattr(gpu, "GROUPS", {name: gpu.Group(lambda *_: iter(()), timed=timed) for name, timed in names.items()})
    return tmp_path / "out"


def test_what_goes_wrong_is_told_and_the_others_go_on(fakes, monkeypatch, capfd):
    monkeypatch.setattr(gpu, "FIGURES", 60.0)
    assert gpu.main(["--device", "cpu", "--out", str(fakes), "wrong", "refused", "raises", "dies", "right"]) == 1
    (file,) = fakes.iterdir()
    document = json.loads(file.read_text(encoding="utf-8"))
    assert (file.name, document["device"], document["complete"]) == ("gpu-cpu.json", "cpu", True)
    assert document["tables"].keys() == {"right on cpu, False", "wrong, the rest", "before it died"}
    assert document["failures"] == {"wrong: ort-cuda": "failed: error 1.0", "refused": "expected this, got that"}
    groups = document["groups"]
    assert {name: group["ok"] for name, group in groups.items()} == {
        "wrong": False,
        "refused": False,
        "raises": False,
        "dies": False,
        "right": True,
    }
    assert groups["dies"]["line"] == "died of SIGKILL; the last line: an illegal memory access"
    assert groups["raises"]["line"] == "RuntimeError: a bug"
    assert groups["raises"]["tail"][0].startswith("Traceback")
    printed = capfd.readouterr().out
    assert "[right] right on cpu, False" in printed
    assert printed.rstrip().endswith("1 of 5 groups are right")


def test_a_group_that_hangs_is_cut_off_and_the_run_is_not_complete(fakes, monkeypatch):
    written = []
    real = gpu.Document.write
    monkeypatch.setattr(gpu.Document, "write", lambda self: (real(self), written.append(json.loads(self.path.read_text()))))
    monkeypatch.setattr(gpu, "GRACE", 1.0)  # where nothing heeds SIGINT, as in the background of a shell, it is waited for
    monkeypatch.setattr(gpu, "FIGURES", 13.0)
    assert gpu.main(["--device", "cpu", "--out", str(fakes), "hangs", "right"]) == 1
    document = written[-1]
    assert not document["complete"]
    assert document["groups"]["hangs"]["line"].startswith("cut off after 1")
    assert "before it hung" in document["tables"]
    assert document["groups"]["right"]["line"].startswith("not run")
    assert any("before it hung" in early["tables"] and not early["groups"] for early in written)


def test_everything_right_is_exit_0(fakes):
    assert gpu.main(["--device", "cpu", "--out", str(fakes), "right"]) == 0


def test_a_real_group_on_the_cpu(tmp_path):
    entries = list(figures.alone_torch(device.Device("cpu", quick=True)))
    document = gpu.Document(tmp_path / "gpu.json", {})
    for entry in entries:
        document.add(*entry)
        assert list(gpu._lines(*entry))
    data = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert not data["failures"]
    assert f"{figures.NORMALIZATION}, torch" in data["tables"]
    assert f"{figures.LRN}, torch" in data["tables"]
    assert all(row["seconds"] > 0 for table in data["tables"].values() for row in table.values())
    (off,) = [value for title, value in data["figures"].items() if title.startswith("resize, bicubic") and title.endswith("off by")]
    assert off["ours, exact"] == {"levels": 0, "share": 0}
    assert off["torchvision on uint8 tensors"]["levels"] >= 1
    told = plot_gpu.tables(data | {"device": "a CPU", "commit": "1", "machine": "this", "versions": {}, "complete": False})
    assert "The run did not reach everything." in told
    for row in ("torchvision v2", "collapsed, eager", "torch.nn", "torch, 2 pictures of 96x128 to 25x34: ours, exact"):
        assert f"\n| {row} | " in told
    assert "bare" not in told


def test_lower_precisions_have_a_table_with_what_was_reached():
    title = "lower precision: resnet18, ort-cuda"
    row = {"median": 0.5, "low": 0.4, "high": 0.6, "seconds": 0.001}
    document = {
        "figures": {f"{title}: errors": {"preproc, float16": {"inside": 3e-4, "logits": 5e-3, "top-1": 1.0}}},
        "tables": {f"{title}: batch 8": {"preproc, float16": row}},
    }
    (told,) = plot_gpu._lower(document)
    assert told.splitlines()[0] == f"| {title} | first convolution | its border | logits | top-1 | batch 8, over float32 |"
    assert told.splitlines()[2] == "| preproc, float16 | 3.0e-04 |  | 5.0e-03 | 100.0% | 0.50 |"


@pytest.fixture
def committed():
    return json.loads((plot.RESULTS / "gpu-h200.json").read_text(encoding="utf-8"))


def test_the_sentence_is_what_the_tables_say(committed):
    batches = plot_gpu.end_to_end(committed)["resnet18", "ort", "fp32"]
    for table in batches.values():
        table["folded, uint8 on the host"]["median"], table["bare, torchvision on the host"]["median"] = 1.075, 3.25
    told = plot_gpu.tables(committed)
    assert "folded, takes 1.08 to 1.08 of the bare network's time, torchvision on the host 3.3 to 3.3 of it" in told
    del batches[8]["folded, uint8 on the host"]
    assert "takes 1.08" not in plot_gpu.tables(committed)


@pytest.mark.parametrize("section", ["tables", "bundles", "figures", "failures"])
def test_pictures_and_tables_of_a_run_that_was_cut_off(committed, section, tmp_path):
    committed[section] = {}
    assert plot_gpu.tables(committed)
    plot_gpu.draw(committed, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size


def test_a_row_that_cannot_run_is_told_and_the_others_are_timed():
    def broken():
        raise RuntimeError("no kernel\nfor that")

    entries = list(device.table("t", {"peer": lambda: lambda: None, "broken": broken}, device.Device("cpu", True), peer="peer", seconds=1))
    assert entries[0] == ("failures", "t: broken", "RuntimeError: no kernel")
    assert entries[1][2].keys() == {"peer"}


@pytest.mark.parametrize(
    ("verdict", "weights", "wrong"),
    [
        ("passed", "random", False),
        ("inconclusive", "random", False),
        ("inconclusive", "file", True),
        ("absent", "file", True),
        ("failed", "random", True),
    ],
)
def test_a_runtime_of_the_device_that_did_not_pass_is_a_failure(tmp_path, monkeypatch, verdict, weights, wrong):
    power = Power({"y": 1.0}, 1e-7, 1e-6, (Control("channels swapped", 1.0),), None)
    report = Report("m", "x", "yes", power, (Result("ort-cpu", "passed"), Result("ort-cuda", verdict, "because")))
    bundle = type("Bundle", (), {"report": report, "manifest": {"files": {"model.onnx": {"sha256": "abc"}, "golden/a": {"sha256": "d"}}}})
    recipe = proofs._random("resnet50")
    if weights != "random":
        recipe = proofs.replace(recipe, backbone={"weights": weights})
    monkeypatch.setattr(proofs, "export_bundle", lambda *_, **__: bundle)
    entries = list(proofs.parity("m", recipe, tmp_path, device.Device("cuda")))
    assert entries[0] == ("bundles", "m", {"sha256": {"model.onnx": "abc"}, "report": report.to_json()})
    assert [title for section, title, _ in entries[1:] if section == "failures"] == (["m: ort-cuda"] if wrong else [])


def test_a_bundle_that_is_refused_leaves_its_report(tmp_path, monkeypatch):
    power = Power({"y": 1.0}, 1e-7, 1e-6, (), None)
    error = proofs.VerificationError("expected every runtime to compute what the reference does, got that; nothing was published")
    error.report = Report("m", "x", "yes", power, (Result("ort-cuda", "failed", "because"),))

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(proofs, "export_bundle", refuse)
    entries = list(proofs.parity("m", proofs._random("resnet50"), tmp_path, device.Device("cuda")))
    assert [entry[:2] for entry in entries] == [("failures", "m"), ("bundles", "m"), ("failures", "m: ort-cuda")]


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("Tesla T4", "t4"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA GeForce RTX 4090", "geforce-rtx-4090"),
        ("cpu", "cpu"),
    ],
)
def test_a_device_gives_the_document_its_name(title, name):
    assert gpu.short(title) == name
