"""What ONNX's operators do to channels: each by its name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from ..errors import NotFoldableError
from ..folding import Tracked, concatenate
from .constants import attribute, constant

Tracks = dict[ir.Value, Tracked]
"""Values that are maps of the input's channels."""


def _same(tracked: Tracks, node: ir.Node) -> Tracked:
    source = node.inputs[0]
    assert source is not None
    return tracked[source]


def _pad(tracked: Tracks, node: ir.Node) -> Tracked:
    source = tracked[node.inputs[0]]  # type: ignore[index]
    pads = constant(node.inputs[1]).tolist() if len(node.inputs) > 1 else attribute(node, "pads", [])
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        raise NotFoldableError("the picture is padded along chosen axes before the first convolution", name="fold-padding")
    if not any(pads):
        return source
    if any(pads[:2]) or any(pads[source.rank : source.rank + 2]) or source.axis != 1:
        raise NotFoldableError("channels are padded before the first convolution", name="fold-padding")
    if attribute(node, "mode", "constant") != "constant":
        return source
    value = constant(node.inputs[2]).item() if len(node.inputs) > 2 and node.inputs[2] is not None else attribute(node, "value", 0.0)
    return source.padded(float(value))


def _transpose(tracked: Tracks, node: ir.Node) -> Tracked:
    source = tracked[node.inputs[0]]  # type: ignore[index]
    return source.permute(attribute(node, "perm", list(reversed(range(source.rank)))))


def _gather(tracked: Tracks, node: ir.Node) -> Tracked:
    source, index = tracked[node.inputs[0]], constant(node.inputs[1])  # type: ignore[index]
    axis = attribute(node, "axis", 0) % source.rank
    if index.ndim == 0:
        return source.select(axis, int(index))
    if index.ndim != 1:
        raise NotFoldableError("the input is gathered with a table before the first convolution", name="fold-moved-pixels")
    return source.take(axis, index.tolist())


def _unsqueeze(tracked: Tracks, node: ir.Node) -> Tracked:
    source = tracked[node.inputs[0]]  # type: ignore[index]
    axes = constant(node.inputs[1]).tolist() if len(node.inputs) > 1 else attribute(node, "axes", [])
    if len(axes) != 1:
        raise NotFoldableError("the picture gets more dimensions before the first convolution", name="fold-moved-pixels")
    return source.unsqueeze(axes[0] % (source.rank + 1))


def _squeeze(tracked: Tracks, node: ir.Node) -> Tracked:
    source = tracked[node.inputs[0]]  # type: ignore[index]
    axes = constant(node.inputs[1]).tolist() if len(node.inputs) > 1 else attribute(node, "axes", [])
    if len(axes) != 1:
        raise NotFoldableError("the picture loses dimensions before the first convolution", name="fold-moved-pixels")
    return source.squeeze(axes[0] % source.rank)


def _slice(tracked: Tracks, node: ir.Node) -> Tracked:
    source = tracked[node.inputs[0]]  # type: ignore[index]
    if len(node.inputs) == 1:  # up to opset 9
        starts, ends = attribute(node, "starts", []), attribute(node, "ends", [])
        axes = attribute(node, "axes", list(range(len(starts))))
    elif len(node.inputs) < 4:
        raise NotFoldableError("the picture is cut before the first convolution", name="fold-moved-pixels")
    else:
        starts, ends, axes = (constant(value).tolist() for value in node.inputs[1:4])
    steps = constant(node.inputs[4]).tolist() if len(node.inputs) > 4 else [1]
    if len(axes) != 1 or source.axis is None:
        raise NotFoldableError("the picture is cut before the first convolution", name="fold-moved-pixels")
    rows = range(source.map.channels_out)[starts[0] : ends[0] : steps[0]]
    return source.take(axes[0] % source.rank, rows)


def split(tracked: Tracks, node: ir.Node) -> list[Tracked]:
    """Channels in groups."""
    source, axis = tracked[node.inputs[0]], attribute(node, "axis", 0)  # type: ignore[index]
    channels, parts = source.map.channels_out, len(node.outputs)
    sizes = constant(node.inputs[1]).tolist() if len(node.inputs) > 1 else attribute(node, "split", None)
    if sizes is None:
        side = -(-channels // parts)
        sizes = [min(side, channels - start) for start in range(0, channels, side)]
    ends = np.cumsum(sizes).tolist()
    return [source.take(axis % source.rank, range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]


def _concat(tracked: Tracks, node: ir.Node) -> Tracked:
    if any(value not in tracked for value in node.inputs):
        raise NotFoldableError("the input is joined with a computed value before the first convolution", name="fold-computed-value")
    parts = [tracked[value] for value in node.inputs]  # type: ignore[index]
    return concatenate(parts, attribute(node, "axis", 1) % parts[0].rank)


def _batch_norm(tracked: Tracks, node: ir.Node) -> Tracked:
    source = tracked.get(node.inputs[0])  # type: ignore[arg-type]
    if source is None or source.axis != 1:
        raise NotFoldableError("a BatchNormalization reads the input along another axis than its channels", name="fold-not-affine")
    if attribute(node, "training_mode", 0) or len(node.outputs) > 1:
        raise NotFoldableError("a BatchNormalization in training mode reads the input", name="fold-not-affine")
    scale, bias, mean, variance = (constant(value) for value in node.inputs[1:5])
    return source.batch_norm(scale=scale, bias=bias, mean=mean, variance=variance, epsilon=attribute(node, "epsilon", 1e-5))


def _arithmetic(
    apply: Callable[[Tracked, Any], Tracked], *, swapped: Callable[[Tracked, Any], Tracked] | None
) -> Callable[[Tracks, ir.Node], Tracked]:
    def rule(tracked: Tracks, node: ir.Node) -> Tracked:
        left, right = node.inputs
        assert left is not None
        assert right is not None
        if left in tracked and right in tracked:
            raise NotFoldableError("the input is combined with itself before the first convolution", name="fold-computed-value")
        if left in tracked:
            return apply(tracked[left], constant(right).astype(np.float64))
        if swapped is None:
            raise NotFoldableError("a constant is divided by the input", name="fold-not-affine")
        return swapped(tracked[right], constant(left).astype(np.float64))

    return rule


RULES: dict[str, Callable[[Tracks, ir.Node], Tracked]] = {
    "Identity": _same,
    "Cast": _same,
    "Dropout": _same,
    "BatchNormalization": _batch_norm,
    "Pad": _pad,
    "Transpose": _transpose,
    "Gather": _gather,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Slice": _slice,
    "Concat": _concat,
    "Mul": _arithmetic(Tracked.times, swapped=Tracked.times),
    "Add": _arithmetic(Tracked.plus, swapped=Tracked.plus),
    "Sub": _arithmetic(Tracked.minus, swapped=Tracked.taken_from),
    "Div": _arithmetic(Tracked.over, swapped=None),
}
