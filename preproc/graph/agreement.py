"""What a file of ours does to its pixels, recorded in its contract when it is made, and whether it still does that later."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from ..errors import NotFoldableError, PreprocError
from ..folding import common_through, described
from ..steps import STEPS, Affine, Geometry
from .beside import beside
from .builder import Moved
from .constants import OURS, constant
from .first_convolutions import First
from .grid import Landing, land
from .picture import Picture, any_picture, other_inputs, sides
from .walk import Walk, follow
from .written import REWRITTEN, VALUES, WEIGHTS

OPAQUE = frozenset(
    (
        "ConvInteger",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "MatMulInteger",
        "QLinearConv",
        "QLinearMatMul",
        "QuantizeLinear",
    )
)
"""ONNX's own operators of other arithmetic, in which a convolution may be hidden."""
SETTINGS = ("pads", "auto_pad", "strides", "dilations", "group", "kernel_shape", "output_padding", "output_shape", "equation")


def record(model: ir.Model, name: str, *, layout: str, channels: int, folded: bool, moved: Moved | None) -> dict[str, Any]:
    """For the contract, of the graph between the pixels and the first convolutions: the map on channels, or None with the reason where it
    is none; the order of the picture's axes; and, if the normalization was folded into these convolutions, a sha256 of each.

    moved: the pixels behind resizes and crops, whose nodes get a sha256 of their own; the map is what comes behind them.
    """
    start = None if moved is None else _recorded(model, moved)
    trails = [_follow(model, name, layout, channels, each) for each in _starts(start)]
    try:
        effective = _effective(trails, channels, start)
        told: dict[str, Any] = {"effective": {"matrix": effective.matrix.tolist(), "offset": effective.offset.tolist()}}
        told |= {"effective_reason": None, "axes": _axes(trails)}
    except NotFoldableError as error:
        told = {"effective": None, "effective_reason": str(error), "axes": None}
    return told | {"moved": start, "sha256": _digests(trails) if folded else None}


def _recorded(model: ir.Model, moved: Moved) -> dict[str, Any]:
    """As a contract has it."""
    value = _named(model, moved.to)  # of another dtype since, where it became the quantized tensor
    dtype = moved.dtype if value is None or value.dtype is None else value.dtype
    start: dict[str, Any] = {"to": moved.to, "layout": moved.layout, "dtype": dtype.numpy().name}
    start |= {} if moved.channels is None else {"channels": moved.channels}
    start |= {"less": moved.less} if moved.less else {}
    start |= {} if moved.beside is None else {"beside": _recorded(model, moved.beside)}
    return start | {"sha256": _nodes_digest(model, moved.to)}


def _starts(moved: Mapping[str, Any] | None) -> list[Mapping[str, Any] | None]:
    """From where the pixels are followed to the first convolutions. moved: as a contract has it."""
    return [moved, *([moved["beside"]] if moved is not None and "beside" in moved else [])]


def stamp(contract: Mapping[str, Any]) -> str:
    """sha256 of what a contract says of the pixels and the steps, on which the fold of its file rests."""
    said = {key: contract[key] for key in ("input", "steps")} | {"color": contract["backbone"]["color"]}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def disagreements(contract: Mapping[str, Any], model: ir.Model, *, since: str | None = None) -> tuple[list[str], list[str]]:
    """What the graph does not do as its contract says, and what cannot be compared, each in one sentence.

    since: what of the file has changed since it was written, as changed_since() tells. Where another program has written the graph anew,
    other nodes and weights may do the same: what only these would tell is not compared.
    """
    wrong = [*_values(contract, model)]
    if contract["fold"].get("onnx", {}).get("stamp") != stamp(contract):
        wrong.append("expected the steps and pixels that the file was made with, got others in the contract")
    unknown: list[str] = []
    if not wrong:
        wrong, unknown = _on_the_way(contract, model, anew=since == REWRITTEN)
    return [*wrong, *([_CHANGED[since]] if since in _CHANGED else [])], unknown


def _on_the_way(contract: Mapping[str, Any], model: ir.Model, *, anew: bool) -> tuple[list[str], list[str]]:
    """As disagreements(), of what is done to the pixels up to the first convolutions."""
    fold, image, unknown = contract["fold"]["onnx"], contract["input"], list[str]()
    channels, moved = dict(zip(image["layout"], image["shape"], strict=True)).get("C", 0), fold.get("moved")
    for start in filter(None, _starts(moved)):
        digest, what = _nodes_digest(model, start["to"]), _in_front(contract, start)
        if digest is None:
            return [], [f"{what}, and what comes behind them: another program has renamed their values"]
        if digest != start["sha256"] and not anew:
            return [f"expected the {what} that the file was made with, got others"], []
        if digest != start["sha256"]:
            unknown = [f"{what}, and what comes behind them: {_ANEW}"]
    trails = [_follow(model, image["name"], image["layout"], channels, start) for start in _starts(moved)]
    opaque = next(filter(None, map(_opaque, trails)), None)
    if unknown:
        return [] if opaque is not None else _apart(trails), unknown
    if opaque is not None and fold["effective"] is not None:
        return [], [f"what is done to the pixels: {opaque} reads them, into which this does not look"]
    if fold["effective"] is None:
        unknown.append(f"what is done to the pixels is no map on channels: {fold['effective_reason']}")
    else:
        wrong = _effect(fold, trails, channels)
        wrong += _apart(trails)
        if wrong:
            return wrong, unknown
    if fold["sha256"] is not None and _digests(trails) != fold["sha256"]:
        names = ", ".join(fold["convolutions"])
        if anew:
            return [], [*unknown, f"the convolutions that took the normalization up, {names}: {_ANEW}"]
        return [f"expected the convolutions that took the normalization up, got others in place of {names}: is it still in them?"], unknown
    return [], unknown


def _in_front(contract: Mapping[str, Any], start: Mapping[str, Any]) -> str:
    """What is in front of `start`, for people."""
    moving = any(issubclass(STEPS[step["step"]], Geometry) for step in contract["steps"])
    return "resizes and crops" if moving else f"nodes that make {start['to']} of the pixels"


def _apart(trails: Sequence[Walk]) -> list[str]:
    """What is wrong with how the convolutions of luma and of chroma meet, where there are both: each of the one with one of the other."""
    if len(trails) < 2:
        return []
    second = [beside(found.node) for found in trails[0].found]
    if {node for node in second if node is not None} == {found.node for found in trails[1].found} and None not in second:
        return []
    return ["expected what each convolution makes of luma added to what another makes of chroma, got something else behind them"]


def _effect(fold: Mapping[str, Any], trails: Sequence[Walk], channels: int) -> list[str]:
    """What is wrong with the map in front of the first convolutions, and with the order of the picture's axes there."""
    promised, wrong = Affine(fold["effective"]["matrix"], fold["effective"]["offset"]), []
    try:
        found, axes = _effective(trails, channels, fold.get("moved")), _axes(trails)
        if not found.close_to(promised):
            wrong.append(f"expected in front of the first convolution {described(promised)}, got {described(found)}")
        if axes != fold["axes"]:
            wrong.append(f"expected in front of the first convolution the axes {fold['axes']}, got {axes}: is the picture turned?")
    except NotFoldableError as error:
        wrong.append(f"expected in front of the first convolution {described(promised)}, got something else: {error}")
    return wrong


_ANEW = "another program has written them anew"
_CHANGED = {
    WEIGHTS: "expected the weights that preproc wrote, got others in its graph: the file is damaged, or somebody has put them in",
    VALUES: "expected the graph that preproc wrote, got another one of the same length: the file is damaged, or somebody has changed it",
}


def _opaque(trail: Walk) -> str | None:
    """An operator that reads the pixels, is not followed, and may hold a convolution, or what was in front of it, in a form of its own."""
    for node in trail.graph.all_nodes():
        foreign, reads = node.domain not in OURS, any(value in trail.tracked for value in node.inputs if value is not None)
        own = node.op_type in OPAQUE and not any(value in trail.tracked for value in node.outputs)
        if reads and (foreign or own):
            return f"{node.domain}::{node.op_type}" if foreign else node.op_type
    return None


def _values(contract: Mapping[str, Any], model: ir.Model) -> list[str]:
    image, wrong = contract["input"], []
    try:
        picture = any_picture(model, image["name"], image["layout"])
    except PreprocError as error:
        return [f"expected the input {image['name']}, got: {error}"]
    shape = sides(picture.value) or []
    kind = None if picture.value.dtype is None else picture.value.dtype.name.lower()
    fits = all(promised == found for promised, found in zip(image["shape"], shape, strict=True) if isinstance(promised, int))
    if kind != image["dtype"] or not fits:  # what was free may be fixed
        wrong.append(f"expected the input {image['name']}: {image['dtype']} {image['shape']}, got {kind} {shape}")
    for word, promised, found in (
        ("other inputs", contract["other_inputs"], other_inputs(model, picture)),
        ("outputs", contract["outputs"], model.graph.outputs),
    ):
        names = [[*dict.fromkeys(value.get("of", value["name"]) for value in promised)], [value.name for value in found]]
        if names[0] != names[1] and (word == "outputs" or sorted(names[0]) != sorted(map(str, names[1]))):  # inputs are fed by their names
            wrong.append(f"expected the {word} {', '.join(names[0]) or 'none'}, got {', '.join(map(str, names[1])) or 'none'}")
    return wrong


def landing(model: ir.Model, name: str, *, layout: str, channels: int, moved: Mapping[str, Any] | None = None) -> Landing | None:
    """How a file quantizes its picture, or the grey levels behind resizes and crops, first. moved: as a contract has it; None where the
    input, or the value that `moved` names, is not there any more."""
    if moved is not None and _named(model, moved["to"]) is None:
        return None
    try:
        return land(*_start(model, name, layout, channels, moved))
    except PreprocError:
        return None


def _follow(model: ir.Model, name: str, layout: str, channels: int, moved: Mapping[str, Any] | None) -> Walk:
    return follow(*_start(model, name, layout, channels, moved))


def _start(model: ir.Model, name: str, layout: str, channels: int, moved: Mapping[str, Any] | None) -> tuple[Picture, int]:
    """The input, or the value that `moved` has as a contract has it: of the input's layout and dtype in files that preproc made before it
    cast there; and its channels."""
    picture = any_picture(model, name, layout)
    if moved is None:
        return picture, channels
    value = _named(model, moved["to"])
    assert value is not None
    value.type = ir.TensorType(ir.DataType.from_numpy(np.dtype(moved["dtype"]))) if "dtype" in moved else picture.value.type
    now = moved.get("layout", layout)
    if value.shape is None and not picture.axes:  # one picture, which nodes of ours have made a batch
        value.shape = ir.Shape([1 if axis == "N" else None for axis in now])
    return replace(picture, value=value, layout=now), moved.get("channels", channels)


def _named(model: ir.Model, name: str) -> ir.Value | None:
    return next((value for node in model.graph for value in node.outputs if value.name == name), None)


def _nodes_digest(model: ir.Model, name: str) -> str | None:
    """sha256 of the nodes that make the value of that name, with their constants; None where there is none."""
    value = _named(model, name)
    if value is None:
        return None
    needed, found = [value], set[ir.Node]()
    while needed:
        node = needed.pop().producer()
        if node is not None and node not in found:
            found.add(node)
            needed += [source for source in node.inputs if source is not None]
    digest, places = hashlib.sha256(), dict[ir.Node, int]()
    for node in model.graph:
        if node in found:
            places[node] = len(places)
            settings = {key: str(attribute.value) for key, attribute in sorted(node.attributes.items())}
            digest.update(f"{node.domain} {node.op_type} {settings}".encode())
            for source in node.inputs:
                maker = None if source is None else source.producer()
                digest.update(
                    f" {'none' if source is None else 'given' if maker is None else places.get(maker)}".encode()
                )  # what reads what
                if source is not None and source.const_value is not None:
                    array = np.ascontiguousarray(source.const_value.numpy())
                    digest.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def _effective(trails: Sequence[Walk], channels: int, moved: Mapping[str, Any] | None) -> Affine:
    """Of the channels of all trails, one behind the other. Raises NotFoldableError if anything but one map on channels is between a start
    and the first convolutions. moved: what the trails start from."""
    found = list[Affine]()
    for trail, start in zip(trails, _starts(moved), strict=True):
        trail.check()
        count = channels if start is None else start.get("channels", channels)
        found.append(common_through(trail.readers) or Affine.identity(count))
    one, *others = found
    for other in others:
        corners = np.zeros((one.channels_out, other.channels_in)), np.zeros((other.channels_out, one.channels_in))
        one = Affine(np.block([[one.matrix, corners[0]], [corners[1], other.matrix]]), np.append(one.offset, other.offset))
    return one


def _axes(trails: Sequence[Walk]) -> str:
    return ", ".join(sorted({reader.order for trail in trails for reader in trail.readers}))


def _digests(trails: Sequence[Walk]) -> list[str]:
    """Of each of the first convolutions: its weight, its bias and its settings. Of those of luma and of chroma, pair by pair."""
    one, *others = (dict[ir.Node | None, str]((found.node, _digest(found)) for found in trail.found) for trail in trails)
    return sorted(digest + "".join(other.get(beside(node), "") for other in others) for node, digest in one.items() if node is not None)


def _digest(found: First) -> str:
    digest = hashlib.sha256()
    for value in found.constants:
        array = np.ascontiguousarray(constant(value))
        digest.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    settings = {name: str(found.node.attributes[name].value) for name in SETTINGS if name in found.node.attributes}
    digest.update(json.dumps(settings, sort_keys=True).encode())
    return digest.hexdigest()
