"""Which values of a graph are on a grid of 8 bits already, in front of its quantization."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from ..folding import scales_of
from .first_convolutions import First
from .moves import MOVES

SAME = frozenset((*MOVES, "Split", "Identity", "Dropout", "Cast"))
"""Operators behind which a level is the level that it was."""


@dataclass(frozen=True)
class Held:
    """levels: the names of values that are pixels less `zero`, in grey levels.  weights: those of the layers that read them, each with its
    scales, (channels_out,), and the axis along which these are.  adding: the names of the nodes that add the biases of products, which are
    no numbers of 8 bits."""

    levels: Sequence[str]
    zero: int
    weights: Mapping[str, tuple[NDArray[Any], int]]
    adding: Sequence[str] = ()


def held_of(entry: ir.Value, found: Sequence[First], zero: int) -> Held:
    """entry: what the network reads.  found: what reads it, whose weights are on their grids."""
    levels, weights, adding = {entry}, {}, list[str]()
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
        if item.adding is not None:
            item.adding.name = item.adding.name or str(item.adding.outputs[0].name)
            adding.append(item.adding.name)
    return Held(sorted(str(value.name) for value in levels), zero, weights, adding)
