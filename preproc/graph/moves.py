"""What ONNX's operators that move numbers do to places and channels: each by its name."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import NotFoldableError
from ..folding import Tracked, concatenate
from ..steps import Sides
from .constants import attribute, constant

FREE = {"N": 2 * 524309, "T": 48 * 21851, "H": 1344 * 787, "W": 1344 * 797}
"""What stands for a free side: a prime that nothing else is a multiple of, times what networks divide sides by, and larger than MOST."""


class Tracks(dict[ir.Value, Tracked]):
    """Values that are the picture's numbers. sizes: values that Shape has made of them."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[ir.Value, NDArray[np.int64]] = {}

    def source(self, node: ir.Node) -> Tracked:
        """What a node reads first."""
        found = None if node.inputs[0] is None else self.get(node.inputs[0])
        if found is None:
            raise NotFoldableError("the input is combined with a computed value before the first convolution", name="fold-computed-value")
        return found

    def numbers(self, node: ir.Node, index: int, name: str, default: Any = None) -> list[int] | Any:
        """Whole numbers that a node takes as its input of this index, or, of an older opset, as an attribute."""
        if len(node.inputs) > index and node.inputs[index] is not None:
            return constant(node.inputs[index], self.sizes).reshape(-1).tolist()
        return attribute(node, name, default)


def start(order: str, value: ir.Value, channels: int, size: Sides) -> Tracked:
    """The picture, of the layout `order`. size: its height and width, where the value's are free."""
    sides = value.shape if value.shape is not None and len(value.shape) == len(order) else [None] * len(order)
    free = FREE | {axis: side for axis, side in zip("HW", size, strict=True) if side is not None}
    shape = [side if isinstance(side, int) and side > 0 else free.get(axis, 1) for axis, side in zip(order, sides, strict=True)]
    shape[order.index("C")] = channels
    return Tracked.picture(order, shape)


def shape_of(tracks: Tracks, node: ir.Node) -> None:
    """Shape: what it makes is known."""
    shape = tracks.source(node).shape
    found = shape[attribute(node, "start", 0) : attribute(node, "end", None)]
    tracks.sizes[node.outputs[0]] = np.array(found, np.int64)


def split(tracks: Tracks, node: ir.Node) -> list[Tracked]:
    """Parts along an axis."""
    source, parts = tracks.source(node), len(node.outputs)
    axis = attribute(node, "axis", 0) % source.rank
    side = source.shape[axis]
    sizes = tracks.numbers(node, 1, "split")
    if sizes is None:
        most = -(-side // parts)
        sizes = [min(most, side - start) for start in range(0, side, most)]
    ends = np.cumsum(sizes).tolist()
    return [source.slice(axis, end - size, end, 1) for size, end in zip(sizes, ends, strict=True)]


def _transpose(tracks: Tracks, node: ir.Node) -> Tracked:
    source = tracks.source(node)
    return source.permute(attribute(node, "perm", list(reversed(range(source.rank)))))


def _gather(tracks: Tracks, node: ir.Node) -> Tracked:
    source = tracks.source(node)
    return source.gather(attribute(node, "axis", 0) % source.rank, constant(node.inputs[1], tracks.sizes))


def _slice(tracks: Tracks, node: ir.Node) -> Tracked:
    source = tracks.source(node)
    starts, ends = tracks.numbers(node, 1, "starts"), tracks.numbers(node, 2, "ends")
    axes = tracks.numbers(node, 3, "axes") or list(range(len(starts)))
    steps = tracks.numbers(node, 4, "steps") or [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        source = source.slice(axis % source.rank, start, end, step)
    return source


def _concat(tracks: Tracks, node: ir.Node) -> Tracked:
    if any(value not in tracks for value in node.inputs):
        raise NotFoldableError("the input is joined with a computed value before the first convolution", name="fold-computed-value")
    parts = [tracks[value] for value in node.inputs]  # type: ignore[index]
    return concatenate(parts, attribute(node, "axis", 1) % parts[0].rank)


def _reshape(tracks: Tracks, node: ir.Node) -> Tracked:
    source, wanted = tracks.source(node), tracks.numbers(node, 1, "shape")
    if not attribute(node, "allowzero", 0):
        wanted = [source.shape[axis] if side == 0 else side for axis, side in enumerate(wanted)]
    known = math.prod(side for side in wanted if side != -1)
    return source.reshape([math.prod(source.shape) // (known or 1) if side == -1 else side for side in wanted])


def _flatten(tracks: Tracks, node: ir.Node) -> Tracked:
    source = tracks.source(node)
    axis = attribute(node, "axis", 1)
    return source.reshape([math.prod(source.shape[:axis]), math.prod(source.shape[axis:])])


def _unsqueeze(tracks: Tracks, node: ir.Node) -> Tracked:
    source, axes = tracks.source(node), tracks.numbers(node, 1, "axes")
    for axis in sorted(axis % (source.rank + len(axes)) for axis in axes):
        source = source.unsqueeze(axis)
    return source


def _squeeze(tracks: Tracks, node: ir.Node) -> Tracked:
    source, axes = tracks.source(node), tracks.numbers(node, 1, "axes")
    gone = [axis % source.rank for axis in axes] if axes else [axis for axis, side in enumerate(source.shape) if side == 1]
    for axis in sorted(gone, reverse=True):
        source = source.squeeze(axis)
    return source


def _space_to_depth(tracks: Tracks, node: ir.Node) -> Tracked:
    """(N, C, H, W) -> (N, side side C, H / side, W / side), the pixels of a block in rows, then the channels of each."""
    source, side = tracks.source(node), attribute(node, "blocksize", 1)
    batch, channels, height, width = source.shape
    split = source.reshape([batch, channels, height // side, side, width // side, side])
    return split.permute([0, 3, 5, 1, 2, 4]).reshape([batch, side * side * channels, height // side, width // side])


MOVES: dict[str, Callable[[Tracks, ir.Node], Tracked]] = {
    "Transpose": _transpose,
    "Gather": _gather,
    "Slice": _slice,
    "Concat": _concat,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "SpaceToDepth": _space_to_depth,
}
