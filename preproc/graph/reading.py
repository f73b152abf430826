"""Reading ONNX files in a stream: each initializer by itself, so that a file is never in memory twice. The counterpart of writing.py."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import onnx
from google.protobuf.message import DecodeError

from ..errors import BundleError, first_line
from ..host import Progress, Stage, silent

GRAPH, INITIALIZER = 7, 5
"""Field numbers in ModelProto and GraphProto."""
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MOST = 10
"""Bytes of a varint."""


def read(path: str | Path, progress: Progress = silent) -> onnx.ModelProto:
    """The file, without weights in other files. Raises BundleError with its name if it is not an ONNX file."""
    proto, rest = onnx.ModelProto(), bytearray()

    def graph(file: IO[bytes], end: int) -> None:
        other, stage = bytearray(), Stage(f"reading {Path(path).name}", end, progress, in_bytes=True)
        for number, start, length in _fields(file, end):
            stage.at(file.tell())
            if number == INITIALIZER and length is not None:
                proto.graph.initializer.add().MergeFromString(_exactly(file, length))
            else:
                other.extend(start + _exactly(file, length or 0))
        proto.graph.MergeFromString(bytes(other))

    _read(path, rest, graph)
    _merge(path, proto, rest)
    return proto


def declared_inputs(path: str | Path) -> dict[str, tuple[str, list[int | str | None] | None]]:
    """Each input's dtype, and its shape: numbers, names of free sides, None where nothing is known. The weights are not read. Raises
    BundleError as read() does."""
    proto, rest = onnx.ModelProto(), bytearray()

    def graph(file: IO[bytes], end: int) -> None:
        other = bytearray()
        for number, start, length in _fields(file, end):
            if number == INITIALIZER and length is not None:
                file.seek(length, 1)
            else:
                other.extend(start + _exactly(file, length or 0))
        proto.graph.MergeFromString(bytes(other))

    _read(path, rest, graph)
    found = {}
    for value in proto.graph.input:
        kind = value.type.tensor_type
        sides = [(dim.dim_value or dim.dim_param or None) for dim in kind.shape.dim] if kind.HasField("shape") else None
        found[value.name] = (onnx.TensorProto.DataType.Name(kind.elem_type).lower(), sides)
    return found


def read_metadata(path: str | Path) -> dict[str, str]:
    """The file's metadata_props. The graph is not looked at. Raises BundleError as read() does."""
    proto, rest = onnx.ModelProto(), bytearray()
    _read(path, rest, lambda file, end: file.seek(end))
    _merge(path, proto, rest)
    return {entry.key: entry.value for entry in proto.metadata_props}


def _read(path: str | Path, rest: bytearray, graph: Callable[[IO[bytes], int], object]) -> None:
    """Collects a model's fields but its graph, which is given away."""
    if Path(path).is_fifo():  # would wait for a writer
        raise BundleError(f"{path}: expected an ONNX file, got a pipe", name="not-a-model")
    try:
        with Path(path).open("rb") as file:
            end = file.seek(0, 2)
            file.seek(0)
            for number, start, length in _fields(file, end):
                if number == GRAPH and length is not None:
                    graph(file, file.tell() + length)
                else:
                    rest.extend(start + _exactly(file, length or 0))
    except FileNotFoundError as error:
        raise BundleError(f"{path}: expected an ONNX file, got nothing there", name="nothing-there") from error
    except (DecodeError, OSError) as error:
        raise BundleError(f"{path}: expected an ONNX file, got: {first_line(error)}", name="not-a-model") from error


def _merge(path: str | Path, proto: onnx.ModelProto, rest: bytearray) -> None:
    try:
        proto.MergeFromString(bytes(rest))
    except DecodeError as error:
        raise BundleError(f"{path}: expected an ONNX file, got: {first_line(error)}", name="not-a-model") from error


def _fields(file: IO[bytes], end: int) -> Iterator[tuple[int, bytes, int | None]]:
    """Each field's number, its tag (with what belongs to it) as bytes, and the length of the bytes that follow, which whoever asks reads;
    None for a field that is not delimited by its length, all of whose bytes are with its tag."""
    while file.tell() < end:
        key, tag = _varint(file)
        number, kind = key >> 3, key & 7
        if kind == _LENGTH:
            length, coded = _varint(file)
            if file.tell() + length > end:
                raise DecodeError("it ends too early")
            yield number, tag + coded, length
        elif kind in (_FIXED32, _FIXED64):
            yield number, tag + _exactly(file, 4 if kind == _FIXED32 else 8), None
        elif kind == _VARINT:
            yield number, tag + _varint(file)[1], None
        else:
            raise DecodeError("it is not protobuf")
    if file.tell() > end:
        raise DecodeError("a part of it is longer than the whole")


def _varint(file: IO[bytes]) -> tuple[int, bytes]:
    read = b""
    while len(read) < _MOST:
        read += _exactly(file, 1)
        if read[-1] < 0x80:
            return sum((byte & 0x7F) << 7 * position for position, byte in enumerate(read)), read
    raise DecodeError("it is not protobuf")


def _exactly(file: IO[bytes], length: int) -> bytes:
    data = file.read(length)
    if len(data) != length:
        raise DecodeError("it ends too early")
    return data
