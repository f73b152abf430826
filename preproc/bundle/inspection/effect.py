"""What an ONNX graph does to its picture: its nodes are run one by one on flat planes, up to its first layers. No torch."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ... import graph
from ...errors import NotFoldableError, PreprocError
from ...folding import BRIGHTEST, InputEffect, Look, Planes, Rows, clearest, is_single
from ...graph import Picture
from ...sources import FRAMES
from ...steps import UNITS
from ...verify.runtimes import evaluate

MOST_VALUES = 1 << 26
MOST_NODES = 200
"""In front of the first layers. Each is a model of its own to ONNX Runtime."""
SIDE = 64
"""In pixels, where a side is free."""
_LAYERS = frozenset(
    (
        "ConvTranspose",
        "ConvInteger",
        "QLinearConv",
        "DeformConv",
        "FusedConv",
        "NhwcConv",
        "NhwcFusedConv",
        "Attention",
        "MultiHeadAttention",
        "QAttention",
        "LSTM",
        "GRU",
        "RNN",
        "MatMulInteger",
        "QLinearMatMul",
        "QGemm",
        "DynamicQuantizeMatMul",
        "MatMulIntegerToFloat",
        "MatMulNBits",
    )
)
_LINEAR = frozenset(("Conv", "MatMul", "Gemm", "Einsum", "FusedMatMul", "FusedGemm"))
_ROUNDING = frozenset(("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"))
"""Pixels stay what they were, but for their digits."""
_SCALED = frozenset(("QLinearConv", "QLinearMatMul", "QGemm"))
"""Layers that read whole numbers, their scale and their zero point."""
_TESTS = frozenset(("Shape", "Size", "IsNaN", "IsInf", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"))
_PARTS = frozenset(("Slice", "Gather", "Split", "SplitToSequence", "SequenceAt", "GatherElements", "GatherND"))
_MOST = 1 << 20
"""Numbers of a weight that may be a normalization's."""

Arrays = list[NDArray[Any]]
"""One per picture."""


def graph_effect(model: ir.Model, channels: int, *, name: str | None = None, layout: str | None = None) -> InputEffect:
    """What the model does to the input `name` that takes the picture. channels: of the picture, where the model leaves them free.
    layout: NCHW or NHWC; None: as the model tells.

    Raises PreprocError where no input takes one.
    """
    whole = graph.inlined(model, sorted({key[:2] for key in model.functions})) if model.functions else model
    picture = graph.any_picture(whole, name, layout)
    raw = None if picture.value.dtype is None else graph.RAW.get(picture.value.dtype)
    sides = [picture.batch or 1, picture.channels or channels, picture.height or SIDE, picture.width or SIDE]
    sides.append((picture.frames or FRAMES) if "T" in picture.layout else 1)
    if picture.is_whole:
        return InputEffect(stopped=(f"its input, which takes whole numbers of {picture.value.dtype}",))
    if math.prod(sides) > MOST_VALUES:
        return InputEffect(stopped=(f"its input, whose {math.prod(sides):,} values are too many to try it",))
    tops = BRIGHTEST if raw is None else (UNITS[raw],)
    return clearest(_Walk(picture, picture.channels or channels, top).look for top in tops)


class _Walk:
    """arrays: what has been computed from the planes.  rows: what of it are the picture's values."""

    def __init__(self, picture: Picture, channels: int, top: float) -> None:
        self.planes, self.look = Planes(channels, top), Look(top)
        self.arrays: dict[ir.Value, Arrays] = {picture.value: [_plane(picture, levels) for levels in self.planes.levels]}
        start = self._rows(self.arrays[picture.value])
        assert start is not None
        self.rows: dict[ir.Value, Rows] = {picture.value: start}
        producer = picture.value.producer()
        owner = picture.value.graph if producer is None else producer.graph
        self.run = 0
        for node in owner or ():
            if any(source in self.arrays for source in _reads(node)):
                self.visit(node)
        for value in owner.outputs if owner is not None else ():
            if value in self.rows:
                self.look.meet(f"output {value.name}", "layer", [self.rows[value]], [])
        self.look.finish()

    def visit(self, node: ir.Node) -> None:
        name, read = _name(node), [self.rows[source] for source in _reads(node) if source in self.rows]
        kind = self._kind(node)
        if kind == "layer":
            if read:
                self.look.meet(name, kind, self._meant(node) or read, [])
            return
        if node.op_type == "Identity" and node.inputs[0] in self.rows:
            self.look.met.append(name)
            self.arrays[node.outputs[0]], self.rows[node.outputs[0]] = self.arrays[node.inputs[0]], self.rows[node.inputs[0]]
            return
        try:
            made = self._run(node)
            rows = [self._rows(arrays, half=any(known.half for known in read)) for arrays in made.values()]
        except Exception:  # noqa: BLE001 - whatever an odd node makes ONNX Runtime, or us, raise
            if read:
                self.look.stop(name, read)
            return
        if not read or node.op_type in ("Shape", "Size"):  # arithmetic on sizes, or on what tests have told
            self.arrays |= made
            return
        followed = self.look.meet(name, kind, read, rows)
        if followed:
            self.rows |= {value: found for value, found in zip(made, rows, strict=True) if found is not None}
        if followed or kind in ("test", "part"):
            self.arrays |= made

    def _meant(self, node: ir.Node) -> list[Rows]:
        """What the whole numbers stand for that a node reads with their scale and zero point; [] for others."""
        source = node.inputs[0]
        if node.op_type not in _SCALED or source is None or source not in self.rows:
            return []
        try:
            rows = self._rows([_unrounded(node, array) for array in self.arrays[source]])
        except NotFoldableError:  # scales that are computed
            return []
        return [] if rows is None else [rows]

    def _rows(self, arrays: Arrays, *, half: bool = False) -> Rows | None:
        return self.planes.rows([self.planes.sample(array) for array in arrays], half=half or _is_half(arrays[0]))

    def _run(self, node: ir.Node) -> dict[ir.Value, Arrays]:
        """What it makes of each picture. Raises NotFoldableError where too many have been run."""
        self.run += 1
        if self.run > MOST_NODES:
            raise NotFoldableError(f"expected at most {MOST_NODES} operations in front of the first layers, got more", name="too-large")
        given = {source: self.arrays[source] for source in node.inputs if source is not None and source in self.arrays}
        first = given.get(node.inputs[0]) if node.inputs and node.inputs[0] is not None else None
        if node.op_type in _ROUNDING and first is not None and first[0].dtype.kind == "f":
            return {node.outputs[0]: [_unrounded(node, array) for array in first]}
        model = graph.alone(node, {source: arrays[0] for source, arrays in given.items()})
        feeds = [{str(source.name): arrays[turn] for source, arrays in given.items()} for turn in range(len(self.planes.levels))]
        outputs = evaluate(model, feeds)
        made = [value for value in node.outputs if value.name]
        return {value: [output[place] for output in outputs] for place, value in enumerate(made)}

    def _kind(self, node: ir.Node) -> str:
        if node.op_type in _LAYERS:
            return "layer"
        if node.op_type in _LINEAR:
            size = self._size(node.inputs[1]) if len(node.inputs) > 1 else None
            return "linear" if size is not None and int(np.prod(size)) <= _MOST and self._is_pointwise(node, size) else "layer"
        if node.op_type == "BatchNormalization" and "training_mode" not in node.attributes:
            return "batch_norm"
        if node.op_type in _TESTS:
            return "test"
        if node.op_type in _PARTS:
            return "part"
        if node.op_type == "Cast":
            return graph.RAW.get(ir.DataType(node.attributes["to"].as_int()), "")
        return ""

    def _is_pointwise(self, node: ir.Node, size: tuple[int, ...]) -> bool:
        """Whether what it makes at a place is of that place alone. size: of its weight."""
        if node.op_type != "Conv" or set(size[2:]) == {1}:
            return True
        return node.inputs[1] not in self.arrays and is_single(graph.constant(node.inputs[1]))

    def _size(self, weight: ir.Value | None) -> tuple[int, ...] | None:
        """Its shape; None for one that is computed from something else."""
        if weight in self.arrays:
            return self.arrays[weight][0].shape
        try:
            return tuple(graph.constant(weight).shape)
        except PreprocError:
            return None


def _is_half(array: NDArray[Any]) -> bool:
    return array.dtype.itemsize < 4 and array.dtype.kind not in "iub"  # bfloat16 is of kind V


def _name(node: ir.Node) -> str:
    return f"{node.op_type} {node.name or next((value.name for value in node.outputs), '')}"


def _unrounded(node: ir.Node, array: NDArray[Any]) -> NDArray[Any]:
    """What a QuantizeLinear makes of it, or what dequantizes it as a DequantizeLinear, but for the rounding and the range of 8 bits."""
    if node.op_type == "DynamicQuantizeLinear":
        return array
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 1
    scale, zero = (
        np.asarray(graph.constant(value), np.float64) if value is not None else np.float64(0) for value in (*node.inputs, None)[1:3]
    )
    if scale.size > 1:
        shape = [-1 if place == axis % array.ndim else 1 for place in range(array.ndim)]
        scale, zero = scale.reshape(shape), zero.reshape(shape) if zero.size > 1 else zero
    whole = array / scale + zero if node.op_type == "QuantizeLinear" else (array - zero) * scale
    return np.asarray(whole, np.float32)


def _reads(node: ir.Node) -> Iterator[ir.Value]:
    """Its inputs, and what its subgraphs take from outside."""
    yield from (source for source in node.inputs if source is not None)
    for attribute in node.attributes.values():
        graphs = {ir.AttributeType.GRAPH: lambda a: [a.as_graph()], ir.AttributeType.GRAPHS: lambda a: list(a.as_graphs())}
        for inner in graphs.get(attribute.type, lambda _: [])(attribute):
            for each in inner:
                yield from _reads(each)


def _plane(picture: Picture, levels: NDArray[np.float64]) -> NDArray[Any]:
    """A batch of pictures whose channels hold these levels everywhere, as the model takes it."""
    assert picture.value.dtype is not None
    sizes = {
        "N": picture.batch or 2,
        "T": picture.frames or FRAMES,
        "C": len(levels),
        "H": picture.height or SIDE,
        "W": picture.width or SIDE,
    }
    turned = levels.reshape([-1 if axis == "C" else 1 for axis in picture.layout])
    return np.broadcast_to(turned, [sizes[axis] for axis in picture.layout]).astype(picture.value.dtype.numpy())
