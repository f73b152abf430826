"""The fold in an ONNX graph: find the convolutions that read a value, and rewrite their weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import NotFoldableError
from ..folding import FoldPlan, Reader, Tracked, Trail, as_dtype, concatenate, fold_conv
from ..steps import Affine
from .constants import constant
from .picture import FLOATS, RAW, Picture


@dataclass(frozen=True)
class Found:
    """A convolution node with what the fold has to know of it. graph: the model's, even if the node is in a subgraph."""

    node: ir.Node
    reader: Reader
    graph: ir.Graph


def first_convolutions(picture: Picture, channels: int) -> list[Found]:
    """The convolutions that read the values of the picture. Raises NotFoldableError if anything else does."""
    walk = follow(picture, channels)
    walk.check()
    return walk.found


def follow(picture: Picture, channels: int) -> "Walk":
    """What the graph does to the picture before the first operations that are no maps on channels."""
    walk = Walk(picture, channels)
    counted = False
    for node in walk.graph.all_nodes():  # those of subgraphs, which may read the picture as well
        if not any(value in walk.tracked for value in node.inputs if value is not None):
            continue
        if node.op_type == "Shape" and node.domain in ("", "ai.onnx"):
            counted = True  # it reads no values, but how many channels there are
        else:
            walk.visit(node)
    if counted:
        walk.found = [replace(item, reader=replace(item.reader, direct=False)) for item in walk.found]
    if any(value.is_graph_output() for value in walk.tracked):
        walk.refusals.append(NotFoldableError("the model, or a subgraph in it, returns its input", name="fold-not-convolution"))
    return walk


class Walk(Trail):
    """Translates ONNX's operators into Tracked's, from the input to the convolutions. strangers: the nodes of other domains on the way."""

    def __init__(self, picture: Picture, channels: int) -> None:
        super().__init__()
        producer = picture.value.producer()  # of pixels that were resized and cropped
        graph = picture.value.graph if producer is None else producer.graph
        if not isinstance(graph, ir.Graph):
            raise NotFoldableError("the input belongs to no graph", name="fold-not-convolution")
        self.graph = graph
        self.dtype, self.found, self.strangers = picture.value.dtype, list[Found](), list[ir.Node]()
        self.tracked[picture.value] = Tracked(Affine.identity(channels), axis=picture.axis, order=picture.layout)

    def visit(self, node: ir.Node) -> None:
        if not node.outputs:
            self.refusals.append(self.no_convolution(f"{node.op_type} {node.name}"))
            return
        try:
            self._visit(node)
        except NotFoldableError as error:
            self.refusals.append(error)
        except Exception as error:  # noqa: BLE001 - a node that is not as ONNX says, a step of 0: whatever Python makes of it
            told = f"{node.op_type} {node.name or node.outputs[0].name} cannot be followed: {error}"
            self.refusals.append(NotFoldableError(told, name="fold-untraceable"))

    def _visit(self, node: ir.Node) -> None:
        if node.domain not in ("", "ai.onnx"):
            self.strangers.append(node)
            raise self.no_convolution(f"{node.domain}::{node.op_type}")
        if node.op_type == "Conv":
            reader = _reader(self.tracked, node)
            self.readers.append(reader)
            self.found.append(Found(node, reader, self.graph))
            return
        if node.op_type == "Split":
            self.tracked |= zip(node.outputs, _split(self.tracked, node), strict=True)
            return
        rule = _RULES.get(node.op_type)
        if rule is None:
            raise self.no_convolution(node.op_type)
        if node.op_type == "Cast" and node.attributes["to"].as_int() != self.dtype:
            if self.dtype not in RAW or node.attributes["to"].as_int() not in FLOATS:
                raise NotFoldableError("the input is cast to another type before the first convolution", name="fold-dtype")
            self.dtype = ir.DataType(node.attributes["to"].as_int())
        self.tracked[node.outputs[0]] = rule(self.tracked, node)


def rewrite(found: Sequence[Found], plan: FoldPlan) -> tuple[str, ...]:
    """Puts the new weights of the convolutions into the graph: all of them, or on NotFoldableError none. Returns the weights' names."""
    weights = []
    for item in found:
        old_bias = None if item.reader.bias is None else constant(item.node.inputs[2])
        old_weight = constant(item.node.inputs[1])
        weights.append(fold_conv(old_weight, old_bias, plan, pad=item.reader.pad, groups=item.reader.groups))
    for item, (weight, bias) in zip(found, weights, strict=True):
        _replace(item.graph, item.node, 1, weight)
        if bias is not None:
            _replace(item.graph, item.node, 2, bias)
    return tuple(sorted({str(item.node.inputs[1].name) for item in found if item.node.inputs[1] is not None}))


def add_to_bias(item: Found, values: NDArray[np.float64]) -> None:
    """bias += sum over taps of weight @ values, one number per channel that the convolution reads."""
    weight = constant(item.node.inputs[1])
    old = np.zeros(len(weight)) if item.reader.bias is None else constant(item.node.inputs[2])
    identity = FoldPlan(Affine(np.eye(len(values)), values), np.zeros(len(values)))
    _, change = fold_conv(weight, None, identity, pad=None, groups=item.reader.groups)
    assert change is not None
    _replace(item.graph, item.node, 2, as_dtype(old + change, constant(item.node.inputs[1]).dtype))


def _replace(graph: ir.Graph, node: ir.Node, index: int, array: NDArray[Any]) -> None:
    """A new initializer of `graph` for one input of a node; the old one goes if nobody else reads it."""
    old = node.inputs[index] if index < len(node.inputs) else None
    name = f"preproc/{node.name or node.outputs[0].name}/{'weight' if index == 1 else 'bias'}" if old is None else f"{old.name}"
    if old is not None and len(old.uses()) == 1 and graph.initializers.get(name) is old:
        graph.initializers.pop(name)
    elif old is not None:
        name += "/preproc"
    while name in graph.initializers:
        name += "+"
    value = ir.Value(name=name, const_value=ir.tensor(np.array(array, order="C"), name=name))
    value.shape, value.dtype = ir.Shape(array.shape), ir.DataType.from_numpy(array.dtype)
    graph.register_initializer(value)
    if index >= len(node.inputs):
        node.resize_inputs(index + 1)
    node.replace_input_with(index, value)


def _attribute(node: ir.Node, name: str, default: Any) -> Any:
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.value


def _reader(tracked: dict[ir.Value, Tracked], node: ir.Node) -> Reader:
    if node.inputs[0] not in tracked:
        raise NotFoldableError("the input is used as the weight of a convolution", name="fold-computed-value")
    weight = node.inputs[1]
    shape = constant(weight).shape
    kernel = shape[2:]
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if len(shape) != 4 or (bias is not None and constant(bias).shape != shape[:1]):
        raise NotFoldableError("the first convolution's weight and bias are not those of pictures", name="fold-not-convolution")
    automatic = _attribute(node, "auto_pad", "NOTSET")
    pads = _attribute(node, "pads", [0, 0])
    pads_zero = max(kernel) > 1 if automatic in ("SAME_UPPER", "SAME_LOWER") else automatic == "NOTSET" and max(pads) > 0
    return Reader.of(
        tracked[node.inputs[0]],
        weight=str(weight.name),  # type: ignore[union-attr]
        bias=None if bias is None else bias.name,
        groups=_attribute(node, "group", 1),
        pads_zero=pads_zero,
    )


def _same(tracked: dict[ir.Value, Tracked], node: ir.Node) -> Tracked:
    source = node.inputs[0]
    assert source is not None
    return tracked[source]


def _pad(tracked: dict[ir.Value, Tracked], node: ir.Node) -> Tracked:
    source = tracked[node.inputs[0]]  # type: ignore[index]
    pads = constant(node.inputs[1]).tolist() if len(node.inputs) > 1 else _attribute(node, "pads", [])
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        raise NotFoldableError("the picture is padded along chosen axes before the first convolution", name="fold-padding")
    if not any(pads):
        return source
    if any(pads[:2]) or any(pads[4:6]) or source.axis != 1:
        raise NotFoldableError("channels are padded before the first convolution", name="fold-padding")
    if _attribute(node, "mode", "constant") != "constant":
        return source
    value = constant(node.inputs[2]).item() if len(node.inputs) > 2 and node.inputs[2] is not None else _attribute(node, "value", 0.0)
    return source.padded(float(value))


def _transpose(tracked: dict[ir.Value, Tracked], node: ir.Node) -> Tracked:
    source = tracked[node.inputs[0]]  # type: ignore[index]
    return source.permute(_attribute(node, "perm", list(reversed(range(source.rank)))))


def _gather(tracked: dict[ir.Value, Tracked], node: ir.Node) -> Tracked:
    source, index = tracked[node.inputs[0]], constant(node.inputs[1])  # type: ignore[index]
    axis = _attribute(node, "axis", 0) % source.rank
    if index.ndim == 0:
        return source.select(axis, int(index))
    if index.ndim != 1:
        raise NotFoldableError("the input is gathered with a table before the first convolution", name="fold-moved-pixels")
    return source.take(axis, index.tolist())


def _unsqueeze(tracked: dict[ir.Value, Tracked], node: ir.Node) -> Tracked:
    source = tracked[node.inputs[0]]  # type: ignore[index]
    axes = constant(node.inputs[1]).tolist() if len(node.inputs) > 1 else _attribute(node, "axes", [])
    if len(axes) != 1:
        raise NotFoldableError("the picture gets more dimensions before the first convolution", name="fold-moved-pixels")
    return source.unsqueeze(axes[0] % (source.rank + 1))


def _slice(tracked: dict[ir.Value, Tracked], node: ir.Node) -> Tracked:
    source = tracked[node.inputs[0]]  # type: ignore[index]
    if len(node.inputs) == 1:  # up to opset 9
        starts, ends = _attribute(node, "starts", []), _attribute(node, "ends", [])
        axes = _attribute(node, "axes", list(range(len(starts))))
    elif len(node.inputs) < 4:
        raise NotFoldableError("the picture is cut before the first convolution", name="fold-moved-pixels")
    else:
        starts, ends, axes = (constant(value).tolist() for value in node.inputs[1:4])
    steps = constant(node.inputs[4]).tolist() if len(node.inputs) > 4 else [1]
    if len(axes) != 1 or source.axis is None:
        raise NotFoldableError("the picture is cut before the first convolution", name="fold-moved-pixels")
    rows = range(source.map.channels_out)[starts[0] : ends[0] : steps[0]]
    return source.take(axes[0] % source.rank, rows)


def _split(tracked: dict[ir.Value, Tracked], node: ir.Node) -> list[Tracked]:
    """Channels in groups."""
    source, axis = tracked[node.inputs[0]], _attribute(node, "axis", 0)  # type: ignore[index]
    channels, parts = source.map.channels_out, len(node.outputs)
    sizes = constant(node.inputs[1]).tolist() if len(node.inputs) > 1 else _attribute(node, "split", None)
    if sizes is None:
        side = -(-channels // parts)
        sizes = [min(side, channels - start) for start in range(0, channels, side)]
    ends = np.cumsum(sizes).tolist()
    return [source.take(axis % source.rank, range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]


def _concat(tracked: dict[ir.Value, Tracked], node: ir.Node) -> Tracked:
    if any(value not in tracked for value in node.inputs):
        raise NotFoldableError("the input is joined with a computed value before the first convolution", name="fold-computed-value")
    parts = [tracked[value] for value in node.inputs]  # type: ignore[index]
    return concatenate(parts, _attribute(node, "axis", 1) % parts[0].rank)


def _batch_norm(tracked: dict[ir.Value, Tracked], node: ir.Node) -> Tracked:
    source = tracked.get(node.inputs[0])  # type: ignore[arg-type]
    if source is None or source.axis != 1:
        raise NotFoldableError("a BatchNormalization reads the input along another axis than its channels", name="fold-not-affine")
    if _attribute(node, "training_mode", 0) or len(node.outputs) > 1:
        raise NotFoldableError("a BatchNormalization in training mode reads the input", name="fold-not-affine")
    scale, bias, mean, variance = (constant(value) for value in node.inputs[1:5])
    return source.batch_norm(scale=scale, bias=bias, mean=mean, variance=variance, epsilon=_attribute(node, "epsilon", 1e-5))


def _arithmetic(
    apply: Callable[[Tracked, Any], Tracked], *, swapped: Callable[[Tracked, Any], Tracked] | None
) -> Callable[[dict[ir.Value, Tracked], ir.Node], Tracked]:
    def rule(tracked: dict[ir.Value, Tracked], node: ir.Node) -> Tracked:
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


def _times(x: Tracked, c: Any) -> Tracked:
    return x.then(c, 0.0)


def _plus(x: Tracked, c: Any) -> Tracked:
    return x.then(1.0, c)


_RULES: dict[str, Callable[[dict[ir.Value, Tracked], ir.Node], Tracked]] = {
    "Identity": _same,
    "Cast": _same,
    "Dropout": _same,
    "BatchNormalization": _batch_norm,
    "Pad": _pad,
    "Transpose": _transpose,
    "Gather": _gather,
    "Unsqueeze": _unsqueeze,
    "Slice": _slice,
    "Concat": _concat,
    "Mul": _arithmetic(_times, swapped=_times),
    "Add": _arithmetic(_plus, swapped=_plus),
    "Sub": _arithmetic(lambda x, c: x.then(1.0, -c), swapped=lambda x, c: x.then(-1.0, c)),
    "Div": _arithmetic(lambda x, c: x.then(1.0 / c, 0.0), swapped=None),
}
