"""What a bundle or a model file takes and does, as plain data. Reads ONNX files and manifests; of a file that is not ours, the operations
in front of its first layers run on flat planes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ... import graph
from ...errors import BundleError, PreprocError, check_choice, first_line
from ...folding import guard
from ...steps import NETWORK_LAYOUTS, Affine
from .. import MANIFEST, open_bundle, package_contract, torch_contract
from .. import contract as contracts
from . import programs, quantized
from .effect import graph_effect
from .telling import lines
from .torchfiles import FORMATS, PACKAGE, PT2, SCRIPT, SUFFIXES, identify


def describe(path: str | Path, *, input_name: str | None = None, model_layout: str | None = None) -> dict[str, Any]:
    """A bundle, an .onnx file, or a file of torch's, ExecuTorch's or safetensors': {"kind", "path", "contract" or None, ...}. Raises
    BundleError if it is none of them.

    contract is None for a file that preproc has not made.  input_name: the one of an .onnx file that takes the picture, of several.
    model_layout: NCHW or NHWC, what it takes; None: as the graph reads it, or its shape tells.
    """
    if model_layout is not None:
        check_choice("model_layout", model_layout, NETWORK_LAYOUTS)
    try:
        description = _describe(Path(path), input_name, model_layout)
        lines(description)
    except PreprocError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:  # a contract that is not as we write it
        raise BundleError(f"{path}: expected a whole contract of preproc, got one without or with a wrong {first_line(error)}") from error
    return description


def _describe(path: Path, input_name: str | None, model_layout: str | None) -> dict[str, Any]:
    if path.is_dir() or path.name == MANIFEST:
        bundle = open_bundle(path.parent if path.name == MANIFEST else path)
        found = {
            "kind": "bundle",
            "path": str(path),
            "contract": bundle.contract,
            "files": bundle.manifest["files"],
            "versions": bundle.manifest["versions"],
            "verdicts": {result.runtime: result.verdict for result in bundle.report.results},
        }
        if "model.onnx" in bundle.manifest["files"]:
            model = graph.load(bundle.folder / "model.onnx")
            found["quantized"] = quantized.of_contract(model, bundle.contract)
            found["agreement"] = _agreement(bundle.contract, model, graph.NOTHING)
        return found
    if not path.is_file():
        raise BundleError(f"{path}: expected a bundle or a model file, got nothing there", name="nothing-there")
    if path.suffix in programs.SUFFIXES:
        return programs.describe_program(path)
    if path.suffix in SUFFIXES:
        file = identify(path)
        read = {SCRIPT: torch_contract, PT2: torch_contract, PACKAGE: package_contract}.get(file.kind)
        contract = None if read is None else read(path)
        told = {"kind": file.kind, "path": str(path), "contract": contract, "size": path.stat().st_size}
        return told | {"holds": file.holds, "hint": file.hint, "format": FORMATS.get(file.kind)}
    model = graph.load(path)
    text = model.metadata_props.get(contracts.KEY)
    contract = None if text is None else contracts.read(text, path)
    since = None if contract is None else graph.changed_since(model)
    precision = graph.precision(model)
    return {
        "kind": "ONNX file",
        "format": "onnx",
        "path": str(path),
        "contract": contract,
        "size": path.stat().st_size,
        "producer": " ".join(filter(None, (model.producer_name, model.producer_version))),
        "ir_version": model.ir_version,
        "opsets": dict(model.opset_imports),
        "precision": precision.name,
        "computes": str(precision),
        "inputs": [_value(value) for value in model.graph.inputs if value.name not in model.graph.initializers],
        "outputs": [_value(value) for value in model.graph.outputs],
        "picture": _picture(model, input_name, model_layout or (None if contract is None else contract["input"]["layout"])),
        "quantized": [] if contract is None else quantized.of_contract(model, contract),
        "since": since,
        "agreement": None if contract is None else _agreement(contract, model, since),
    }


def _picture(model: Any, name: str | None, layout: str | None) -> dict[str, Any]:
    """What a file does to its picture before its first layers. Raises PreprocError if it has no input `name` that takes one."""
    if layout is not None and layout not in NETWORK_LAYOUTS:
        return {"reason": f"its pixels are bytes of Y, U and V one behind the other ({layout}), which no channels are read from"}
    try:
        effect = graph_effect(model, 3, name=name, layout=layout)
        model = graph.opened(model, 3, name=name, layout=layout)
        picture = graph.any_picture(model, name, layout)
    except PreprocError as error:
        if name is not None:  # which was asked for
            raise
        return {"reason": str(error)}
    trail = graph.follow(picture, picture.channels or 3)
    raw = None if picture.value.dtype is None else graph.RAW.get(picture.value.dtype)
    rounded = quantized.of_picture(model, picture, picture.channels or 3)
    unfoldable = None if trail.readers else "no convolution reads the input"
    return {
        "input": picture.value.name,
        "layout": picture.layout,
        "size": list(picture.size) if any(picture.size) else None,
        "channels": picture.channels,
        "takes": None if raw is None else f"raw pixels, {raw}{', or values quantized to them' if picture.is_quantized else ''}",
        "whole": str(picture.value.dtype).lower() if picture.is_whole else None,
        "operations": list(effect.met),
        "casts_to": effect.raw and f"raw pixels, {effect.raw}",
        "maps": [_map(first) for first in effect.maps],
        "notes": [note for note in guard.notes(effect) if not note.startswith(guard.NOT_TOLD)],
        "normalizes": True if raw is not None else guard.normalizes(effect),
        "not_told": guard.no_further(effect) if effect.stopped else None,
        "foldable": not trail.refusals and unfoldable is None,
        "why_not": str(trail.refusals[0]) if trail.refusals else unfoldable,
        "quantized": rounded,
    }


def _map(first: Affine) -> dict[str, Any]:
    """(x[channels] - mean) / std where it is one, in words, and as the matrix and offset that it is in any case."""
    mean, std, channels = guard.constants(first) or (None, None, None)
    name, color = guard.preset(first) or (None, None)
    told = {"text": guard.described(first), "mean": mean, "std": std, "channels": channels}
    told |= {"unit": guard.expected_unit(first), "preset": name, "color": color}
    return told | {"matrix": first.matrix.tolist(), "offset": first.offset.tolist()}


def _agreement(contract: Mapping[str, Any], model: Any, since: str | None) -> dict[str, Any]:
    wrong, unknown = list[str](), list[str]()
    for view in contracts.views_of(contract):
        told = graph.disagreements(view, model, since=since)
        word = f"{view['input']['name']}: " if "pictures" in contract else ""
        for found, texts in zip((wrong, unknown), told, strict=True):
            found += [f"{word}{text}" for text in texts]
    return {"agrees": not wrong, "wrong": wrong, "not_compared": unknown}


def _value(value: Any) -> dict[str, Any]:
    return {"name": value.name, "dtype": None if value.dtype is None else value.dtype.name.lower(), "shape": graph.sides(value)}
