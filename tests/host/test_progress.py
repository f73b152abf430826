"""Long work tells its stages, and how long the rest takes."""

import onnx
import pytest

from preproc.errors import PreprocError
from preproc.export import verify_bundle
from preproc.host import Stage, paced, progress
from tests.onnx_files import hand_made, put


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


def test_how_far_and_how_long(clock):
    told, done = [], []
    for item in paced(range(10), "counting", told.append):
        done.append(item)
        clock.now += 2
    assert done == list(range(10))
    assert told == ["counting: 3 of 10, about 14 s left", "counting: 6 of 10, about 8 s left", "counting: 9 of 10, about 2 s left"]


def test_what_is_short_says_nothing(clock):
    told = []
    for _ in paced(range(40), "counting", told.append):
        clock.now += 0.1
    assert told == []


def test_bytes_are_told_in_gigabytes(clock):
    told = []
    stage = Stage("reading m.onnx", 2_000_000_000, told.append, in_bytes=True)
    for done in (500_000_000, 1_000_000_000):
        clock.now += 4
        stage.at(done)
    assert told == ["reading m.onnx: 1.0 of 2.0 GB, about 8 s left"]


def test_attach_tells_how_far_a_large_file_is_read_hashed_and_written(monkeypatch, tmp_path):
    """Weights inside, and beside the file."""
    monkeypatch.setattr(progress, "EVERY", 0.0)
    file = hand_made(tmp_path)
    (tmp_path / "beside").mkdir()
    onnx.save(onnx.load(file), tmp_path / "beside" / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    for given, written in ((file, "model.onnx"), (tmp_path / "beside" / "m.onnx", "model.onnx.data")):
        told = []
        assert put(given, tmp_path / written.replace(".", "-"), progress=told.append).report.ok
        assert told[0] == "reading m.onnx"
        for stage in ("reading m.onnx", "hashing m.onnx", f"writing {written}", f"hashing {written}", "computing the float64 reference"):
            assert any(line.startswith(f"{stage}: ") and line.endswith(" s left") for line in told), (stage, told)


def test_verify_tells_its_stages(bundle):
    told = []
    assert verify_bundle(bundle, runtimes=["ort-cpu"], progress=told.append).ok
    assert told == ["checking the files", "verifying ort-cpu on the golden samples"]


def test_verify_with_the_network_tells_its_stages_and_each_long_one(exported, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    told = []
    assert verify_bundle(exported.folder, runtimes=["ort-cpu", "torch-cpu"], progress=told.append).ok
    stages = [line for line in told if " of " not in line]
    assert stages == [
        "checking the files",
        "looking for the original backbone",
        "computing the float64 reference",
        "making the known mistakes on the reference",
        "verifying ort-cpu, torch-cpu",
        "looking for the smallest mistake that shows",
    ]
    for stage in (
        "computing the float64 reference: 1 of ",
        "verifying ort-cpu: 5 of ",
        "making the known mistakes on the reference: 2 of ",
    ):
        assert any(line.startswith(stage) and line.endswith(" s left") for line in told)


def test_a_file_that_the_manifest_does_not_know_is_told(bundle):
    (bundle / "model.onnx.bak").write_text("x")
    told = []
    assert verify_bundle(bundle, runtimes=["ort-cpu"], progress=told.append).ok
    assert "note: model.onnx.bak is not in manifest.json: it is not verified" in told


def test_pictures_are_looked_at_before_the_network_is(bundle, monkeypatch):
    def never(*_, **__):
        raise AssertionError("the network was looked for")

    monkeypatch.setattr("preproc.export.verifying.rebuild", never)
    with pytest.raises(PreprocError, match="nosuch: expected a folder of pictures, got nothing there"):
        verify_bundle(bundle, images=bundle / "nosuch")
