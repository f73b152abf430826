"""Files that are no models, or wrong ones: one clear line, exit code 1, nothing written. And unusual ones that are right."""

import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc.bundle import open_bundle
from preproc.errors import BundleError, PreprocError
from preproc.graph import load
from tests.conftest import ROOT
from tests.onnx_files import hand_made, put


def cycle(proto):
    relu = next(node for node in proto.graph.node if node.op_type == "Relu")
    relu.input[0] = "f"


def undefined(proto):
    relu = next(node for node in proto.graph.node if node.op_type == "Relu")
    relu.input[0] = "nowhere"


def defined_twice(proto):
    proto.graph.node.append(helper.make_node("Relu", ["c"], ["r"]))


def short_weight(proto):
    proto.graph.initializer[0].raw_data = proto.graph.initializer[0].raw_data[:-4]


def no_such_operator(proto):
    next(node for node in proto.graph.node if node.op_type == "Relu").op_type = "ReLU"


def unknown_opset(proto):
    proto.opset_import[0].version = 99


def no_outputs(proto):
    del proto.graph.output[:]


def other_shapes(proto):
    proto.graph.initializer[2].CopyFrom(numpy_helper.from_array(np.zeros((9, 4), np.float32), "h"))


def enormous(proto):
    for dim in proto.graph.input[0].type.tensor_type.shape.dim:
        dim.dim_value = 2**40 if dim.dim_value != 3 else 3


def not_unicode(proto):
    """A name in Latin-1: protobuf itself lets it pass. Both uses, and so valid otherwise."""
    return proto.SerializeToString().replace(b"first", b"f\xefrst")


MISTAKES = [
    (cycle, "expected a valid ONNX file, got: Nodes in a graph must be topologically sorted"),
    (undefined, "expected a valid ONNX file, got: Nodes in a graph must be topologically sorted"),
    (defined_twice, "expected a(n| valid) ONNX file, got: .*r"),
    (
        short_weight,
        "expected a valid ONNX file, got(: TensorProto .tensor name: w. raw_data size .860 bytes. is too small| w: cannot resh)",
    ),
    (no_such_operator, "expected a valid ONNX file, got: No Op registered for ReLU"),
    (unknown_opset, "expected a model that ONNX Runtime can run, got: ONNX Runtime only .*Opset 99 is under development"),
    (no_outputs, "expected an ONNX file, got one without a graph"),
    (other_shapes, "expected a valid ONNX file, got: .*Incompatible dimensions"),
    (enormous, "expected a batch of pictures of at most"),
    (not_unicode, "expected an ONNX file, got one whose names are not UTF-8"),
]
ATTACHED = """
import os, sys
from preproc.cli import main
for folder in sys.argv[1:]:
    os.chdir(folder)
    os.dup2(os.open(folder + ".stderr", os.O_WRONLY | os.O_CREAT), 2)
    sys.argv = ["preproc", "attach", "m.onnx", "-o", "out", "--preset", "imagenet"]
    try:
        main()
    except SystemExit as ended:
        with open(folder + ".code", "w") as file:
            file.write(str(ended.code))
"""


@pytest.fixture(scope="module")
def attached(tmp_path_factory):
    """The folder in which each of them was attached to, in one process, whose libraries write to its stderr itself."""
    place = tmp_path_factory.mktemp("attached")
    folders = [place / mistake.__name__ for mistake, _ in MISTAKES]
    for folder, (mistake, _) in zip(folders, MISTAKES, strict=True):
        folder.mkdir()
        proto = onnx.load(hand_made(folder))
        (folder / "m.onnx").write_bytes(mistake(proto) or proto.SerializeToString())
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", ATTACHED, *map(str, folders)], env=environment, check=True)
    return place


@pytest.mark.parametrize(("mistake", "message"), MISTAKES, ids=lambda value: getattr(value, "__name__", ""))
def test_wrong_models_are_refused_in_one_line(attached, mistake, message):
    folder = attached / mistake.__name__
    assert folder.with_suffix(".code").read_text() == "1"
    lines = folder.with_suffix(".stderr").read_text().splitlines()
    assert len([line for line in lines if not line.startswith("preproc: out: ")]) == 1, lines
    with pytest.raises(PreprocError, match=message):
        put(folder / "m.onnx", folder / "out")
    assert [path.name for path in folder.iterdir()] == ["m.onnx"]


def test_a_chain_of_ten_thousand_nodes(tmp_path):
    proto = onnx.load(hand_made(tmp_path))
    chain = [helper.make_node("Identity", ["image" if n == 0 else f"v{n}"], [f"v{n + 1}"]) for n in range(10_000)]
    chain.append(helper.make_node("Identity", ["v10000"], ["first"]))
    rest = [node for node in proto.graph.node if node.output[0] != "first"]
    del proto.graph.node[:]
    proto.graph.node.extend([*chain, *rest])
    onnx.save(proto, tmp_path / "m.onnx")
    bundle = put(tmp_path / "m.onnx", tmp_path / "out")
    assert bundle.report.ok
    assert bundle.contract["fold"]["onnx"]["folded"]


def test_names_with_path_separators_stay_inside_the_bundle(tmp_path):
    proto = onnx.load(hand_made(tmp_path))
    names = {"scores/out:0": "../../evil", "image": "/etc/picture", "w": "../w"}
    for node in proto.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in [*proto.graph.input, *proto.graph.output, *proto.graph.initializer]:
        value.name = names.get(value.name, value.name)
    (tmp_path / "in").mkdir()
    onnx.save(proto, tmp_path / "in" / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    bundle = put(tmp_path / "in" / "m.onnx", tmp_path / "out")
    assert bundle.report.ok
    assert [output["name"] for output in open_bundle(bundle.folder).contract["outputs"]] == ["../../evil"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "m.onnx", "out"]
    assert all(file.resolve().is_relative_to(bundle.folder) for file in bundle.folder.rglob("*"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    proto = onnx.load(hand_made(tmp_path))
    head = numpy_helper.to_array(proto.graph.initializer[2]).copy()
    head[0, 0] = value
    proto.graph.initializer[2].CopyFrom(numpy_helper.from_array(head, "h"))
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(PreprocError, match="expected a backbone that answers finite numbers"):
        put(tmp_path / "m.onnx", tmp_path / "out")


def test_the_output_must_not_be_the_input(tmp_path):
    file = hand_made(tmp_path)
    before = file.read_bytes()
    with pytest.raises(PreprocError, match="expected another name than the input's, which is not touched"):
        put(file, file)
    assert file.read_bytes() == before


def test_an_operator_without_a_kernel_in_half_precision_is_named(tmp_path):
    with pytest.raises(PreprocError, match=r"expected a model that ONNX Runtime can run, got: .*implementation for \w+\(\d+\) node"):
        put(hand_made(tmp_path, dtype=TensorProto.BFLOAT16, opset=22), tmp_path / "out")


def test_an_input_that_numpy_has_no_dtype_for_is_refused_with_a_way_out(tmp_path):
    file = hand_made(tmp_path, nodes=[helper.make_node("Cast", ["image"], ["first"], to=TensorProto.FLOAT)], opset=22)
    proto = onnx.load(file)
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.BFLOAT16
    onnx.save(proto, file)
    with pytest.raises(PreprocError, match="got image in bfloat16; let the file take float32 and cast it"):
        put(file, tmp_path / "out")


def test_mutated_files_never_give_anything_but_a_refusal_or_a_verified_file():
    """In a process of its own: a crash of a native library would be seen, too."""
    done = subprocess.run([sys.executable, "-m", "tests.fuzz", "400"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    refused, written = (int(part.split()[0]) for part in done.stdout.split(","))
    assert refused + written == 400
    assert min(refused, written) > 5


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "m.onnx")
    with pytest.raises(BundleError, match="expected an ONNX file, got a pipe"):
        load(tmp_path / "m.onnx")
