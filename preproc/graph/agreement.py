"""What a file of ours does to its pixels, recorded in its contract when it is made, and whether it still does that later."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from ..affine import Affine
from ..errors import NotFoldableError, PreprocError
from ..guard import described
from ..tracking import common_through
from .constants import constant
from .convolutions import follow
from .picture import any_picture, other_inputs, sides


def record(model: ir.Model, name: str, *, layout: str, channels: int, weights: Sequence[str]) -> dict[str, Any]:
    """For the contract: the map on channels in front of the first convolutions, or None with the reason where it is none; and the sha256
    of the weights that a fold rewrote."""
    try:
        told: dict[str, Any] = {"effective": _plain(_effective(model, name, layout, channels)), "effective_reason": None}
    except NotFoldableError as error:
        told = {"effective": None, "effective_reason": str(error)}
    return told | {"weights_sha256": _digest(model, weights) if weights else None}


def disagreements(contract: Mapping[str, Any], model: ir.Model) -> tuple[list[str], list[str]]:
    """What the graph does not do as its contract says, and what cannot be compared, each in one sentence."""
    wrong = [*_values(contract, model)]
    fold, image = contract["fold"].get("onnx", {}), contract["input"]
    if wrong or not {"effective", "weights_sha256"} <= fold.keys():
        return wrong, [] if wrong else ["the contract does not say what the graph did"]
    unknown = []
    channels = image["shape"][image["layout"].index("C")]
    if fold["effective"] is None:
        unknown.append(f"what is done to the pixels is no map on channels: {fold['effective_reason']}")
    else:
        promised = Affine(fold["effective"]["matrix"], fold["effective"]["offset"])
        try:
            found = _effective(model, image["name"], image["layout"], channels)
            if not found.close_to(promised):
                wrong.append(f"expected in front of the first convolution {described(promised)}, got {described(found)}")
        except NotFoldableError as error:
            wrong.append(f"expected in front of the first convolution {described(promised)}, got something else: {error}")
    if fold["weights_sha256"] is not None and _digest(model, fold["convolutions"]) != fold["weights_sha256"]:
        names = ", ".join(fold["convolutions"])
        wrong.append(f"expected the weights that the normalization was folded into, got others in {names}: is it still in them?")
    return wrong, unknown


def _values(contract: Mapping[str, Any], model: ir.Model) -> list[str]:
    image, wrong = contract["input"], []
    try:
        picture = any_picture(model, image["name"])
    except PreprocError as error:
        return [f"expected the input {image['name']}, got: {error}"]
    shape = sides(picture.value) or []
    kind = None if picture.value.dtype is None else picture.value.dtype.name.lower()
    if kind != image["dtype"] or [_number(side) for side in shape] != [_number(side) for side in image["shape"]]:
        wrong.append(f"expected the input {image['name']}: {image['dtype']} {image['shape']}, got {kind} {shape}")
    for word, promised, found in (
        ("other inputs", contract["other_inputs"], other_inputs(model, picture)),
        ("outputs", contract["outputs"], model.graph.outputs),
    ):
        names = [[value["name"] for value in promised], [value.name for value in found]]
        if names[0] != names[1]:
            wrong.append(f"expected the {word} {', '.join(names[0]) or 'none'}, got {', '.join(map(str, names[1])) or 'none'}")
    return wrong


def _number(side: Any) -> int | None:
    return side if isinstance(side, int) else None


def _effective(model: ir.Model, name: str, layout: str, channels: int) -> Affine:
    """Raises NotFoldableError if anything but one map on channels is between the input and the first convolutions."""
    trail = follow(replace(any_picture(model, name), layout=layout), channels)
    trail.check()
    return common_through(trail.readers) or Affine.identity(channels)


def _plain(affine: Affine) -> dict[str, Any]:
    return {"matrix": affine.matrix.tolist(), "offset": affine.offset.tolist()}


def _digest(model: ir.Model, names: Sequence[str]) -> str:
    """sha256 over name, dtype, shape and values; of a weight that is gone, over its name."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode())
        value = model.graph.initializers.get(name)
        if value is not None:
            array = np.ascontiguousarray(constant(value))
            digest.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()
