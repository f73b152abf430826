"""ONNX's operators that were defined anew between the opsets 7 and 18 in more than what they take: how the new one says the old one.

(operator, opset) is in REWRITES where the old node is none of the new opset, or another one; else the new definition has the old one in it.
A test goes through all of ONNX's definitions; the sentences here are from ONNX's Changelog.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ..errors import PreprocError


@dataclass
class Spot:
    """A node on its way to `opset`, and what is put in front of it and behind.

    known: constants by name.  types: dtype (ONNX's number) and rank of values by name, as far as they are known. Both say what names mean
    in the node's graph.  read: the names of values that somebody reads.  taken: names that are no more free."""

    node: onnx.NodeProto
    opset: int
    known: Mapping[str, NDArray[Any] | None]
    types: Mapping[str, tuple[int, int | None]]
    read: frozenset[str]
    taken: set[str]
    before: list[onnx.NodeProto] = field(default_factory=list)
    behind: list[onnx.NodeProto] = field(default_factory=list)

    def refusal(self, why: str) -> PreprocError:
        called = self.node.name or next(iter(self.node.output), "")
        return PreprocError(f"{self.node.op_type} {called!r}: {why}", name="opset-too-old")

    def attribute(self, name: str, default: Any) -> Any:
        found = [held for held in self.node.attribute if held.name == name]
        if found and found[0].ref_attr_name:
            raise self.refusal(f"its {name} is said by whoever calls its function")
        return helper.get_attribute_value(found[0]) if found else default

    def take(self, name: str, default: Any = None) -> Any:
        """The attribute's value, which it has no more."""
        value = self.attribute(name, default)
        kept = [held for held in self.node.attribute if held.name != name]
        if len(kept) < len(self.node.attribute):
            copies = [onnx.AttributeProto.FromString(held.SerializeToString()) for held in kept]
            del self.node.attribute[:]
            self.node.attribute.extend(copies)
        return value

    def give(self, name: str, value: Any) -> None:
        self.take(name)
        self.node.attribute.append(helper.make_attribute(name, value))

    def feed(self, place: int, name: str) -> None:
        """Makes the value of that name the input at that place."""
        self.node.input.extend([""] * (place + 1 - len(self.node.input)))
        self.node.input[place] = name

    def feed_constant(self, place: int, word: str, array: NDArray[Any]) -> None:
        name = self.free(word)
        self.before.append(helper.make_node("Constant", [], [name], name=name, value=numpy_helper.from_array(array, name)))
        self.feed(place, name)

    def free(self, word: str) -> str:
        """A name for a new value of this node."""
        name = f"{self.node.output[0]}/{word}"
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def dtype(self) -> Any:
        """NumPy's of the first input."""
        kind, _ = self.types.get(self.node.input[0], (0, None))
        if kind not in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE):
            raise self.refusal(f"the dtype of its input {self.node.input[0]!r} is not told")
        return helper.tensor_dtype_to_np_dtype(kind)

    def constant(self, place: int) -> NDArray[Any] | None:
        """The input there, if it is one."""
        made = {node.output[0]: numpy_helper.to_array(node.attribute[0].t) for node in self.before if node.op_type == "Constant"}
        return made.get(self.input(place), self.known.get(self.input(place)))

    def input(self, place: int) -> str:
        """The name of the input, "" for one left out."""
        return self.node.input[place] if place < len(self.node.input) else ""


def _attribute_to_input(name: str) -> Callable[[Spot], None]:
    """A list of whole numbers, the second input now. Left out, or empty, it means what was."""

    def rewrite(spot: Spot) -> None:
        values = spot.take(name)
        if values:
            spot.feed_constant(1, name, np.array(values, np.int64))

    return rewrite


def _slice(spot: Spot) -> None:
    """Without axes it takes the first ones, now all of them."""
    starts, ends = spot.take("starts"), spot.take("ends")
    axes = spot.take("axes") or range(len(starts))
    for place, (word, values) in enumerate((("starts", starts), ("ends", ends), ("axes", axes)), start=1):
        spot.feed_constant(place, word, np.array(list(values), np.int64))


def _top_k(spot: Spot) -> None:
    spot.feed_constant(1, "k", np.array([spot.take("k")], np.int64))


def _pad(spot: Spot) -> None:
    value = spot.take("value", 0.0)
    spot.feed_constant(1, "pads", np.array(spot.take("pads"), np.int64))
    if value != 0:
        spot.feed_constant(2, "value", np.array(value, spot.dtype()))


def _clip(spot: Spot) -> None:
    """A limit that is left out was float32's largest number, whatever the dtype, and is that of the dtype now."""
    kind, largest = spot.dtype(), float(np.finfo(np.float32).max)
    for place, (word, usual) in enumerate((("min", -largest), ("max", largest)), start=1):
        value = spot.take(word, usual)
        with np.errstate(over="ignore"):
            spot.feed_constant(place, word, np.array(value, np.float64).astype(kind))


def _spatial(spot: Spot) -> None:
    if spot.take("spatial", 1) != 1:
        raise spot.refusal("spatial = 0, statistics of each place, is no more to be had")


def _no_training(spot: Spot) -> None:
    """That it trains was told by its outputs."""
    if any(spot.node.output[1:]):
        raise spot.refusal("it has the outputs of training")
    del spot.node.output[1:]


def _no_mask(spot: Spot) -> None:
    """Its ratio is training's only. The mask's dtype is another one, and nothing says what is in it where nothing is dropped."""
    if any(name in spot.read for name in spot.node.output[1:] if name):
        raise spot.refusal("somebody reads its mask")
    del spot.node.output[1:]
    if spot.opset >= 12:
        spot.take("ratio")


def _rows(spot: Spot) -> None:
    """Softmax and its likes were those of a matrix: all axes in front of `axis` its rows, `axis` and all behind it its columns."""
    axis, (_, rank) = spot.attribute("axis", 1), spot.types.get(spot.node.input[0], (0, None))
    spot.give("axis", -1)
    if axis == -1 or (rank is not None and axis == rank - 1):
        return
    flat, shape, rows = (spot.free(word) for word in ("flat", "shape", "rows"))
    source, made = spot.node.input[0], spot.node.output[0]
    spot.before.append(helper.make_node("Flatten", [source], [flat], name=flat, axis=axis))
    spot.before.append(helper.make_node("Shape", [source], [shape], name=shape))
    spot.node.input[0], spot.node.output[0] = flat, rows
    as_it_is: dict[str, Any] = {"allowzero": 1} if spot.opset >= 14 else {}
    spot.behind.append(helper.make_node("Reshape", [rows, shape], [made], name=spot.free("whole"), **as_it_is))


def _indices(spot: Spot) -> None:
    raise spot.refusal("indices below 0 made no entry, and count from the end now")


def _scales_to_input(spot: Spot) -> None:
    spot.feed_constant(1, "scales", np.array(spot.take("scales"), np.float32))


def _to_resize(spot: Spot) -> None:
    spot.node.op_type = "Resize"


def _asymmetric(spot: Spot) -> None:
    """Up to opset 10 the text does not say where pixels lie; ONNX Runtime's i / scale, and the nearest is the one in front, or where there
    are less pixels the one behind."""
    if spot.attribute("mode", b"nearest") == b"nearest":
        scales = spot.constant(1)
        if scales is None or (scales.min() < 1 < scales.max()):
            raise spot.refusal("which pixel is the nearest is told for scales that are constants, none below 1 or none above")
        spot.give("nearest_mode", "floor" if scales.min() >= 1 else "ceil")
    spot.give("coordinate_transformation_mode", "asymmetric")
    spot.feed(2, spot.node.input[1])
    spot.feed_constant(1, "roi", np.zeros(0, np.float32))


def _sizes(spot: Spot) -> None:
    """One of scales and sizes, the other was an empty tensor and is left out now."""
    if spot.attribute("coordinate_transformation_mode", b"half_pixel") == b"tf_half_pixel_for_nn":
        raise spot.refusal("its coordinates, tf_half_pixel_for_nn, are no more to be had")
    scales = spot.constant(2)
    if spot.input(3) and scales is not None and scales.size == 0:
        spot.feed(2, "")


def _old_coordinates(spot: Spot) -> None:
    spot.give("coordinate_transformation_mode", "output_half_pixel")


def _scan(spot: Spot) -> None:
    raise spot.refusal("it went over a batch of sequences, and goes over one now")


def _to_elements(spot: Spot) -> None:
    spot.node.op_type = "ScatterElements"


def _parts(spot: Spot) -> None:
    if not spot.input(1):
        spot.give("num_outputs", len(spot.node.output))


_AXES = _attribute_to_input("axes")
REWRITES: Mapping[tuple[str, int], Callable[[Spot], None]] = {
    ("BatchNormalization", 9): _spatial,
    ("BatchNormalization", 14): _no_training,
    ("Clip", 11): _clip,
    ("Dropout", 10): _no_mask,
    ("Dropout", 12): _no_mask,
    ("Hardmax", 13): _rows,
    ("LogSoftmax", 13): _rows,
    ("OneHot", 11): _indices,
    ("Pad", 11): _pad,
    ("ReduceL1", 18): _AXES,
    ("ReduceL2", 18): _AXES,
    ("ReduceLogSum", 18): _AXES,
    ("ReduceLogSumExp", 18): _AXES,
    ("ReduceMax", 18): _AXES,
    ("ReduceMean", 18): _AXES,
    ("ReduceMin", 18): _AXES,
    ("ReduceProd", 18): _AXES,
    ("ReduceSum", 13): _AXES,
    ("ReduceSumSquare", 18): _AXES,
    ("Resize", 11): _asymmetric,
    ("Resize", 13): _sizes,
    ("RoiAlign", 16): _old_coordinates,
    ("Scan", 9): _scan,
    ("Scatter", 11): _to_elements,
    ("Slice", 10): _slice,
    ("Softmax", 13): _rows,
    ("Split", 13): _attribute_to_input("split"),
    ("Split", 18): _parts,
    ("Squeeze", 13): _AXES,
    ("TopK", 10): _top_k,
    ("Unsqueeze", 13): _AXES,
    ("Upsample", 9): _scales_to_input,
    ("Upsample", 10): _to_resize,
}
"""By operator and the opset of its new definition."""
