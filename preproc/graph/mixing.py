"""What ONNX's operators that mix a channel's pixels with each other do: resizes, averages, maxima.

An affine map of channels goes through every mean whose weights sum to one: f(M x + c) = M f(x) + c. Where the weights of some pixels sum to
less, the rest is the border's constant, as if it had been padded: an average that counts padded zeros, a resize that extrapolates.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir

from ..errors import NotFoldableError
from ..folding import Tracked
from .constants import attribute, constant
from .moves import Tracks


def _average_pool(tracks: Tracks, node: ir.Node) -> Tracked:
    """Zeros count where count_include_pad says so. What the last windows of ceil_mode are divided by, runtimes disagree about: whatever it
    is, what is missing to one counts as zeros, too."""
    source = tracks.source(node)
    pooled = source.mixed(_pooled(source, node), _told(node))
    borders = any(attribute(node, "pads", [])) or attribute(node, "auto_pad", "NOTSET") in _SAME or attribute(node, "ceil_mode", 0)
    return pooled.holding(0.0) if borders and attribute(node, "count_include_pad", 0) else pooled


def _max_pool(tracks: Tracks, node: ir.Node) -> Tracked:
    if len(node.outputs) > 1:
        raise NotFoldableError("where the picture's maxima are is read, too", name="fold-not-affine")
    source = tracks.source(node)
    return source.compared(_pooled(source, node), _told(node))


def _resize(tracks: Tracks, node: ir.Node) -> Tracked:
    """Nearest, linear and cubic weights sum to one: at the edges pixels are repeated, or left out and the others' weights scaled."""
    source = tracks.source(node)
    axes = [axis % source.rank for axis in attribute(node, "axes", range(source.rank))]
    shape = list(source.shape)
    sizes = tracks.numbers(node, 3, "sizes")
    scales = None if sizes else _scales(node)
    crops = attribute(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
    roi = _numbers(node.inputs[1]) if crops else [0.0] * len(axes) + [1.0] * len(axes)
    for place, (axis, begin, end) in enumerate(zip(axes, roi[: len(axes)], roi[len(axes) :], strict=True)):
        side = source.shape[axis]
        shape[axis] = int(sizes[place]) if scales is None else math.floor(side * scales[place])
        stays = (begin, end) == (0, 1) and (shape[axis] == side if scales is None else scales[place] == 1)
        if not stays and not source.is_plain(axis):
            raise NotFoldableError(f"{node.op_type} mixes the channels with each other", name="fold-not-affine")
    if shape[0] != source.shape[0] and source.is_plain(0) and sizes:
        shape[0] = source.shape[0]  # a batch that the file's author had before him
    resized = source.mixed(shape, _told(node, [*(sizes or []), *(scales or []), *roi]))
    return resized.holding(attribute(node, "extrapolation_value", 0.0)) if crops else resized


def _scales(node: ir.Node) -> list[float]:
    """Of Resize: the third input, of opset 10 the second; of Upsample: the second, of opset 7 an attribute."""
    if len(node.inputs) == 1:
        return list(attribute(node, "scales", []))
    return _numbers(node.inputs[2 if len(node.inputs) > 2 else 1])


def _numbers(value: ir.Value | None) -> list[float]:
    return [float(number) for number in constant(value).reshape(-1)]


def _global(tracks: Tracks, node: ir.Node) -> Tracked:
    source = tracks.source(node)
    shape = [*source.shape[:2], *[1] * (source.rank - 2)]
    return source.compared(shape, _told(node)) if node.op_type == "GlobalMaxPool" else source.mixed(shape, _told(node))


def _reduce(tracks: Tracks, node: ir.Node) -> Tracked:
    source = tracks.source(node)
    given = tracks.numbers(node, 1, "axes")
    if not given and attribute(node, "noop_with_empty_axes", 0):
        return source
    axes = [axis % source.rank for axis in given or range(source.rank)]
    if not all(map(source.is_plain, axes)):
        raise NotFoldableError(f"{node.op_type} mixes the channels with each other", name="fold-not-affine")
    shape = [1 if axis in axes else side for axis, side in enumerate(source.shape)]
    match node.op_type:
        case "ReduceMean":
            made = source.mixed(shape, _told(node, axes))
        case "ReduceSum":
            made = source.summed(shape, _told(node, axes), counted=True)
        case _:
            made = source.compared(shape, _told(node, axes))
    if attribute(node, "keepdims", 1):
        return made
    return made.reshape([side for axis, side in enumerate(shape) if axis not in axes])


def _expand(tracks: Tracks, node: ir.Node) -> Tracked:
    """The same numbers again and again: sides of one grow."""
    source, wanted = tracks.source(node), tracks.numbers(node, 1, "shape")
    rank = max(source.rank, len(wanted))
    grown = source.reshape((1,) * (rank - source.rank) + source.shape)
    wanted = [1] * (rank - len(wanted)) + wanted
    shape = [one if other == 1 else other for one, other in zip(grown.shape, wanted, strict=True)]
    if any(one not in (1, other) for one, other in zip(grown.shape, shape, strict=True)):
        raise NotFoldableError(f"a value of the shape {source.shape} is expanded to {wanted}", name="fold-untraceable")
    return grown.mixed(shape, _told(node, wanted))


def _tile(tracks: Tracks, node: ir.Node) -> Tracked:
    source = tracks.source(node)
    for axis, times in enumerate(tracks.numbers(node, 1, "repeats")):
        source = source.repeated(axis, times)
    return source


_SAME = ("SAME_UPPER", "SAME_LOWER")


def _pooled(source: Tracked, node: ir.Node) -> list[int]:
    """The sides that a pooling leaves. With ceil_mode a last window may begin in the picture or in the padding in front of it, and not in
    that behind it."""
    kernel: Sequence[int] = attribute(node, "kernel_shape", [])
    count = len(kernel)
    strides, dilations = attribute(node, "strides", [1] * count), attribute(node, "dilations", [1] * count)
    automatic, pads = attribute(node, "auto_pad", "NOTSET"), attribute(node, "pads", [0] * 2 * count)
    shape = list(source.shape)
    if count != source.rank - 2 or not all(source.is_plain(axis) for axis in range(2, source.rank)):
        raise NotFoldableError(f"{node.op_type} mixes the channels with each other", name="fold-not-affine")
    for at in range(count):
        reach = (kernel[at] - 1) * dilations[at] + 1
        room = shape[2 + at] + (pads[at] + pads[count + at] if automatic == "NOTSET" else 0)
        if automatic in _SAME:
            if dilations[at] > 1:
                raise NotFoldableError(
                    f"runtimes disagree about the size of a dilated {node.op_type} of {automatic}", name="fold-untraceable"
                )
            shape[2 + at] = -(-shape[2 + at] // strides[at])
        else:
            inside = shape[2 + at] + (pads[at] if automatic == "NOTSET" else 0)
            windows = (room - reach) // strides[at] + 1
            more = attribute(node, "ceil_mode", 0) and (room - reach) % strides[at] and windows * strides[at] < inside
            shape[2 + at] = windows + bool(more)
    return shape


def _told(node: ir.Node, more: Sequence[Any] = ()) -> tuple[Any, ...]:
    """What names the weights: the operator with all that it is told."""
    given = sorted((name, str(each.value)) for name, each in node.attributes.items() if each.type != ir.AttributeType.GRAPH)
    return node.op_type, *given, *more


MIXING: dict[str, Callable[[Tracks, ir.Node], Tracked]] = {
    "AveragePool": _average_pool,
    "Expand": _expand,
    "MaxPool": _max_pool,
    "GlobalAveragePool": _global,
    "GlobalMaxPool": _global,
    **dict.fromkeys(("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum"), _reduce),
    "Resize": _resize,
    "Tile": _tile,
    "Upsample": _resize,
}
