"""Which values of a graph are on a grid of 8 bits already, in front of its quantization."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..folding import scales_of
from .builder import Moved
from .constants import constant
from .first_convolutions import First
from .grid import GRIDS
from .moves import MOVES

SAME = frozenset((*MOVES, "Split", "Identity", "Dropout", "Cast"))
"""Operators behind which a level is the level that it was."""


ADDING = ("Conv", "ConvTranspose", "Gemm")
"""Layers that add their biases themselves, and make one channel for each along their second axis."""


@dataclass(frozen=True)
class Held:
    """entry: what the network reads.  levels: the names of values that are pixels less `zero`, in grey levels, as that is.
    weights: those of the layers that read them, each with its scales, (channels_out,), and the axis along which these are.
    adding: the names of the nodes that add the biases of products, which are no numbers of 8 bits.
    made: by the names of the weights, those of what the layers make that add their biases themselves.  anchor: (channels,) the level of
    each channel for which the biases correct the roundings of the weights.  constant: that an appended channel holds; None without one."""

    entry: Moved
    levels: Sequence[str]
    zero: int
    weights: Mapping[str, tuple[NDArray[Any], int]]
    adding: Sequence[str]
    made: Mapping[str, str]
    anchor: NDArray[Any]
    constant: float | None


def held_of(entry: ir.Value, read: Moved, found: Sequence[First], zero: int, anchor: NDArray[Any], constant: float | None) -> Held:
    """entry: what the network reads.  read: as Held's entry.  found: what reads it, whose weights are on their grids.  anchor, constant: as
    Held's."""
    levels, weights, adding, made = {entry}, {}, list[str](), dict[str, str]()
    for item in found:
        weight, bias = item.weights()
        weights[str(item.constants[0].name)] = scales_of(weight, bias), item.made
        on_the_way = [value for at, value in enumerate(item.node.inputs) if value is not None and at != item.weight[1]][:1]
        while on_the_way:
            value = on_the_way.pop()
            maker = value.producer()
            if value in levels or maker is None or maker.op_type not in SAME:
                continue
            levels.add(value)
            on_the_way += [source for source in maker.inputs if source is not None]
        if item.node.op_type in ADDING:
            made[str(item.constants[0].name)] = str(item.node.outputs[0].name)
        if item.adding is not None:
            item.adding.name = item.adding.name or str(item.adding.outputs[0].name)
            adding.append(item.adding.name)
    return Held(read, sorted(str(value.name) for value in levels), zero, weights, adding, made, anchor, constant)


def less_128(model: ir.Model, held: Held) -> Moved | None:
    """The int8 numbers that the pixels are, less 128, where nothing else reads these; None where they are on another grid."""
    (value,) = [value for node in model.graph for value in node.outputs if value.name == held.entry.to]
    while True:
        readers = [node for node, _ in value.uses()]
        if len(readers) != 1 or readers[0].op_type not in ("Identity", "Dropout", "Cast"):
            break
        value = readers[0].outputs[0]
    if len(readers) != 1 or readers[0].op_type != "QuantizeLinear" or held.zero != -GRIDS[ir.DataType.INT8]:
        return None
    scale, zero = (constant(each) for each in readers[0].inputs[1:])
    if (scale != 1).any() or zero.any() or zero.dtype != np.int8:
        return None
    return replace(held.entry, to=str(readers[0].outputs[0].name), dtype=ir.DataType.INT8, less=held.zero)
