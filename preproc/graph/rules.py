"""What ONNX's operators do to the picture's numbers: each by its name. Those that only move them are in moves.py."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import NotFoldableError
from ..folding import Tracked, added
from .constants import attribute, constant
from .mixing import MIXING
from .moves import MOVES, Tracks


def _same(tracked: Tracks, node: ir.Node) -> Tracked:
    return tracked.source(node)


def paddings(tracked: Tracks, node: ir.Node) -> tuple[list[tuple[int, int]], float | None]:
    """What a Pad puts before and behind along each axis, and the constant that it holds; None: copies of pixels."""
    source, given = tracked.source(node), tracked.numbers(node, 1, "pads", [])
    axes = tracked.numbers(node, 3, "axes") or range(source.rank)
    pads, half = [(0, 0)] * source.rank, len(given) // 2
    for axis, before, behind in zip(axes, given[:half], given[half:], strict=True):
        pads[axis] = (before, behind)
    if attribute(node, "mode", "constant") != "constant":
        return pads, None
    value = constant(node.inputs[2]).item() if len(node.inputs) > 2 and node.inputs[2] is not None else attribute(node, "value", 0.0)
    return pads, float(value)


def dequantized(tracked: Tracks, node: ir.Node) -> Tracked:
    """What a DequantizeLinear makes of pixels: (x - zero) scale."""
    source = tracked.source(node)
    zero = constant(node.inputs[2]).astype(np.float64) if len(node.inputs) > 2 and node.inputs[2] is not None else np.zeros(())
    shifted = source.minus(beside(node, zero, source.rank))
    return shifted.times(beside(node, constant(node.inputs[1]).astype(np.float64), source.rank))


def beside(node: ir.Node, values: NDArray[Any], rank: int) -> NDArray[Any]:
    """A scale or zero point beside what is quantized: a number, or one for each place on an axis. Raises NotFoldableError for blocks."""
    if attribute(node, "block_size", 0):
        raise NotFoldableError("it quantizes blocks", name="fold-quantized-grid")
    if values.size == 1:
        return values.reshape(())
    axis = attribute(node, "axis", 1) % rank
    return values.reshape([-1 if at == axis else 1 for at in range(rank)])


def _pad(tracked: Tracks, node: ir.Node) -> Tracked:
    return tracked.source(node).padded(*paddings(tracked, node))


def _batch_norm(tracked: Tracks, node: ir.Node) -> Tracked:
    source = tracked.source(node)
    if attribute(node, "training_mode", 0) or len(node.outputs) > 1:
        raise NotFoldableError("a BatchNormalization in training mode reads the input", name="fold-not-affine")
    scale, bias, mean, variance = (constant(value) for value in node.inputs[1:5])
    return source.batch_norm(scale=scale, bias=bias, mean=mean, variance=variance, epsilon=attribute(node, "epsilon", 1e-5))


def _arithmetic(
    apply: Callable[[Tracked, Any], Tracked], *, swapped: Callable[[Tracked, Any], Tracked] | None, itself: float | None = None
) -> Callable[[Tracks, ir.Node], Tracked]:
    """swapped: with the constant first, None where that is no such map.  itself: the sign of what is added, where both are tracked."""

    def rule(tracked: Tracks, node: ir.Node) -> Tracked:
        left, right = node.inputs
        assert left is not None
        assert right is not None
        if left in tracked and right in tracked:
            if itself is None:
                raise NotFoldableError(
                    f"the input is combined with itself by {node.op_type}, which is not affine", name="fold-computed-value"
                )
            return added(tracked[left], tracked[right], itself)
        if left in tracked:
            return apply(tracked[left], constant(right).astype(np.float64))
        if swapped is None:
            raise NotFoldableError("a constant is divided by the input", name="fold-not-affine")
        return swapped(tracked[right], constant(left).astype(np.float64))

    return rule


def _sum(tracked: Tracks, node: ir.Node) -> Tracked:
    parts = [tracked[value] for value in node.inputs if value in tracked]  # type: ignore[index]
    made = functools.reduce(added, parts)
    return functools.reduce(Tracked.plus, [constant(value).astype(np.float64) for value in node.inputs if value not in tracked], made)


AFFINE: dict[str, Callable[[Tracks, ir.Node], Tracked]] = {
    "Identity": _same,
    "Cast": _same,
    "Dropout": _same,
    "BatchNormalization": _batch_norm,
    "Mul": _arithmetic(Tracked.times, swapped=Tracked.times),
    "Add": _arithmetic(Tracked.plus, swapped=Tracked.plus, itself=1.0),
    "Sub": _arithmetic(Tracked.minus, swapped=Tracked.taken_from, itself=-1.0),
    "Neg": lambda tracked, node: tracked.source(node).times(-1.0),
    "Sum": _sum,
    "Div": _arithmetic(Tracked.over, swapped=None),
}
"""Those that leave every number where it is."""
RULES: dict[str, Callable[[Tracks, ir.Node], Tracked]] = {
    **MOVES,
    **MIXING,
    **AFFINE,
    "Pad": _pad,
}
