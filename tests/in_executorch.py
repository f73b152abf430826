"""The digits bundle in the format executorch, written once for all tests of a session; and a program of ExecuTorch written by hand, for
what is read of one without running it."""

import fcntl
import os
import struct

import flatbuffers
import pytest

from preproc.bundle import open_bundle
from preproc.errors import PreprocError
from preproc.export import export_bundle
from preproc.sources import load_recipe
from preproc.verify.runtimes.executorch import ExecutorchCpu
from tests.conftest import ROOT

DTYPES = {"uint8": 0, "float32": 6}


def needed():
    """Skips where ExecuTorch is not installed, or not for this torch: with the reason."""
    from preproc.export.formats import exir

    try:
        exir()
    except PreprocError as error:
        pytest.skip(str(error))


def once(factory):
    """The bundle, in a folder that all workers of a session share: the first that wants it exports it, the others wait."""
    needed()
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    folder = (factory.getbasetemp() if alone else factory.getbasetemp().parent) / "in-executorch"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "manifest.json").is_file():
            export_bundle(load_recipe(ROOT / "models" / "digits.toml"), folder, formats=["executorch"])
    return open_bundle(folder)


def written(model, path, pixels, *, size=None, sizes=(), layout="NHWC"):
    """The program of a module that takes `pixels` in that layout. size: their height and width, where they are not this batch's."""
    from preproc.export.formats import at_most, export_executorch

    needed()
    size = size or tuple(pixels.shape[1:3])
    export_executorch(model, pixels[:2], path, layout=layout, size=size, at_most=at_most(size, sizes), constants={})
    return path


def answers(path, *batches):
    """Of a program with one output, to each of them."""
    runtime = ExecutorchCpu(("out",))
    runtime.open(path)
    return [next(iter(runtime.run(pixels.numpy()).values())) for pixels in batches]


def with_weights(length, *, header=32):
    """The bytes of a program with so many behind its tables, and with a header of this length that tells of them."""
    data = program()
    (root,) = struct.unpack_from("<I", data)
    tables = len(data) + 32
    base = -(-tables // 16) * 16
    told = b"eh00" + struct.pack("<IQQQ", header, tables, base, length)
    front = struct.pack("<I", root + 32) + data[4:8] + told + data[8:]
    return front.ljust(base, b"\0") + b"w" * length


def program(*, takes=("uint8", (8, 4, 4, 3)), answers=("float32", (8, 10)), text=None, constant=None):
    """The bytes of a program whose method forward takes and answers such tensors, and does nothing; and of one that answers `text`.
    constant: bytes in its tables."""
    builder = flatbuffers.Builder()
    plans = [_plan(builder, "forward", [_tensor(builder, *takes), _tensor(builder, *answers)], [0], [1])]
    if text is not None:
        plans.append(_plan(builder, "preproc_contract", [_value(builder, 6, _table(builder, {0: builder.CreateString(text)}))], [], [0]))
    fields = {1: _offsets(builder, plans)}
    if constant is not None:
        fields[2] = _offsets(builder, [_table(builder, {0: builder.CreateByteVector(constant)})])
    builder.Finish(_table(builder, fields), file_identifier=b"ET12")
    return bytes(builder.Output())


def bundled(inner, samples=(), *, method="forward", named=1, suites=1):
    """The bytes of a bundled program. samples: pairs of arrays.  named: how often each is named, suites: and all of them together."""
    builder = flatbuffers.Builder()
    cases = []
    for sample in samples:
        sides = []
        for array in sample:
            held = {0: ("int8", DTYPES[str(array.dtype)]), 1: _numbers(builder, array.shape), 2: builder.CreateByteVector(array.tobytes())}
            sides.append(_offsets(builder, [_value(builder, 1, _table(builder, held))]))
        cases.append(_table(builder, dict(enumerate(sides))))
    suite = _table(builder, {0: builder.CreateString(method), 1: _offsets(builder, cases * named)})
    builder.Finish(_table(builder, {1: _offsets(builder, [suite] * suites), 2: builder.CreateByteVector(inner)}), file_identifier=b"BP08")
    return bytes(builder.Output())


def _plan(builder, name, values, inputs, outputs):
    fields = {0: builder.CreateString(name), 2: _offsets(builder, values)}
    return _table(builder, fields | {3: _numbers(builder, inputs), 4: _numbers(builder, outputs)})


def _tensor(builder, dtype, shape):
    return _value(builder, 5, _table(builder, {0: ("int8", DTYPES[dtype]), 2: _numbers(builder, shape), 8: ("int8", 1)}))


def _value(builder, kind, offset):
    return _table(builder, {0: ("uint8", kind), 1: offset})


def _table(builder, fields):
    """fields: by their numbers, where something stands, or a small number with its kind."""
    builder.StartObject(1 + max(fields, default=0))
    for number, value in fields.items():
        if isinstance(value, tuple):
            (builder.PrependInt8Slot if value[0] == "int8" else builder.PrependUint8Slot)(number, value[1], 0)
        else:
            builder.PrependUOffsetTRelativeSlot(number, value, 0)
    return builder.EndObject()


def _offsets(builder, offsets):
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _numbers(builder, numbers):
    builder.StartVector(4, len(numbers), 4)
    for number in reversed(numbers):
        builder.PrependInt32(number)
    return builder.EndVector()
