"""Where a graph has the channels of its picture: told by the first operations that treat an axis as channels, else by a shape."""

import contextlib
from collections.abc import Iterator
from typing import Any

import onnx_ir as ir

from ..errors import NotFoldableError
from .constants import OURS, constant

CHANNELS_SECOND = (
    "Conv",
    "ConvInteger",
    "QLinearConv",
    "ConvTranspose",
    "DeformConv",
    "MaxPool",
    "AveragePool",
    "LpPool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "BatchNormalization",
    "InstanceNormalization",
    "GroupNormalization",
    "LRN",
    "SpaceToDepth",
    "DepthToSpace",
)
"""Operators whose input has its channels on axis 1."""
ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Sum", "Pow", "Max", "Min", "PRelu")
KEEPING = (
    "Identity",
    "Cast",
    "CastLike",
    "Dropout",
    "Clip",
    "Relu",
    "Neg",
    "Abs",
    "Sqrt",
    "Floor",
    "Ceil",
    "Round",
    "Pad",
    "Slice",
    "Resize",
    "Upsample",
    "QuantizeLinear",
    "DequantizeLinear",
    "Split",
    "Concat",
)
"""Operators behind which every axis is still what it was."""
BY_AXIS = {3: {0: "CHW", 2: "HWC"}, 4: {1: "NCHW", 3: "NHWC"}, 5: {1: "NCTHW", 2: "NTCHW", 4: "NTHWC"}}
"""By the number of axes: the layout that has its channels on this one."""
TURNS: dict[tuple[int | None, ...], int] = {
    (0, 3, 1, 2): 3,
    (0, 2, 3, 1): 1,
    (2, 0, 1): 2,
    (1, 2, 0): 0,
    (0, 4, 1, 2, 3): 4,
    (0, 1, 4, 2, 3): 4,
}
"""Transposes that bring channels to the front or to the end, with the axis on which they were."""
Axes = tuple[int | None, ...]
"""Of a value: which axis of the picture each of its own is, None for a new one."""


def seen(model: ir.Model, picture: ir.Value, *, by_operators: bool = False) -> str | None:
    """One of BY_AXIS, as the graph reads its picture; None where it does not tell, or tells several. by_operators: the other evidence,
    which may mislead, does not count.

    The first convolution and its like tell most. Where none is reached, a constant that differs along one axis, (3, 1, 1) or (3,), does;
    and where there is none either, a transpose that starts the graph.
    """
    known = BY_AXIS.get(0 if picture.shape is None else len(picture.shape), {})
    told: dict[str, set[int]] = {"operator": set(), "constant": set(), "transpose": set()}
    for how, axis in _walk(model, picture):
        told[how].add(axis)
    for axes in [told["operator"]] if by_operators else told.values():
        if axes & known.keys():
            return known[min(axes)] if len(axes) == 1 else None
    return None


def _walk(model: ir.Model, picture: ir.Value) -> Iterator[tuple[str, int]]:
    """What tells of channels, and the picture's axis that it tells of."""
    start: tuple[ir.Value, Axes, tuple[ir.Node, ...]] = (picture, tuple(range(len(picture.shape or ()))), ())
    waiting, met = [start], {start}
    while waiting:
        value, axes, calls = waiting.pop()
        made: list[tuple[ir.Value, Axes, tuple[ir.Node, ...]]] = []
        if calls:  # inside a model-local function
            call = calls[-1]
            returned = list(model.functions[call.op_identifier()].outputs)
            made += [(outer, axes, calls[:-1]) for inner, outer in zip(returned, call.outputs, strict=False) if inner is value]
        for node, index in value.uses():
            function = model.functions.get(node.op_identifier())
            if function is not None:
                made.append((function.inputs[index], axes, (*calls, node)))
            elif node.domain in OURS:
                if node.op_type in CHANNELS_SECOND and index == 0:
                    if len(axes) in (4, 5) and axes[1] is not None:
                        yield "operator", axes[1]
                    continue
                if node.op_type in ARITHMETIC:
                    yield from (("constant", axis) for axis in _constant_axes(node, index, axes))
                behind = _behind(node, index, axes)
                if behind is not None:
                    if node.op_type == "Transpose" and axes == tuple(range(len(axes))) and behind in TURNS:
                        yield "transpose", TURNS[behind]
                    made += [(output, behind, calls) for output in node.outputs]
        waiting += [step for step in made if step not in met]
        met |= set(made)


def _behind(node: ir.Node, index: int, axes: Axes) -> Axes | None:
    """The axes of what the node makes of its input number `index`, or None where they are lost."""
    if node.op_type in ARITHMETIC or (node.op_type in KEEPING and (index == 0 or node.op_type == "Concat")):
        return axes
    if index != 0:
        return axes if node.op_type == "Where" else None
    match node.op_type:
        case "Transpose":
            perm = node.attributes["perm"].as_ints() if "perm" in node.attributes else range(len(axes))[::-1]
            return tuple(axes[at] for at in perm) if sorted(perm) == list(range(len(axes))) else None
        case "Gather":
            at = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
            rank = None if node.inputs[1] is None or node.inputs[1].shape is None else len(node.inputs[1].shape)
            return axes if rank == 1 else _without(axes, [at]) if rank == 0 else None
        case "Reshape" if _puts_frames_together(node):
            return (None, *axes[2:])
        case "Squeeze":
            return _without(axes, _numbers(node))
        case "Unsqueeze":
            added = sorted(at % (len(axes) + len(_numbers(node))) for at in _numbers(node))
            for at in added:
                axes = (*axes[:at], None, *axes[at:])
            return axes
    return None


def _puts_frames_together(node: ir.Node) -> bool:
    """Whether it makes a batch of all frames, (N, T, C, H, W) to (N T, C, H, W): the last sides stay; or, where the shape is computed,
    a convolution of pictures then reads as many channels as there are on the third axis, and not all frames' together."""
    before, after = (None if value is None or value.shape is None else list(value.shape) for value in (node.inputs[0], node.outputs[0]))
    if before is None or len(before) != 5:
        return False
    with contextlib.suppress(NotFoldableError):
        after = constant(node.inputs[1]).tolist()
    if after is not None:
        return len(after) == 4 and before[2:] == after[1:] and all(isinstance(side, int) and side > 0 for side in before[2:])
    reads = {_channels_read(user) for user, index in node.outputs[0].uses() if user.op_type == "Conv" and index == 0}
    return reads == {before[2]}


def _channels_read(conv: ir.Node) -> int | None:
    """By a convolution of pictures."""
    try:
        shape = constant(conv.inputs[1]).shape
    except NotFoldableError:
        return None
    groups = conv.attributes["group"].as_int() if "group" in conv.attributes else 1
    return int(shape[1]) * groups if len(shape) == 4 else None


def _without(axes: Axes, dropped: list[int]) -> Axes | None:
    places = [at % len(axes) for at in dropped if -len(axes) <= at < len(axes)]
    return tuple(axis for at, axis in enumerate(axes) if at not in places) if places else None


def _numbers(node: ir.Node) -> list[int]:
    """The axes of a Squeeze or an Unsqueeze: an attribute up to opset 12."""
    if "axes" in node.attributes:
        return list(node.attributes["axes"].as_ints())
    try:
        return [int(number) for number in constant(node.inputs[1]).flat] if len(node.inputs) > 1 else []
    except NotFoldableError:
        return []


def _constant_axes(node: ir.Node, index: int, axes: Axes) -> Iterator[int]:
    """The picture's axis along which alone a constant differs that the node combines the picture with."""
    for position, other in enumerate(node.inputs):
        if position == index:
            continue
        try:
            shape: tuple[Any, ...] = constant(other).shape
        except NotFoldableError:
            continue
        along = [axes[len(axes) - len(shape) + at] for at, side in enumerate(shape) if side != 1] if len(shape) <= len(axes) else []
        if len(along) == 1 and along[0] is not None:
            yield along[0]
