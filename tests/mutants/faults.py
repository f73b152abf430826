"""Faults of published files: weights, constants, orders, axes, pads, attributes."""

import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

ORDERED = ("Sub", "Div", "Concat", "Where", "Pow")
"""Operators whose inputs have an order."""
OTHER_WORDS = {
    "linear": "nearest",
    "cubic": "linear",
    "nearest": "linear",
    "half_pixel": "asymmetric",
    "asymmetric": "half_pixel",
    "constant": "reflect",
    "floor": "ceil",
    "round_prefer_ceil": "floor",
    "stretch": "not_larger",
}


def onnx_faults(model: onnx.ModelProto) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Each: what was done, and a copy of the file in which it was."""

    def changed(change: Callable[[onnx.ModelProto], bool]) -> onnx.ModelProto | None:
        other = onnx.ModelProto()
        other.CopyFrom(model)
        return other if change(other) else None

    changes: list[tuple[str, Callable[[onnx.ModelProto], bool]]] = []
    for position, tensor in enumerate(model.graph.initializer):
        for what, alter in (ON_FLOATS if tensor.data_type in (1, 11) else ON_INTEGERS).items():
            changes.append((f"{tensor.name}: {what}", lambda m, p=position, a=alter: _altered(m.graph.initializer[p], a)))
    for position, node in enumerate(model.graph.node):
        name = f"{node.op_type} {node.name or node.output[0]}"
        for number, attribute in enumerate(node.attribute):
            if attribute.type == onnx.AttributeProto.TENSOR:
                alters = ON_FLOATS if attribute.t.data_type in (1, 11) else ON_INTEGERS
                changes += [
                    (f"{name}: {what}", lambda m, p=position, n=number, a=alter: _altered(m.graph.node[p].attribute[n].t, a))
                    for what, alter in alters.items()
                ]
            else:
                changes.append((f"{name}: another {attribute.name}", lambda m, p=position, n=number: _other(m.graph.node[p].attribute[n])))
        if node.op_type in ORDERED:
            changes.append((f"{name}: its inputs swapped", lambda m, p=position: _swapped(m.graph.node[p])))
        if len(node.input) and node.op_type not in ("Conv", "MatMul", "Gemm"):
            changes.append((f"{name}: left out", lambda m, p=position: _left_out(m, p)))
    for what, change in changes:
        other = changed(change)
        if other is not None:
            yield what, other


ON_FLOATS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "times 1.01": lambda x: x * 1.01,
    "one number moved": lambda x: _one(x, lambda v: v + 0.1 * (np.abs(x).max() or 1)),
    "turned around": lambda x: x[:, ::-1] if x.ndim > 1 and x.shape[1] > 1 else x[::-1] if x.ndim else -x,
    "in half precision": lambda x: x.astype(np.float16).astype(x.dtype),
}
ON_INTEGERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "one number more": lambda x: _one(x, lambda v: v + 1),
    "turned around": lambda x: x[::-1] if x.ndim else -x,
}


def _one(x: np.ndarray, change: Callable[[float], float]) -> np.ndarray:
    other = x.copy()
    other.reshape(-1)[x.size // 2] = change(other.reshape(-1)[x.size // 2])
    return other


def _altered(tensor: onnx.TensorProto, alter: Callable[[np.ndarray], np.ndarray]) -> bool:
    array = numpy_helper.to_array(tensor)
    if not array.size or array.dtype.kind not in "fiu":
        return False
    other = np.ascontiguousarray(alter(array)).astype(array.dtype).reshape(array.shape)
    tensor.CopyFrom(numpy_helper.from_array(other, tensor.name))
    return not np.array_equal(array, other)


def _other(attribute: onnx.AttributeProto) -> bool:
    kinds = onnx.AttributeProto
    if attribute.type == kinds.INT:
        attribute.i = 1 - attribute.i if attribute.i in (0, 1) else attribute.i + 1
    elif attribute.type == kinds.FLOAT:
        attribute.f = attribute.f * 1.1 + 0.1
    elif attribute.type == kinds.INTS and len(attribute.ints):
        last = attribute.ints[-1]
        if attribute.name == "perm":
            attribute.ints[-1], attribute.ints[-2] = attribute.ints[-2], last
        else:
            attribute.ints[-1] = last + 1
    elif attribute.type == kinds.STRING and attribute.s.decode() in OTHER_WORDS:
        attribute.s = OTHER_WORDS[attribute.s.decode()].encode()
    else:
        return False
    return True


def _swapped(node: onnx.NodeProto) -> bool:
    inputs = list(node.input)
    node.input[:] = [inputs[1], inputs[0], *inputs[2:]]
    return inputs[0] != inputs[1]


def _left_out(model: onnx.ModelProto, position: int) -> bool:
    node = model.graph.node[position]
    source, made = node.input[0], node.output[0]
    if made in {value.name for value in model.graph.output}:
        return False
    for other in model.graph.node:
        other.input[:] = [source if name == made else name for name in other.input]
    del model.graph.node[position]
    return True


def torchscript_faults(file: Path) -> Iterator[tuple[str, bytes]]:
    """In the archive's code: numbers and words; in its tensors: one of the first convolution's and of the last layer's."""
    with zipfile.ZipFile(file) as archive:
        members = [(item, archive.read(item)) for item in archive.infolist()]
    numbers = [
        (place, match)
        for place, (item, data) in enumerate(members)
        if item.filename.endswith(".py")
        for match in re.finditer(rb"(?<=[(\[, ])-?\d+(\.\d+(e-?\d+)?)?(?=[,)\]])", data)
    ]
    for place, match in numbers:
        text = match.group()
        other = str(float(text) * 1.01 + 0.01).encode() if b"." in text else str(int(text) + 1).encode()
        data = members[place][1]
        yield (
            f"code: {_line(data, match.start())}: {text.decode()} is {other.decode()}",
            _zipped(members, place, data[: match.start()] + other + data[match.end() :]),
        )
    for place, (item, data) in enumerate(members):
        if "/data/" in item.filename and len(data) >= 16 and len(data) % 4 == 0:
            values = np.frombuffer(data, np.float32).copy()
            values[len(values) // 2] += 0.1 * np.abs(values).max()
            yield f"{item.filename.partition('/')[2]}: one number moved", _zipped(members, place, values.tobytes())


def _line(data: bytes, position: int) -> str:
    start, end = data.rfind(b"\n", 0, position) + 1, data.find(b"\n", position)
    return data[start:end].decode().strip()[:60].replace("|", "/")


def _zipped(members: list[tuple[zipfile.ZipInfo, bytes]], place: int, data: bytes) -> bytes:
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for position, (item, old) in enumerate(members):
                archive.writestr(item.filename, data if position == place else old)
        file.seek(0)
        return file.read()
