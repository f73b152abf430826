"""Weights in other files: they stay in one, are never written over, and are read no further than they reach."""

import hashlib
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc import graph
from preproc.errors import PreprocError
from preproc.export import verify_bundle
from tests.conftest import ROOT
from tests.onnx_files import hand_made, put


def test_weights_in_another_file_stay_in_one(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    proto = onnx.load(hand_made(folder))
    head_weights = numpy_helper.to_array(next(tensor for tensor in proto.graph.initializer if tensor.name == "h"))
    onnx.save(proto, folder / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    bundle = put(folder / "m.onnx", tmp_path / "out")
    assert bundle.report.ok
    assert put(folder / "m.onnx", tmp_path / "out.onnx").ok
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    digest = hashlib.sha256(before["m.onnx"] + before["weights.bin"]).hexdigest()
    assert bundle.contract["backbone"]["sha256"] == digest
    for name in before:
        (folder / name).unlink()
    for new, data in ((bundle.folder / "model.onnx", "model.onnx.data"), (tmp_path / "out.onnx", "out.onnx.data")):
        head = graph.load(new).graph.initializers["h"].const_value
        assert (head.location, head.path) == (data, str(new.with_name(data)))
        assert np.array_equal(head.numpy(), head_weights)
    assert verify_bundle(bundle.folder, runtimes=["ort-cpu"]).ok


def test_the_sha256_is_the_files_own(tmp_path):
    bundle = put(hand_made(tmp_path), tmp_path / "out")
    assert bundle.contract["backbone"]["sha256"] == hashlib.sha256((tmp_path / "m.onnx").read_bytes()).hexdigest()


def test_weights_that_two_names_share_are_written_once(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    proto = onnx.load(hand_made(folder))
    onnx.save(proto, folder / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    proto = onnx.load(folder / "m.onnx", load_external_data=False)
    twin = proto.graph.initializer.add()
    twin.CopyFrom(next(tensor for tensor in proto.graph.initializer if tensor.name == "h"))
    twin.name = "twin"
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    put(folder / "m.onnx", tmp_path / "o.onnx", verify=False)
    places = {
        tensor.name: [(entry.key, entry.value) for entry in tensor.external_data]
        for tensor in onnx.load(tmp_path / "o.onnx", load_external_data=False).graph.initializer
    }
    assert places["twin"] == places["h"] != []


MEASURED = """
import sys
from pathlib import Path
sys.path.insert(0, ROOT)
from preproc.cli.app import app
app(["attach", *sys.argv[1:]], standalone_mode=False)
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print("peak", int(peak.split()[1]) * 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of memory is read from /proc")
def test_a_model_of_more_than_2_gb_stays_within_half_as_much_again(tmp_path):
    """Made up: a stem and one matrix of 2.1 GB that is a hole in a file, and so on no disk."""
    big = 2_100_000_000 // 4 // 4
    proto = onnx.load(hand_made(tmp_path))
    matmul = next(node for node in proto.graph.node if node.op_type == "MatMul")
    matmul.output[0] = "scores"
    proto.graph.node.append(helper.make_node("Gather", ["big", "rows"], ["picked"], axis=0))
    proto.graph.node.append(helper.make_node("Add", ["scores", "picked"], ["scores/out:0"]))
    proto.graph.initializer.append(numpy_helper.from_array(np.int64([7]), "rows"))
    tensor = proto.graph.initializer.add(name="big", data_type=TensorProto.FLOAT, dims=[big, 4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="big.bin")
    with (tmp_path / "big.bin").open("wb") as file:
        file.truncate(big * 16)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    command = [sys.executable, "-c", f"ROOT = {str(ROOT)!r}\n{MEASURED}", "m.onnx", "-o", "o.onnx", "--preset", "imagenet", "--no-verify"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "o.onnx with its weights in o.onnx.data: written, not verified" in done.stdout
    assert int(done.stdout.split()[-1]) < 1.5 * big * 16
    assert (tmp_path / "o.onnx.data").stat().st_size >= big * 16


def test_the_inputs_own_weights_are_never_written_over(tmp_path):
    """Named after the output, as torch.onnx names them, and somebody has renamed the model."""
    proto = onnx.load(hand_made(tmp_path))
    onnx.save(proto, tmp_path / "net.onnx", save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    (tmp_path / "net.onnx").rename(tmp_path / "old.onnx")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(PreprocError, match=r"net\.onnx\.data: expected a free name|weights of .*old\.onnx lie"):
        put(tmp_path / "old.onnx", tmp_path / "net.onnx")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_weights_that_share_a_file_without_lengths(tmp_path):
    """Offset and length may be left out: then a tensor begins at the beginning, and is as long as its shape."""
    proto = onnx.load(hand_made(tmp_path))
    values = np.random.default_rng(0).normal(size=864).astype(np.float32)
    (tmp_path / "w.bin").write_bytes(values.tobytes())
    for tensor in proto.graph.initializer[:2]:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="w.bin")
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    bundle = put(tmp_path / "m.onnx", tmp_path / "out", fold="off")
    assert bundle.report.ok


def test_external_weights_of_the_training_and_what_is_said_of_external_weights(tmp_path):
    proto = onnx.load(hand_made(tmp_path))
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0)
    proto = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    for tensor in proto.graph.initializer:
        tensor.external_data.add(key="checksum", value=tensor.name)
    values = np.arange(4, dtype=np.float32)
    (tmp_path / "t.bin").write_bytes(values.tobytes())
    training = proto.training_info.add()
    tensor = training.algorithm.initializer.add(name="t", data_type=1, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="t.bin")
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    put(tmp_path / "m.onnx", tmp_path / "out" / "o.onnx")
    new = onnx.load(tmp_path / "out" / "o.onnx", load_external_data=False)
    assert numpy_helper.to_array(new.training_info[0].algorithm.initializer[0]).tolist() == values.tolist()
    kept = next(tensor for tensor in new.graph.initializer if tensor.name == "h")
    assert {entry.key: entry.value for entry in kept.external_data}["checksum"] == "h"
