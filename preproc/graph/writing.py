"""Writing ONNX files: in a stream, each initializer by itself, so that a file is never in memory twice; and weights in a second file."""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import onnx
import onnx_ir as ir

from ..errors import PreprocError
from ..host import Progress, Stage, silent
from .messages import Messages, messages
from .reading import GRAPH, INITIALIZER

EXTERNAL_ABOVE = 2_000_000_000
"""Bytes of weights above which they go into a second file: protobuf ends at 2 GiB."""
ALIGNED = 4096
"""Offsets in a second file are multiples of it, as ONNX's documentation of external data recommends for memory mapping; those of
tensors smaller than that, of 64."""
INSIDE = 4096
"""Bytes of a tensor up to which it stays in the file all the same: ONNX Runtime wants those that say shapes there."""
PIECE = 1 << 20


def to_bytes(model: ir.Model) -> bytes:
    """The file in memory. Weights in other files stay there, named as they were."""
    return bytes_of(messages(model))


def bytes_of(parts: Messages) -> bytes:
    """As to_bytes(), of its messages."""
    made = io.BytesIO()
    made.writelines(_pieces(parts))
    return made.getvalue()


def save(model: ir.Model, path: Path, progress: Progress = silent) -> None:
    """Writes one file; weights that were in files of their own, or that are more than protobuf holds, go into `<name>.data` beside it.
    Same model, same bytes."""
    parts = messages(model)
    beside = [str(value.name) for value in model.graph.initializers.values() if isinstance(value.const_value, ir.ExternalTensor)]
    size = sum(tensor.ByteSize() for tensor in parts.tensors)
    if size > EXTERNAL_ABOVE:
        beside = [tensor.name for tensor in parts.tensors if tensor.ByteSize() > INSIDE]
    if beside:
        with path.with_name(f"{path.name}.data").open("wb") as data:
            size += sum(
                value.const_value.nbytes for value in model.graph.initializers.values() if isinstance(value.const_value, ir.ExternalTensor)
            )
            stage = Stage(f"writing {Path(data.name).name}", size, progress, in_bytes=True)
            parts = Messages(parts.head, parts.graph, list(_outside(model, parts.tensors, set(beside), data, stage)))
    stage = Stage(f"writing {path.name}", size, progress, in_bytes=True)
    with path.open("wb") as file:
        for piece in _pieces(parts):
            file.write(piece)
            stage.at(file.tell())


def _pieces(parts: Messages) -> Iterator[bytes]:
    """ModelProto's encoding. The graph is its last field, and the initializers are the graph's last."""
    graph = parts.graph.SerializeToString(deterministic=True)
    sizes = [tensor.ByteSize() for tensor in parts.tensors]
    size = len(graph) + sum(len(_start(INITIALIZER, size)) + size for size in sizes)
    if size > EXTERNAL_ABOVE:
        raise PreprocError(
            f"expected a model of at most {EXTERNAL_ABOVE:,} bytes without its weights in other files, got {size:,}", name="too-large"
        )
    yield parts.head.SerializeToString(deterministic=True)
    yield _start(GRAPH, size)
    yield graph
    for tensor, length in zip(parts.tensors, sizes, strict=True):
        yield _start(INITIALIZER, length)
        yield tensor.SerializeToString(deterministic=True)


def _start(field: int, length: int) -> bytes:
    """The tag and the length of a length-delimited field, as protobuf encodes them."""
    found = [field << 3 | 2]
    while length > 0x7F:
        found.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*found, length])


def _outside(
    model: ir.Model, tensors: Iterable[onnx.TensorProto], beside: set[str], data: IO[bytes], stage: Stage
) -> Iterator[onnx.TensorProto]:
    """The tensors, those called in `beside` without their bytes, which go into `data`; what was shared stays shared."""
    places: dict[tuple[Any, ...], tuple[int, int]] = {}
    for tensor in tensors:
        if tensor.name not in beside:
            yield tensor
            continue
        held = model.graph.initializers[tensor.name].const_value
        assert held is not None
        key = (str(held.path), held.offset or 0, held.nbytes) if isinstance(held, ir.ExternalTensor) else (tensor.name,)
        if key not in places:
            places[key] = _append(data, held)
            stage.at(data.tell())
        made = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, doc_string=tensor.doc_string)
        made.metadata_props.extend(tensor.metadata_props)
        made.data_location = onnx.TensorProto.EXTERNAL
        for word, value in zip(("location", "offset", "length"), (Path(data.name).name, *places[key]), strict=True):
            made.external_data.add(key=word, value=str(value))
        made.external_data.extend(entry for entry in tensor.external_data if entry.key not in ("location", "offset", "length"))
        yield made


def _append(data: IO[bytes], held: ir.TensorProtocol) -> tuple[int, int]:
    """Offset and length of what was written."""
    step = ALIGNED if held.nbytes >= ALIGNED else 64
    data.seek(-(-data.tell() // step) * step)
    offset = data.tell()
    if isinstance(held, ir.ExternalTensor):
        with Path(held.path).open("rb") as source:
            source.seek(held.offset or 0)
            _copy(source, data, held.nbytes)
    else:
        data.write(held.tobytes())
    return offset, data.tell() - offset


def _copy(source: IO[bytes], target: IO[bytes], length: int) -> None:
    """Piece by piece."""
    while length > 0:
        piece = source.read(min(length, PIECE))
        if not piece:
            raise PreprocError(
                f"{source.name}: expected {length} more bytes of weights, got the end of the file", name="weights-unreadable"
            )
        target.write(piece)
        length -= len(piece)
