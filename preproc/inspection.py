"""What a bundle or a model file takes and does, as plain data. Reads ONNX files and manifests only: nothing is executed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import contract as contracts
from . import graph, guard, steps
from .bundle import MANIFEST, open_bundle, torch_contract
from .errors import BundleError, PreprocError


def describe(path: str | Path) -> dict[str, Any]:
    """A bundle, an .onnx file or a TorchScript file: {"kind", "path", "contract" or None, ...}. Raises BundleError if it is none of them.

    contract is None for a file that preproc has not made.
    """
    path = Path(path)
    if path.is_dir() or path.name == MANIFEST:
        bundle = open_bundle(path.parent if path.name == MANIFEST else path)
        return {
            "kind": "bundle",
            "path": str(path),
            "contract": bundle.contract,
            "files": bundle.manifest["files"],
            "versions": bundle.manifest["versions"],
            "verdicts": {result.runtime: result.verdict for result in bundle.report.results},
        }
    if not path.is_file():
        raise BundleError(f"{path}: expected a bundle or a model file, got nothing there")
    if path.suffix in (".pt", ".pt2", ".pth"):
        contract = torch_contract(path)
        kind = "pt2 archive" if path.suffix == ".pt2" else "TorchScript file"
        return {"kind": kind, "path": str(path), "contract": contract, "size": path.stat().st_size}
    model = graph.load(path)
    text = model.metadata_props.get(contracts.KEY)
    try:
        contract = None if text is None else json.loads(text)
    except ValueError as error:
        raise BundleError(f"{path}: expected a contract in {contracts.KEY}, got text that is not JSON ({error})") from error
    return {
        "kind": "ONNX file",
        "path": str(path),
        "contract": contract,
        "size": path.stat().st_size,
        "ir_version": model.ir_version,
        "opsets": dict(model.opset_imports),
        "inputs": [_value(value) for value in model.graph.inputs if value.name not in model.graph.initializers],
        "outputs": [_value(value) for value in model.graph.outputs],
        "picture": None if contract is not None else _picture(model),
    }


def _picture(model: Any) -> dict[str, Any]:
    """What a bare file does to its picture before the first convolution or whatever else is no map on channels."""
    try:
        picture = graph.picture_input(model)
    except PreprocError as error:
        return {"reason": str(error)}
    trail = graph.follow(picture, picture.channels or 3)
    return {
        "input": picture.value.name,
        "layout": picture.layout,
        "size": picture.size,
        "operations": trail.met,
        "does": [guard.described(first) for first in trail.input_maps()],
        "normalizes": any(guard.expected_unit(first) for first in trail.input_maps()),
        "foldable": not trail.refusals and bool(trail.readers),
        "why_not": str(trail.refusals[0]) if trail.refusals else None,
    }


def _value(value: Any) -> dict[str, Any]:
    return {"name": value.name, "dtype": None if value.dtype is None else value.dtype.name.lower(), "shape": graph.sides(value)}


def lines(description: Mapping[str, Any]) -> list[str]:
    """The description for people."""
    contract = description["contract"]
    found = [f"{description['path']}: {description['kind']}"]
    if contract is None:
        found.append("no contract of preproc inside: this file was not made by preproc")
        for word in ("inputs", "outputs"):
            found += [f"{word[:-1]:8} {value['name']}: {value['dtype']} {value['shape']}" for value in description.get(word, ())]
        return found + _picture_lines(description.get("picture"))
    image = contract["input"]
    found.append(f"input    {image['name']}: {image['dtype']} {image['layout']} {image['color']} {image['shape']}")
    for number, step in enumerate(contract["steps"], start=1):
        found.append(f"step {number}   {steps.parse(step)}")
    for name, fold in contract["fold"].items():
        done = (
            f"folded into {', '.join(fold['convolutions'])}, {_LEFT[fold['form']]}" if fold["folded"] else f"not folded: {fold['reason']}"
        )
        found.append(f"fold     {name}: {done}")
    found += [f"output   {output['name']}: {output['dtype']} {output['shape']}" for output in contract["outputs"]]
    labels = contract["labels"]
    if labels:
        found.append(f"labels   {len(labels)}: {', '.join(labels[:5])}{', ...' if len(labels) > 5 else ''}")
    backbone = contract["backbone"]
    trained = "" if backbone["trained"] else ", untrained"
    found.append(
        f"backbone {' '.join(filter(None, (backbone['source'], backbone.get('name'))))}, "
        f"weights {backbone['weights_are']}{trained}, {backbone['color']}"
    )
    found.append(f"constants agree with the weights: {backbone['constants_agree']}")
    if "verdicts" in description:
        found.append("verdicts " + ", ".join(f"{runtime} {verdict}" for runtime, verdict in description["verdicts"].items()))
    return found


def _picture_lines(picture: Mapping[str, Any] | None) -> list[str]:
    if picture is None:
        return []
    if "reason" in picture:
        return [f"picture  {picture['reason']}"]
    operations = picture["operations"]
    found = [
        f"picture  {picture['input']}, {picture['layout']}, read by {', '.join(operations[:8])}{', ...' if len(operations) > 8 else ''}"
    ]
    found += [f"does     {text}" for text in picture["does"]]
    if not picture["normalizes"]:
        found.append(
            "expects  prepared values: it does not normalize raw pixels itself, and which constants it was trained with is not in the file"
        )
    fold = "can be folded into its first convolution" if picture["foldable"] else f"cannot be folded: {picture['why_not']}"
    return [*found, f"fold     a normalization in front of it {fold}"]


_LEFT = {
    "cast": "only the cast left",
    "subtract": "the cast and one subtraction left",
    "append": "the cast, one subtraction and one appended channel left",
}
