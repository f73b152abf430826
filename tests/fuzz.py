"""Mutated model files: attach refuses them in one line or writes a verified file, and never anything else; so do inspect, also of files
of ours, and the raising of opsets.

python -m tests.fuzz COUNT [FIRST] runs the seeds FIRST.. in this process and prints what came out; the first wrong answer ends it with
the seed. The test suite runs 400 (tests/bundle/test_bad_files.py), make survey 20,000.
"""

import collections
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx

from preproc import graph
from preproc.bundle.inspection import describe, lines
from preproc.errors import PreprocError
from preproc.export import attach
from preproc.sources import PixelsSpec
from preproc.steps import Rescale
from tests.inputs_of_files import CASES, network, stereo
from tests.onnx_files import hand_made, old_network, put

SPEC = PixelsSpec(layout="NHWC", color="BGR", dtype="uint8", size=(None, None), channels=3)


def mutated(data: bytes, seed: int) -> bytes:
    """One to four changes: bytes set, bits flipped, pieces cut, doubled, swapped or filled with noise."""
    rng = np.random.default_rng(seed)
    for _ in range(rng.integers(1, 5)):
        array = np.frombuffer(data, np.uint8).copy()
        # the weights are most of the file and the least interesting part of it: two thirds of the changes are in the first tenth
        most = len(array) if rng.random() < 1 / 3 else max(len(array) // 10, 1)
        start = int(rng.integers(0, most))
        stop = min(start + int(rng.integers(1, 24)), len(array))
        kind = rng.integers(0, 6)
        if kind == 0:
            array[start] = rng.integers(0, 256)
        elif kind == 1:
            array[start] ^= 1 << rng.integers(0, 8)
        elif kind == 2:
            array = np.delete(array, slice(start, stop))
        elif kind == 3:
            array = np.insert(array, stop, array[start:stop])
        elif kind == 4:
            array[start:stop] = array[start:stop][::-1].copy()
        else:
            array[start:stop] = rng.integers(0, 256, stop - start)
        data = array.tobytes() or b"\0"
    return data


def rebuilt(data: bytes, seed: int) -> bytes:
    """A valid message whose contents are wrong: one to three changes of names, attributes, shapes, types, nodes."""
    rng, proto = np.random.default_rng(seed), onnx.ModelProto.FromString(data)
    graph = proto.graph
    names = [
        *(value.name for value in [*graph.input, *graph.output, *graph.initializer]),
        *(o for n in graph.node for o in n.output),
        "",
        "x",
    ]
    for _ in range(rng.integers(1, 4)):
        node, tensor = graph.node[rng.integers(0, len(graph.node))], graph.initializer[rng.integers(0, len(graph.initializer))]
        value = [*graph.input, *graph.output][rng.integers(0, len(graph.input) + len(graph.output))]
        number = int(rng.choice([-(2**62), -7, -1, 0, 1, 2, 3, 5, 100, 2**31, 2**62]))
        kind = rng.integers(0, 12)
        if kind == 0 and node.input:
            node.input[rng.integers(0, len(node.input))] = rng.choice(names)
        elif kind == 1:
            node.output[0] = rng.choice(names)
        elif kind == 2:
            node.op_type = rng.choice([*(other.op_type for other in graph.node), "Mul", "Pad", "Transpose", "BatchNormalization", "No"])
        elif kind == 3:
            name = rng.choice(["pads", "strides", "group", "auto_pad", "kernel_shape", "axis", "perm", "dilations", "mode"])
            node.attribute.append(onnx.helper.make_attribute(name, rng.choice([-1, 0, 1, 2, 9], rng.integers(1, 6)).tolist()))
        elif kind == 4 and tensor.dims:
            tensor.dims[rng.integers(0, len(tensor.dims))] = number
        elif kind == 5:
            tensor.data_type = int(rng.integers(0, 30))
        elif kind == 6 and value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[rng.integers(0, len(value.type.tensor_type.shape.dim))].dim_value = number
        elif kind == 7:
            value.type.tensor_type.elem_type = int(rng.integers(0, 30))
        elif kind == 8:
            value.name = rng.choice(names)
        elif kind == 9:
            graph.node.insert(int(rng.integers(0, len(graph.node) + 1)), node)
        elif kind == 10:
            proto.opset_import[0].version = number
            proto.ir_version = abs(number)
        elif tensor.data_type == 1 and len(tensor.raw_data) == 4 * np.prod(tensor.dims):
            array = onnx.numpy_helper.to_array(tensor).copy()
            array.flat[rng.integers(0, array.size)] = rng.choice([np.nan, np.inf, 1e38, 0])
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    return proto.SerializeToString()


def refused(act: Callable[[], object]) -> str:
    try:
        act()
    except PreprocError as error:
        return "refused" if "\n" not in str(error) else f"more than one line: {error}"
    return "written"


def one(folder: Path, original: bytes, seed: int) -> str:
    """What came of one seed, in a word. Raises AssertionError if files are left, and whatever attach should not raise."""
    file, out = folder / "m.onnx", folder / ("out" if seed % 2 else "out.onnx")
    file.write_bytes((mutated if seed % 4 else rebuilt)(original, seed))
    before = file.read_bytes()
    answer = refused(lambda: put(file, out, force=seed % 3 == 0))
    assert answer in ("refused", "written"), answer
    assert file.read_bytes() == before
    assert {path.name for path in folder.iterdir()} <= {"m.onnx"} | ({out.name, f"{out.name}.data"} if answer == "written" else set())
    assert refused(lambda: lines(describe(file))) in ("refused", "written")
    assert refused(lambda: graph.raised(graph.load(file), graph.raising.NEWEST)) in ("refused", "written")
    if answer == "written":
        graph.load(out if out.is_file() else out / "model.onnx")
        shutil.rmtree(out) if out.is_dir() else out.unlink()
        (folder / f"{out.name}.data").unlink(missing_ok=True)
    return answer


def main(count: int, first: int = 0) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        originals = []
        for options in (
            {},
            {"opset": 9, "ir_version": 3},
            {"shape": ("N", 3, "h", "w"), "metadata": {"a": "b"}},
            {"shape": (1, 3, 24, "w")},
        ):
            originals.append(hand_made(folder, **options).read_bytes())
        originals += [network(folder, *CASES[case][:2], **CASES[case][2]).read_bytes() for case in ("CHW", "NTCHW as pictures")]
        attach(stereo(folder), folder / "one.onnx", steps=(Rescale(),), pixels=SPEC, input_name="left", verify=False)
        originals.append((folder / "one.onnx").read_bytes())
        (folder / "one.onnx").unlink()
        originals.append(old_network(folder).read_bytes())
        put(folder / "m.onnx", folder / "ours.onnx", verify=False)
        originals.append((folder / "ours.onnx").read_bytes())
        (folder / "ours.onnx").unlink()
        answers = collections.Counter[str]()
        for seed in range(first, first + count):
            print(seed, end="\r", file=sys.stderr)
            try:
                answers[one(folder, originals[seed % 7 % len(originals)], seed)] += 1
            except BaseException as error:
                raise SystemExit(f"seed {seed}: {type(error).__name__}: {error}") from error
        print(", ".join(f"{number} {word}" for word, number in sorted(answers.items())))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
